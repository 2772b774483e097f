"""Errors this package raises."""

from __future__ import annotations


class RocketError(Exception):
    """The base of every error of this package."""


class TransitionError(RocketError):
    """A connection was asked to enter a state that does not follow from its present one."""

    def __init__(self, source: str, target: str) -> None:
        super().__init__(f"a connection in state {source!r} cannot enter {target!r}")


class AddressError(RocketError, ValueError):
    """An address to bind is malformed."""


class BindError(RocketError, OSError):
    """An address cannot be listened on."""


class LifecycleError(RocketError):
    """A server was asked for something its present phase does not allow."""


class NotYet(RocketError):  # noqa: N818 - names the state, as BlockingIOError's users know it
    """A TLS layer needs the socket to become ready first.

    Attributes:
        interest: `READ` or `WRITE`, what the socket must be ready for.
    """

    def __init__(self, interest: int) -> None:
        super().__init__("not yet")
        self.interest = interest


class ClientGone(RocketError, ConnectionError):  # noqa: N818 - names the event, as the others do
    """The client closed the connection, or was too slow and was cut off."""


class SpoolError(RocketError, OSError):
    """There is no room for a body that arrives, or no longer."""


class WaitError(RocketError):
    """A connection was to be waited for by a thread that belongs to every client.

    Only `Worker.serve` may wait for its client. Elsewhere a worker writes no more than there is
    sure to be room for: up to `GRAIN` bytes while nothing is unsent.
    """


class ProxyHeaderError(RocketError, ConnectionError):
    """A connection that must begin with a PROXY protocol header does not."""
