"""Sending a file without copying it through Python, where the system can (sendfile(2))."""

from __future__ import annotations

import errno
import os
import socket
from typing import Final

_READ_SIZE: Final = 64 * 1024
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})


def send_copied(sock: socket.socket, descriptor: int, offset: int, count: int) -> int | None:
    """Read from a file and send; return the number of bytes sent.

    0: the file has ended. None: the socket takes nothing yet. Raises `OSError`.
    """
    data = os.pread(descriptor, min(count, _READ_SIZE), offset)
    if not data:
        return 0
    try:
        return sock.send(data)
    except (BlockingIOError, InterruptedError):
        return None


def send_file(sock: socket.socket, descriptor: int, offset: int, count: int) -> int | None:
    """Send with `os.sendfile`, or by reading where the file or the system does not support that.

    The result is that of `send_copied`. Raises `OSError`.
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
