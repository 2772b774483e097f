"""The file that tells the number of the supervisor's process."""

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
"""What flock(2) says where the file system has no locks."""


class PidFile:
    """A file with the number of this process, and a line's end.

    The process holds a lock on it (flock) as long as it runs, by which others see that it does: the
    number in a file that was left may be that of another program by now. Processes that are forked
    close their copy, so that the lock ends with this process.
    """

    def __init__(self, path: Path, origin: Origin, user: Identity | None = None) -> None:
        """Write nothing yet. In a directory that ``user`` can write to, it is made as ``user``."""
        self._path = path.absolute()
        self._origin = origin
        self._user = user
        self._descriptor: int | None = None
        os.register_at_fork(after_in_child=self._close)

    def write(self, predecessor: int | None = None) -> None:
        """Write the file, in one step.

        Raises `CommandError`, also when another process holds it, unless that is the
        ``predecessor``.
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
        """Remove the file, unless another process has taken it over, and give up the lock."""
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
        """Put a file of ours in the place of what is there; whether nobody else did meanwhile.

        1. Two commands start, and find a file that was left: the one that locks it may replace it.
        2. The other then finds that what it has locked has been replaced, and looks again.
        3. Or they find no file: one makes it, the other finds that it is there, and looks again.

        A file is locked before others can see it.
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
        """Lock the file that is there, unless the predecessor has; None: there is none.

        Raises `CommandError` when another process has.
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
                holder = _number(descriptor)
                if holder is None or holder != predecessor:
                    process = "another process" if holder is None else f"process {holder}"
                    raise CommandError(
                        f"{self._origin}: {self._path} says that {process} serves: stop that, or "
                        "name another file"
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
                    f"{self._origin}: {self._path} cannot be locked: {error.strerror}; name a "
                    "file in a local directory, such as /run"
                ) from error
            raise


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether ``path`` is the name of this open file."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(descriptor))


def _number(descriptor: int) -> int | None:
    try:
        return int(os.pread(descriptor, 32, 0).decode("ascii"))
    except ValueError:
        return None
