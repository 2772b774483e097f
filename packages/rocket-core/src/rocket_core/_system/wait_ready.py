"""Waiting for a single socket, on the thread that calls."""

from __future__ import annotations

import select
from typing import Final

from rocket_core._system.poller import READ, WRITE

if hasattr(select, "poll"):
    _EVENTS: Final = {
        READ: select.POLLIN,
        WRITE: select.POLLOUT,
        READ | WRITE: select.POLLIN | select.POLLOUT,
    }


def wait_ready(
    descriptor: int, interest: int, timeout: float | None, wake: int | None = None
) -> bool:
    """Wait until a socket is ready for ``interest``, or the descriptor ``wake`` is readable.

    ``timeout`` is in seconds (None: without limit). The result is false when it has passed. A
    socket that is closed, whose descriptor is negative, is ready: its next use fails.
    """
    if descriptor < 0:
        return True
    if hasattr(select, "poll"):
        poll = select.poll()
        poll.register(descriptor, _EVENTS[interest])
        if wake is not None:
            poll.register(wake, select.POLLIN)
        return bool(poll.poll(None if timeout is None else timeout * 1000))
    reading = [descriptor] if interest & READ else []  # pragma: no cover - Windows
    reading += [] if wake is None else [wake]  # pragma: no cover - Windows
    writing = [descriptor] if interest & WRITE else []  # pragma: no cover - Windows
    return any(select.select(reading, writing, [], timeout))  # pragma: no cover - Windows
