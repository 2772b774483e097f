"""The file with the process ID (PID) of the supervisor (``--pid``)."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from rocket_cli._errors import CommandError
from rocket_cli._logging.privileges import maker
from rocket_cli._settings.identity import Identity
from rocket_cli._settings.origin import Origin

_READ_WRITE: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK

_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL})
"""Errors of flock(2) on a file system without locks."""


class PidFile:
    """A file with the process ID of this process, and a newline.

    The process holds a lock on the file (flock) while it runs. The lock tells other processes that
    the server still runs; the number alone does not, because the process ID in a file that was left
    behind may belong to another program. Forked processes close their copies of the descriptor, so
    the lock ends with this process.
    """

    def __init__(self, path: Path, origin: Origin, user: Identity | None = None) -> None:
        """Write nothing yet.

        In a directory that ``user`` can write to, the file is made with the rights of ``user``.
        """
        self._path = path.absolute()
        self._origin = origin
        self._user = user
        self._descriptor: int | None = None
        os.register_at_fork(after_in_child=self._close)

    def write(self, predecessor: int | None = None) -> None:
        """Write the file, in one atomic step.

        Raises `CommandError` if that is impossible, or if a process other than ``predecessor``
        (a process ID) holds the lock.
        """
        try:
            with maker(self._path, self._user):
                path = Path(os.path.realpath(self._path))
                while not self._replace(path, predecessor):
                    pass
        except OSError as error:
            raise CommandError(
                f"{self._origin}: {self._path} cannot be written: {error.strerror}"
            ) from error

    def remove(self) -> None:
        """Remove the file, unless another process has taken it over, and release the lock."""
        if self._descriptor is None:
            return
        with suppress(OSError), maker(self._path, self._user):
            path = Path(os.path.realpath(self._path))
            if _is_at(self._descriptor, path):
                path.unlink()
        self._close()

    def _close(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _replace(self, path: Path, predecessor: int | None) -> bool:
        """Replace the present file by a new one; return False if another process was faster.

        Two commands that start at the same time, with a file that was left behind:

        1. Both open the file. The first locks it, and replaces it by its own file.
        2. The first process closes the old file, so the second can lock that.
        3. The second finds that the locked file is no longer at the path (`_is_at`), and starts
           over. Then it finds the new file, which is locked.

        Without a file, one of them makes the hard link, and the other fails with
        `FileExistsError` and starts over. A new file is locked before it is visible at the path.
        """
        present = self._take(path, predecessor)
        try:
            if present is not None and not _is_at(present, path):
                return False
            new = path.with_name(f".{secrets.token_hex(16)}")
            descriptor = os.open(new, _READ_WRITE | os.O_CREAT | os.O_EXCL, 0o666)
            try:
                self._lock(descriptor)
                os.write(descriptor, f"{os.getpid()}\n".encode())
                if present is None:
                    path.hardlink_to(new)
                    new.unlink()
                else:
                    new.replace(path)
            except BaseException as error:
                os.close(descriptor)
                with suppress(OSError):
                    new.unlink()
                if isinstance(error, FileExistsError):
                    return False
                raise
        finally:
            if present is not None:
                os.close(present)
        self._close()
        self._descriptor = descriptor
        return True

    def _take(self, path: Path, predecessor: int | None) -> int | None:
        """Open and lock the present file; return its descriptor, or None without such a file.

        A file that ``predecessor`` has locked is returned without a lock. Raises `CommandError` if
        another process has locked it.
        """
        try:
            descriptor = os.open(path, _READ_WRITE)
        except FileNotFoundError:
            return None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.EINVAL, "it is not a regular file")
            try:
                self._lock(descriptor)
            except BlockingIOError:
                holder = _process_id(descriptor)
                if holder is None or holder != predecessor:
                    process = "another process" if holder is None else f"process {holder}"
                    raise CommandError(
                        f"{self._origin}: {self._path} belongs to {process}, which runs: stop "
                        "that server, or choose another file"
                    ) from None
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _lock(self, descriptor: int) -> None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _NO_LOCKS:
                raise CommandError(
                    f"{self._origin}: {self._path} cannot be locked: {error.strerror}; "
                    "choose a file in a local directory, such as /run"
                ) from error
            raise


def _is_at(descriptor: int, path: Path) -> bool:
    """Return whether ``path`` is the path of this open file."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))


def _process_id(descriptor: int) -> int | None:
    """Return the process ID in an open file, or None if it contains something else."""
    try:
        return int(os.pread(descriptor, 32, 0).decode("ascii"))
    except ValueError:
        return None
