"""From the path of a request to an open file, and never to one outside of the root.

On POSIX systems every component is opened from the one before it, and none may be a symbolic link;
so nothing that changes meanwhile leads elsewhere. Where a link is in the way, the path is resolved
and, if it is still beneath the root, opened in the same manner.
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
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO must not wait for somebody to write to it
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)
_NO_LINK: Final = getattr(os, "O_NOFOLLOW", 0)
_DIRECTORY: Final = getattr(os, "O_PATH", os.O_RDONLY) | getattr(os, "O_DIRECTORY", 0) | _NO_LINK

_STEPWISE: Final = bool(_NO_LINK) and os.open in os.supports_dir_fd

_LINK_ERRORS: Final = frozenset({errno.ELOOP, errno.EMLINK, errno.ENOTDIR})
"""How systems say that a link was met; a file among the directories looks the same."""

_NEVER: Final = re.compile(r"[\x00\\]")
_NOT_ON_WINDOWS: Final = re.compile(
    r"[\x01-\x1f<>:\"|?*]|[. ](?:/|\Z)"
    r"|(?:\A|/)(?:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9\xb9\xb2\xb3])[ ]*(?:[./]|\Z)",
    re.IGNORECASE,
)

WINDOWS: Final = os.name == "nt"


def split_path(path: str, *, windows: bool = WINDOWS) -> list[str] | None:
    """The names in ``path``, which is decoded, as ``PATH_INFO`` is, and begins with a slash.

    The last one is empty for a directory. None where no file can have the path, or must not be
    shown: empty names, names that begin with a dot (but for ``.well-known`` at first, RFC 8615),
    NUL, backslashes, and on Windows what is a drive, a stream or a device there.
    """
    if _NEVER.search(path) or (windows and _NOT_ON_WINDOWS.search(path)):
        return None
    if not path.isascii():
        try:
            path = os.fsdecode(path.encode("latin-1"))
        except UnicodeDecodeError:  # where names are no bytes
            return None
    names = path[1:].split("/")
    if "" in names[:-1]:
        return None
    for index, name in enumerate(names):
        if name.startswith(".") and (index or name != ".well-known"):
            return None
    return names


def open_beneath(root: str, names: Sequence[str], *, follow_links: bool) -> int:
    """Open what ``names`` lead to from ``root``, without waiting; its descriptor.

    Without ``follow_links``, links that lead out of the root are as if they were not there. Raises
    `OSError`.
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
    """The real path of ``path``. Raises `OSError`, also where it is not beneath ``base``."""
    found = os.path.realpath(path, strict=True)
    if not Path(found).is_relative_to(base):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    return found


def _open_stepwise(root: str, names: Sequence[str]) -> int:
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
