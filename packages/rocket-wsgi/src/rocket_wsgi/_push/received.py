"""What becomes of requests that a client sends before the present one is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rocket_wsgi._offers.channel import Channel, Source

_ENOUGH: Final = 16 * 1024
"""The number of buffered bytes from which on the client has to wait."""


def leave_in_buffer(source: Source, shared: Channel) -> None:
    """Leave what has come to the requests that follow, and receive no more if it is a lot.

    As long as the client may send, its end of stream is noticed, at which it has left.
    """
    if source.buffered >= _ENOUGH:
        shared.stop_reading()
