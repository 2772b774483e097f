"""Keeps a client from making work for nothing. The limits, and their reasons, are in `limits`."""

from __future__ import annotations

from typing import Final

from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.faults import SessionError
from rocket_wsgi._http2.limits import (
    BYTES_PER_UPDATE,
    CONNECTION_WINDOW,
    IDLE_FRAMES_PER_SECOND,
    MAX_IDLE_FRAMES,
    MAX_RESETS,
    RESETS_PER_SECOND,
    UPDATES_PER_FRAME,
)
from rocket_wsgi._http2.token_bucket import TokenBucket

_MOST_EARNED: Final = CONNECTION_WINDOW
"""The bytes sent that are kept for later WINDOW_UPDATE frames."""

_PER_FRAME: Final = UPDATES_PER_FRAME * BYTES_PER_UPDATE


class Guard:
    """The budgets of one connection. All methods raise `SessionError` if one is used up."""

    __slots__ = ("_earned", "_idle", "_resets")

    def __init__(self, now: float) -> None:
        self._resets = TokenBucket(MAX_RESETS, RESETS_PER_SECOND, now)
        self._idle = TokenBucket(MAX_IDLE_FRAMES, IDLE_FRAMES_PER_SECOND, now)
        self._earned = 0

    def reset(self, now: float) -> None:
        """Count a stream that the client has reset, or that was reset for a fault of it."""
        if not self._resets.take(now):
            raise _too_many("streams are reset")

    def idle_frame(self, now: float, count: int = 1) -> None:
        """Count a frame that moves nothing, or ``count`` of them."""
        if not self._idle.take(now, count):
            raise _too_many("frames move nothing")

    def sent(self, count: int, *, cut: bool, frames: int = 1) -> None:
        """Note that DATA frames were sent, for whose ``count`` bytes the client may give credit.

        ``cut`` tells that they are smaller than they could be, because the client's window is so
        small.
        """
        earned = self._earned + (count if cut else count + frames * _PER_FRAME)
        self._earned = min(earned, _MOST_EARNED)

    def update(self, now: float) -> None:
        """Count a WINDOW_UPDATE."""
        if self._earned >= BYTES_PER_UPDATE:
            self._earned -= BYTES_PER_UPDATE
        else:
            self.idle_frame(now)


def _too_many(what: str) -> SessionError:
    return SessionError(ErrorCode.ENHANCE_YOUR_CALM, f"too many {what}")
