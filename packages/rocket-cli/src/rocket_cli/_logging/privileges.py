"""Files that root makes for the user of the worker processes (``--user``).

A directory that this user can write to cannot be trusted: at any moment the user may replace a name
in it by a link to a file of root. Therefore files in such a directory are made with the rights of
the user. In other directories, such as ``/run`` or ``/var/log``, the user may make no files: root
makes them there, and gives them to the user. The same holds for the removal of files.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Final

from rocket_cli._settings.identity import Identity

_MOST_LINKS: Final = 40
"""The maximum number of symbolic links on the way to a file, as in Linux (path_resolution(7))."""


class Maker(Enum):
    """The user whose rights are used to make a file."""

    ITSELF = "itself"
    """The process itself, which has no more rights than the user of the file."""
    ROOT = "root"
    """Root, because only root may. The file must then be given to its user."""
    USER = "user"
    """The user of the file. An existing file there may be a trap for root."""


@contextmanager
def maker(path: Path, user: Identity | None) -> Iterator[Maker]:
    """Take the rights with which to make, replace or remove the file ``path`` for ``user``.

    The effective user of the whole process may change inside the context, so no other thread may
    use files meanwhile. Raises `OSError`.
    """
    if user is None or os.geteuid() != 0:
        yield Maker.ITSELF
    elif is_protected(path, user):
        yield Maker.ROOT
    else:
        with _acting_as(user):
            yield Maker.USER


def give_file(descriptor: int, user: Identity) -> None:
    """Make ``user`` the owner of an open file, if it is a regular file with a single name."""
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        os.fchown(descriptor, user.uid, user.gid)


def give_name(path: Path, user: Identity) -> None:
    """Make ``user`` the owner of the file at ``path``, which is in a protected directory."""
    os.chown(path, user.uid, user.gid, follow_symlinks=False)


def is_protected(path: Path, user: Identity) -> bool:
    """Return whether ``user`` cannot change which file ``path`` leads to.

    That holds if every directory on the way, including the directories that links lead to, belongs
    to root and is not writable for ``user``. Then ``user`` cannot replace ``/``, nor anything in a
    directory that cannot be replaced, so that the result remains true. In a sticky directory, a
    directory of root cannot be replaced, either.
    """
    try:
        passed = list(_directories(path.absolute()))
    except OSError:
        return False
    with _acting_as(user):
        return not any(os.access(each, os.W_OK, effective_ids=True) for each in passed)


def _directories(path: Path) -> Iterator[Path]:
    """Yield the directories that decide where ``path`` leads.

    Raises `OSError` if one of them does not belong to root.
    """
    directory = Path("/")
    names = list(reversed(path.parts[1:]))
    links = 0
    while names:
        holder = directory.lstat()
        if not _is_roots(holder):
            raise NotADirectoryError(errno.ENOTDIR, "not a directory of root", str(directory))
        name = names.pop()
        found = directory.parent if name == ".." else directory / name
        try:
            status = found.lstat()
        except FileNotFoundError:
            if names:
                raise
            yield directory  # the file itself does not exist yet
            return
        if not (holder.st_mode & stat.S_ISVTX and _is_roots(status)):
            yield directory
        if not stat.S_ISLNK(status.st_mode):
            directory = found
            continue
        links += 1
        if links > _MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
        target = found.readlink()
        if target.is_absolute():
            directory = Path("/")
        names += reversed(target.parts[target.is_absolute() :])


def _is_roots(status: os.stat_result) -> bool:
    return stat.S_ISDIR(status.st_mode) and status.st_uid == 0


@contextmanager
def _acting_as(user: Identity) -> Iterator[None]:
    """Change to the effective user and groups of ``user`` inside the context.

    The real and the saved user remain root, so that ``user`` may neither signal nor trace the
    process meanwhile.
    """
    groups, gid = os.getgroups(), os.getegid()
    try:
        os.setgroups(user.groups)
        os.setegid(user.gid)
        os.seteuid(user.uid)
        yield
    finally:
        os.seteuid(0)
        os.setegid(gid)
        os.setgroups(groups)
