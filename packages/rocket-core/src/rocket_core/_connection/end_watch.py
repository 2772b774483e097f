"""What tells that a client has left while its request is served, without asking again and again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Watchable(Protocol):
    """A connection, as far as it is watched for its end.

    Attributes:
        descriptor: the number of the socket's file descriptor.
        armed: whether the poller knows the socket.
        lasting: whether the poller reports every arrival from now on.
    """

    descriptor: int
    armed: bool
    lasting: bool


class EndWatch(Protocol):
    """The Monitor, as far as it watches connections for their ends while they are served."""

    def watch_end(self, connection: Watchable, told: Callable[[], None], /) -> bool:
        """Have ``told`` called when the client may have left, until `unwatch_end`.

        For the thread that owns ``connection``, or one that keeps the owner from giving it away.
        ``told`` never waits and never raises. Any thread may call it, several times, and without a
        reason: it looks for itself, and ends the watch if the request is over. Returns False where
        the system cannot tell, so that ``told`` may never be called.

        What has happened before is not told: the caller looks once after this call.
        """

    def unwatch_end(self, connection: Watchable, /) -> None:
        """End the watch, if there is one. To be called before the connection is given away."""


class NoEndWatch:
    """An `EndWatch` without a Monitor, which tells nothing."""

    def watch_end(self, connection: Watchable, told: Callable[[], None], /) -> bool:
        """Return False."""
        del connection, told
        return False

    def unwatch_end(self, connection: Watchable, /) -> None:
        """Do nothing."""
        del connection
