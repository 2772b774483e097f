"""The errors that this package raises."""

from __future__ import annotations


class RocketError(Exception):
    """The base of all errors of this package."""


class TransitionError(RocketError):
    """A connection was to enter a state that does not follow from its present one."""

    def __init__(self, source: str, target: str) -> None:
        super().__init__(f"a connection in state {source!r} cannot enter {target!r}")


class AddressError(RocketError, ValueError):
    """An address is malformed."""


class BindError(RocketError, OSError):
    """A listener cannot be bound to an address."""


class LifecycleError(RocketError):
    """A server was asked for something that its present phase does not allow."""


class NotYet(RocketError):  # noqa: N818 - names the state, as `BlockingIOError` does
    """The TLS layer needs the socket to become ready first.

    Attributes:
        interest: `READ` or `WRITE`, what the socket must be ready for.
    """

    def __init__(self, interest: int) -> None:
        super().__init__("the socket is not ready yet")
        self.interest = interest


class ClientGone(RocketError, ConnectionError):  # noqa: N818 - names the event, not a fault
    """The client has closed the connection, or was too slow and was disconnected."""


class SpoolError(RocketError, OSError):
    """There is no room for the body of a request, or no longer."""


class WaitError(RocketError):
    """A thread that all clients need was to wait for one client.

    Only `Worker.serve` may wait for its client. The other methods of a `Worker` may write up to
    16 KiB while nothing is unsent: for so much every connection has room.
    """


class ProxyHeaderError(RocketError, ConnectionError):
    """A connection does not begin with the PROXY protocol header that is expected."""
