"""Files that root makes for the user that the processes become.

A directory that this user can write to is not to be trusted: at any moment a name in it may become
a link to a file of root's. What is made in such a directory is therefore made as the user, with the
rights of the user. Elsewhere, such as in ``/run`` or ``/var/log``, the user could make nothing:
root makes it, and gives it to the user. The same holds for what is removed.
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

from rocket_cli._settings.users import Identity

_MOST_LINKS: Final = 40
"""Symbolic links on the way to a file, as Linux has it (path_resolution(7))."""


class Maker(Enum):
    """As whom the process makes a file."""

    ITSELF = "itself"
    """It has no rights that the user of the file has not."""
    ROOT = "root"
    """As root, where only root can. The file must be given to its user."""
    USER = "user"
    """As the user of the file. What is found there may be a trap."""


@contextmanager
def maker(path: Path, user: Identity | None) -> Iterator[Maker]:
    """Be the one to make, replace or remove the file ``path``, which is for ``user``.

    The effective user of the whole process may change meanwhile, so no other thread may use files.
    Raises `OSError`.
    """
    if user is None or os.geteuid() != 0:
        yield Maker.ITSELF
    elif is_protected(path, user):
        yield Maker.ROOT
    else:
        with _acting_as(user):
            yield Maker.USER


def give_file(descriptor: int, user: Identity) -> None:
    """Give an open file to ``user``, if it is a regular file that has one name."""
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink == 1:
        os.fchown(descriptor, user.uid, user.gid)


def give_name(path: Path, user: Identity) -> None:
    """Give to ``user`` what was made at ``path``, in a directory that is protected."""
    os.chown(path, user.uid, user.gid, follow_symlinks=False)


def is_protected(path: Path, user: Identity) -> bool:
    """Whether ``user`` cannot change what ``path`` leads to.

    Every directory on the way, those included to which links lead, belongs to root, and ``user``
    cannot write to it. The first one is a fixed point, and so is what a fixed point contains: what
    is found stays as it is. In a sticky directory, a directory of root's is fixed as well.
    """
    try:
        passed = list(_directories(path.absolute()))
    except OSError:
        return False
    with _acting_as(user):
        return not any(os.access(each, os.W_OK, effective_ids=True) for each in passed)


def _directories(path: Path) -> Iterator[Path]:
    """The directories that decide what ``path`` leads to. Raises `OSError` for one not root's."""
    directory = Path("/")
    names = list(reversed(path.parts[1:]))
    links = 0
    while names:
        holder = directory.lstat()
        if not _is_roots(holder):
            raise NotADirectoryError(errno.ENOTDIR, "not a directory of root's", str(directory))
        name = names.pop()
        found = directory.parent if name == ".." else directory / name
        try:
            status = found.lstat()
        except FileNotFoundError:
            if names:
                raise
            yield directory  # the file itself is still to be made
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
    """Have the effective user and groups of ``user``.

    The real and the saved user stay root, so that ``user`` may neither signal nor trace the
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
