"""Which paths belong to static files instead of to the application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rocket_wsgi._static.files import StaticFiles
from rocket_wsgi._static.lookup import split_path


class Mount(NamedTuple):
    """Files, and what their paths begin with: empty, or a path that does not end in a slash."""

    prefix: str
    files: StaticFiles


class Mounts:
    """A table of mounts, of which the longest that fits is used."""

    def __init__(self, table: Mapping[str, StaticFiles]) -> None:
        """Take files by the path they are mounted at.

        Raises:
            ValueError: a path does not begin with a slash, has two in a row, or has a name that
                begins with a dot.
            TypeError: what is mounted is not `StaticFiles`.
        """
        mounts = []
        for path, files in table.items():
            if not isinstance(files, StaticFiles):
                raise TypeError(f"what is mounted at {path!r} is not StaticFiles: {files!r}")
            prefix = path.removesuffix("/")
            if not path.startswith("/") or split_path(path) is None:
                raise ValueError(f"files are mounted at a path such as '/static', not {path!r}")
            mounts.append(Mount(prefix.encode().decode("latin-1"), files))
        self._mounts = sorted(mounts, key=lambda mount: -len(mount.prefix))
        prefixes = tuple(mount.prefix for mount in mounts)
        self._beginnings = ("/",) if "" in prefixes else prefixes

    def find(self, path: str) -> Mount | None:
        """The mount that ``path``, in the form of ``PATH_INFO``, belongs to."""
        if not path.startswith(self._beginnings):
            return None
        for mount in self._mounts:
            if path.startswith(mount.prefix) and path[len(mount.prefix) :][:1] in ("/", ""):
                return mount
        return None
