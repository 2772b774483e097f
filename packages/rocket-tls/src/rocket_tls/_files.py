"""Reading and replacing files that other processes read and replace at the same time."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from rocket_tls._errors import UnreadableError

_DESCRIPTORS: Final = Path("/proc/self/fd")

FileState = tuple[int, ...] | None
"""A value that differs after each change of a file; None if there is no file."""


def file_state(path: Path | str) -> FileState:
    """Return the present state of a file. This is one call of `os.stat`."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    # The time of the last change of status also tells of permissions that were corrected, and of
    # tools that set the time of modification back.
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def read_file(kind: str, path: Path) -> bytes:
    """Return the content of a file that messages call ``kind``. Raises `UnreadableError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(
            f"{kind} {path} cannot be read ({error.strerror}); "
            "name a PEM file that this user may read"
        ) from error


def replace_file(path: Path, content: bytes, *, mode: int) -> None:
    """Replace a file in one step: readers see the old content or all of the new content.

    Raises `OSError`; then the file is as it was.
    """
    descriptor, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


@contextmanager
def memory_file(content: bytes) -> Iterator[str]:
    """Yield the path of a file with ``content`` that only this user can read, and then remove it.

    Python lets OpenSSL read certificates and keys from files only. Raises `OSError`.
    """
    if hasattr(os, "memfd_create") and _DESCRIPTORS.exists():
        # Nothing is written to a disk, and no directory has to be writable.
        with os.fdopen(os.memfd_create("rocket-tls"), "wb") as file:
            file.write(content)
            file.flush()
            yield str(_DESCRIPTORS / str(file.fileno()))
        return
    with tempfile.NamedTemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.name
