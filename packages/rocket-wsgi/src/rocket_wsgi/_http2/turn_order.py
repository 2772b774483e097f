"""The order in which the streams of one connection are taken to be served (RFC 9218).

The most urgent ones come first; among equals, the order of the requests. That a response is
incremental matters once there is something to be sent: see `Scheduler`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rocket_wsgi._http2.http2_exchange import HTTP2Exchange


class TurnOrder:
    """The streams that are complete and wait. The lock of the protocol guards it."""

    __slots__ = ("_levels", "_reserved")

    def __init__(self) -> None:
        self._reserved = 0
        """The number of those that are served even while all workers are busy."""
        self._levels: dict[int, deque[HTTP2Exchange]] = {}
        """By urgency, of which lower numbers come first. No level is empty."""

    def __bool__(self) -> bool:
        return bool(self._levels)

    def add(self, exchange: HTTP2Exchange, urgency: int) -> None:
        """Add a stream behind those that are as urgent."""
        exchange.urgency = urgency
        self._reserved += exchange.reserved
        level = self._levels.get(urgency)
        if level is None:
            self._levels[urgency] = deque((exchange,))
        else:
            level.append(exchange)

    def take(self) -> HTTP2Exchange:
        """Remove and return the stream whose turn it is. There must be one."""
        levels = self._levels
        urgency = min(levels) if len(levels) > 1 else next(iter(levels))
        level = levels[urgency]
        exchange = level.popleft()
        self._reserved -= exchange.reserved
        if not level:
            del levels[urgency]
        return exchange

    def take_reserved(self) -> HTTP2Exchange | None:
        """Remove and return the first stream that is served even while all workers are busy."""
        if not self._reserved:
            return None
        found = next(
            exchange
            for _, level in sorted(self._levels.items())
            for exchange in level
            if exchange.reserved
        )
        self.remove(found)
        return found

    def remove(self, exchange: HTTP2Exchange) -> None:
        """Remove a stream, which waits."""
        level = self._levels[exchange.urgency]
        level.remove(exchange)
        self._reserved -= exchange.reserved
        if not level:
            del self._levels[exchange.urgency]

    def move(self, exchange: HTTP2Exchange, urgency: int) -> None:
        """Give a stream, which waits, another urgency."""
        if urgency != exchange.urgency:
            self.remove(exchange)
            self.add(exchange, urgency)

    def clear(self) -> None:
        """Remove all streams."""
        self._levels.clear()
        self._reserved = 0
