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
        usual: those of the default urgency, which most have, in the order of their requests.
        others: the rest by urgency, of which lower numbers come first. No level is empty.
    """

    __slots__ = ("others", "usual")

    def __init__(self) -> None:
        self.usual: deque[HTTP2Exchange] = deque()
        self.others: dict[int, deque[HTTP2Exchange]] = {}

    def add(self, exchange: HTTP2Exchange) -> None:
        """Add a stream behind those that are as urgent."""
        urgency = exchange.urgency
        if urgency == DEFAULT_URGENCY:
            self.usual.append(exchange)
        elif urgency in self.others:
            self.others[urgency].append(exchange)
        else:
            self.others[urgency] = deque((exchange,))

    def take(self) -> HTTP2Exchange | None:
        """Remove and return the stream whose turn it is; None if none waits."""
        others = self.others
        if others:
            urgency = min(others)
            if urgency < DEFAULT_URGENCY or not self.usual:
                level = others[urgency]
                exchange = level.popleft()
                if not level:
                    del others[urgency]
                return exchange
        return self.usual.popleft() if self.usual else None

    def remove(self, exchange: HTTP2Exchange) -> None:
        """Remove a stream, which waits."""
        urgency = exchange.urgency
        if urgency == DEFAULT_URGENCY:
            self.usual.remove(exchange)
            return
        level = self.others[urgency]
        level.remove(exchange)
        if not level:
            del self.others[urgency]

    def move(self, exchange: HTTP2Exchange, urgency: int) -> None:
        """Give a stream, which waits, another urgency."""
        if urgency != exchange.urgency:
            self.remove(exchange)
            exchange.urgency = urgency
            self.add(exchange)

    def clear(self) -> None:
        """Remove all streams."""
        self.usual.clear()
        self.others.clear()
