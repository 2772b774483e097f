"""The order in which the streams of one connection are taken to be served (RFC 9218).

The most urgent ones come first; among equals, the order of the requests. That a response is
incremental matters once there is something to be sent: see `Scheduler`.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from rocket_wsgi._http2.priority import DEFAULT_URGENCY

if TYPE_CHECKING:
    from rocket_wsgi._http2.http2_exchange import HTTP2Exchange


class TurnOrder:
    """The streams that are complete and wait. The lock of the protocol guards it.

    Attributes:
        usual: those of the default urgency, which most have, in the order of their requests. The
            caller may append one that is not reserved, as `add` does.
    """

    __slots__ = ("_others", "_reserved", "usual")

    def __init__(self) -> None:
        self.usual: deque[HTTP2Exchange] = deque()
        self._others: dict[int, deque[HTTP2Exchange]] = {}
        """The rest by urgency, of which lower numbers come first. No level is empty."""
        self._reserved = 0
        """The number of those that are served even while all workers are busy."""

    def add(self, exchange: HTTP2Exchange) -> None:
        """Add a stream behind those that are as urgent."""
        self._reserved += exchange.reserved
        urgency = exchange.urgency
        if urgency == DEFAULT_URGENCY:
            self.usual.append(exchange)
        elif urgency in self._others:
            self._others[urgency].append(exchange)
        else:
            self._others[urgency] = deque((exchange,))

    def take(self) -> HTTP2Exchange | None:
        """Remove and return the stream whose turn it is; None if none waits."""
        others, usual = self._others, self.usual
        urgency = min(others) if others else DEFAULT_URGENCY
        if urgency < DEFAULT_URGENCY or (others and not usual):
            level = others[urgency]
            exchange = level.popleft()
            if not level:
                del others[urgency]
        elif usual:
            exchange = usual.popleft()
        else:
            return None
        if self._reserved:
            self._reserved -= exchange.reserved
        return exchange

    def take_reserved(self) -> HTTP2Exchange | None:
        """Remove and return the first stream that is served even while all workers are busy."""
        if not self._reserved:
            return None
        levels = {**self._others, DEFAULT_URGENCY: self.usual}
        found = next(
            exchange
            for _, level in sorted(levels.items())
            for exchange in level
            if exchange.reserved
        )
        self.remove(found)
        return found

    def remove(self, exchange: HTTP2Exchange) -> None:
        """Remove a stream, which waits."""
        self._reserved -= exchange.reserved
        urgency = exchange.urgency
        if urgency == DEFAULT_URGENCY:
            self.usual.remove(exchange)
            return
        level = self._others[urgency]
        level.remove(exchange)
        if not level:
            del self._others[urgency]

    def move(self, exchange: HTTP2Exchange, urgency: int) -> None:
        """Give a stream, which waits, another urgency."""
        if urgency != exchange.urgency:
            self.remove(exchange)
            exchange.urgency = urgency
            self.add(exchange)

    def clear(self) -> None:
        """Remove all streams."""
        self.usual.clear()
        self._others.clear()
        self._reserved = 0
