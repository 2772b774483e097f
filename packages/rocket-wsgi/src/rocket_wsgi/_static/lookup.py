"""Opening the file of a request's path, and never a file outside of the root.

On POSIX systems each directory of the path is opened relative to its parent, without following
symbolic links. So a directory or link that changes meanwhile cannot lead out of the root. If the
path contains a link, it is resolved first; if the result is beneath the root, it is opened in the
same way.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_READ: Final = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # opening a FIFO must not wait for a writer
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY: Final = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _NO_LINK

_STEPWISE: Final = bool(_NO_LINK) and os.open in os.supports_dir_fd

_LINK_ERRORS: Final = frozenset({errno.ELOOP, errno.EMLINK, errno.ENOTDIR})
"""The errors of systems for a symbolic link, or for a file in the place of a directory."""

_NEVER: Final = re.compile(r"[\x00\\]")
_NOT_ON_WINDOWS: Final = re.compile(
    r"[\x01-\x1f<>:\"|?*]|[. ](?:/|\Z)"
    r"|(?:\A|/)(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\xb9\xb2\xb3])[ ]*(?:[./]|\Z)",
    re.IGNORECASE,
)

WINDOWS: Final = os.name == "nt"


def split_path(path: str, *, windows: bool = WINDOWS) -> list[str] | None:
    """Split ``path``, in the form of ``PATH_INFO``, into its names; the path begins with a slash.

    The last name is empty for a directory. Returns None for a path that no served file can have: it
    contains an empty name, a name that begins with a dot (except ``.well-known`` as the first name,
    RFC 8615), NUL or a backslash, or on Windows a drive, a stream or a device.
    """
    if _NEVER.search(path) or (windows and _NOT_ON_WINDOWS.search(path)):
        return None
    if not path.isascii():
        try:
            path = os.fsdecode(path.encode("latin-1"))
        except UnicodeDecodeError:  # on systems whose file names are text
            return None
    names = path[1:].split("/")
    if "" in names[:-1]:
        return None
    for index, name in enumerate(names):
        if name.startswith(".") and (index or name != ".well-known"):
            return None
    return names


def open_beneath(root: str, names: Sequence[str], *, follow_links: bool) -> int:
    """Open the file or directory that ``names`` lead to from ``root``. Return its descriptor.

    Does not wait for a FIFO or a device. Without ``follow_links``, a symbolic link that leads out
    of the root counts as missing. Raises `OSError`.
    """
    if follow_links:
        return os.open("/".join((root, *names)), _READ)
    if _STEPWISE:
        try:
            return _open_stepwise(root, names)
        except OSError as error:
            if error.errno not in _LINK_ERRORS:
                raise
    base = os.path.realpath(root, strict=True)
    path = resolve_beneath(base, str(Path(base, *names)))
    if not _STEPWISE:  # pragma: no cover - Windows
        return os.open(path, _READ)
    return _open_stepwise(base, Path(path).relative_to(base).parts)


def resolve_beneath(base: str, path: str) -> str:
    """Resolve the symbolic links of ``path``.

    Raises `FileNotFoundError` if the result is not beneath ``base``, and `OSError`.
    """
    found = os.path.realpath(path, strict=True)
    if not Path(found).is_relative_to(base):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return found


def _open_stepwise(root: str, names: Sequence[str]) -> int:
    """Open each directory relative to its parent, without following symbolic links."""
    if len(names) < 2:
        return os.open("/".join((root, *names)), _READ | (_NO_LINK if names else 0))
    directory = os.open(f"{root}/{names[0]}", _DIRECTORY)
    try:
        for name in names[1:-1]:
            inner = os.open(name, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = inner
        return os.open(names[-1], _READ | _NO_LINK, dir_fd=directory)
    finally:
        os.close(directory)
