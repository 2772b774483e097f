"""The way to a client on which something goes on without a thread: a connection, or a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from rocket_core import State

if TYPE_CHECKING:
    from rocket_core import CloseReason, SharedProtocol, Timeouts


class Channel(Protocol):
    """What a protocol in `rocket_wsgi._push` sends by, and what it notes there.

    Over HTTP/1.1 it is the `SharedConnection`, which has more about all methods, and over HTTP/2
    the `SharedStream` of one request. Any thread may use it. What is noted is carried out by
    `flush`, or once a method that the server has called returns.

    Where the view's response was withheld, the first piece that is queued is the head, or begins
    with it.
    """

    messages_received: int
    """The messages that have arrived completely. The protocol counts them."""

    @property
    def messages_sent(self) -> int:
        """The messages that were queued."""

    @property
    def connection(self) -> Any:
        """The `Connection`, whose methods are for its owner."""

    @property
    def over(self) -> bool:
        """Whether nothing can be sent or received any more."""

    @property
    def pending(self) -> int:
        """The bytes that were queued, and that the client has yet to take."""

    @property
    def blocked(self) -> bool:
        """Whether the client has to take something before more can be sent."""

    @property
    def waits_for_room(self) -> bool:
        """Whether nothing is read because all connections together hold too much."""

    def queue(self, data: bytes, *, control: bool = False, message: bool = False) -> bool:
        """Append ``data`` to what is to be sent; return False where it is refused."""

    def drop_message(self) -> None:
        """Count a message that the protocol refuses itself, because the client takes too little."""

    def drop_queued(self) -> int:
        """Drop all whole pieces whose sending has not begun; return how many bytes."""

    def end(self, after: State = ...) -> None:
        """Let nothing more be queued, and end once the client has taken all that is.

        After IDLE, the connection serves other requests. After LINGER, it is to close: at once, or
        once its other streams have ended. By default, a connection closes, and a stream leaves its
        connection as it is.
        """

    def call_at(self, when: float) -> None:
        """Have `SharedProtocol.due` called once at ``when``, and not at an earlier time."""

    def stop_reading(self) -> None:
        """Receive nothing from now on, until `go_on_reading`."""

    def go_on_reading(self) -> None:
        """Receive again, and have `SharedProtocol.received` called in any case."""

    def hold(self, count: int, begun: int = 0) -> None:
        """Note that the protocol holds ``count`` bytes that it has received and not handled.

        Of these, ``begun`` bytes wait for the client to send more.
        """

    def call(self) -> None:
        """Have `SharedProtocol.turn` called. Several calls before it are one."""

    def flush(self) -> None:
        """Carry out what was noted. Never waits, but makes calls of the system."""

    def cut(self, reason: CloseReason = ..., /) -> None:
        """Drop what is queued, and end without the client."""


class Source(Protocol):
    """Where a protocol takes from what has come: a `Connection`, or a `SharedStream`."""

    @property
    def timeouts(self) -> Timeouts:
        """The time-outs of the connection."""

    @property
    def buffered(self) -> int:
        """The number of bytes that have come and were not taken."""

    def take(self) -> bytes:
        """Take all of them."""


class Sharable(Protocol):
    """What a request came on: a `Connection`, or the exchange of a stream."""

    def share(self, protocol: SharedProtocol, /) -> Channel:
        """Have ``protocol`` send and receive from now on. The thread that serves calls this."""
