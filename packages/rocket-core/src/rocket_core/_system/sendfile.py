"""Sending from a file without the bytes passing through Python, where the system can."""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

_READ_SIZE: Final = 64 * 1024
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


def send_copied(sock: socket.socket, descriptor: int, offset: int, count: int) -> int | None:
    """Read and send. The number of bytes taken, 0 at the file's end, None: not yet."""
    data = os.pread(descriptor, min(count, _READ_SIZE), offset)
    if not data:
        return 0
    try:
        return sock.send(data)
    except (BlockingIOError, InterruptedError):
        return None


def send_file(sock: socket.socket, descriptor: int, offset: int, count: int) -> int | None:
    """`os.sendfile`, or reading where the file or the system knows no such thing.

    The number of bytes taken, 0 at the file's end, None: not yet.
    """
    if not hasattr(os, "sendfile"):
        return send_copied(sock, descriptor, offset, count)
    try:
        return os.sendfile(sock.fileno(), descriptor, offset, count)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
        return send_copied(sock, descriptor, offset, count)
