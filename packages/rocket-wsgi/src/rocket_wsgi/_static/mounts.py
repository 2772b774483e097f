"""The mounts: the paths at which static files are served instead of the application."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rocket_wsgi._static.files import StaticFiles
from rocket_wsgi._static.lookup import split_path


class Mount(NamedTuple):
    """Files, and the prefix of their paths: empty, or a path without a slash at its end."""

    prefix: str
    files: StaticFiles


class Mounts:
    """A table of mounts. The longest matching prefix wins."""

    def __init__(self, table: Mapping[str, StaticFiles]) -> None:
        """Mount files at the paths that are the keys of ``table``.

        Raises:
            ValueError: a path does not begin with a slash, has two slashes in a row, or has a name
                that begins with a dot.
            TypeError: a value is not a `StaticFiles` object.
        """
        mounts = []
        for path, files in table.items():
            if not isinstance(files, StaticFiles):
                raise TypeError(f"the mount {path!r} needs a StaticFiles object, not {files!r}")
            prefix = path.removesuffix("/")
            if not path.startswith("/") or split_path(path) is None:
                raise ValueError(f"files must be mounted at a path such as '/static', not {path!r}")
            mounts.append(Mount(prefix.encode().decode("latin-1"), files))
        self._mounts = sorted(mounts, key=lambda mount: -len(mount.prefix))
        prefixes = tuple(mount.prefix for mount in mounts)
        self._beginnings = ("/",) if "" in prefixes else prefixes

    def find(self, path: str) -> Mount | None:
        """Return the mount of a ``PATH_INFO``; None for a path of the application."""
        if not path.startswith(self._beginnings):
            return None
        for mount in self._mounts:
            if path.startswith(mount.prefix) and path[len(mount.prefix) :][:1] in ("/", ""):
                return mount
        return None
