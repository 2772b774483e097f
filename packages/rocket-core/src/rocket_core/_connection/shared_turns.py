"""The turns in which a protocol is told of what happens to what it shares with many threads.

That is a connection (`SharedConnection`), or one of the streams of a connection, for which a layer
such as rocket-wsgi has a class of its own. To the protocol both are alike: any thread notes what it
wants, the owner carries it out, and a thread of the pool has the protocol do one thing in each
turn. What both have in common is here.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Protocol

from rocket_core._connection.turn_taker import TurnTaker
from rocket_core._native_classes import mypyc_attr

if TYPE_CHECKING:
    from rocket_core._state import CloseReason


class Told(Protocol):
    """The protocol, as the server calls it: see `SharedProtocol`."""

    kind: str
    supplies: bool
    dry: bool

    def received(self, connection: Any, /) -> None:
        """Take from the buffer what has come."""

    def output(self) -> bytes:
        """Return what is to be sent next; empty: nothing."""

    def lost(self) -> None:
        """Nothing can be sent or received any more."""

    def due(self, now: float, /) -> None:
        """The time that was noted has come."""

    def draining(self, shared: Any, /) -> None:
        """The server drains."""

    def turn(self) -> bool:
        """Do one thing; return whether others are left."""

    def drained(self) -> None:
        """The client has taken all that had to wait."""

    def ended(self, reason: CloseReason | None, /) -> None:
        """The connection is not shared any more."""

    def gives_way(self, *, asked: bool) -> bool:
        """Return whether the connection may be closed for a client that waits."""

    def overdue(self, shared: Any, /) -> None:
        """The present turn takes too long."""

    def outcome(self, reason: CloseReason | None, /) -> str:
        """Return what statistics call such an end."""

    def pace(self, now: float, /) -> float:
        """Return the bytes per second that have come lately of what has begun to arrive."""

    def streams(self) -> int | None:
        """Return how many requests are open; None: it is not for requests."""

    def stream_kinds(self) -> dict[str, int]:
        """Return how many of these there are of each kind."""

    def busy(self) -> bool:
        """Return whether a worker serves one of these, or is to."""

    def doing(self) -> str:
        """Return what the present turn is busy with."""


class Phase(Enum):
    """The life of a shared connection, or of a shared stream."""

    OPEN = "open"
    """Anything may be queued."""
    ENDING = "ending"
    """Nothing may be queued any more; what is, is sent."""
    OVER = "over"
    """It is not shared any more, or is broken."""

    __hash__ = object.__hash__


_OPEN: Final = Phase.OPEN
_OVER: Final = Phase.OVER


@mypyc_attr(allow_interpreted_subclasses=True)
class SharedTurns(TurnTaker):
    """What a protocol is told of in turns. Any thread may call the public methods.

    ``_lock`` guards all attributes, except where they tell something else.

    Attributes:
        held_input: see `InputRoom`.
        left: whether the Monitor's thread is going to flush this soon; see `Corks`. Any thread may
            read it, after it has noted something.
        messages_dropped: the messages that were refused. Any thread may read it.
        messages_received: the messages that have arrived completely. The protocol counts them in
            `SharedProtocol.received`, so that the owner alone changes it; any thread may read it.
        messages_sent: the messages that were queued. Any thread may read it.
        phase: whether it is still open.
        protocol: what is told.
        reason: once it is over, the reason for which it has ended; None: the connection serves
            requests again.
        unqueued: whether a turn is wanted that no thread has put into the queue of the pool yet.
            Any thread may read it.
        waits_for_room: see `InputRoom`.
    """

    __slots__ = (
        "_connection",
        "_drained",
        "_ended",
        "_told",
        "held_input",
        "left",
        "messages_dropped",
        "messages_received",
        "messages_sent",
        "phase",
        "protocol",
        "reason",
        "unqueued",
        "waits_for_room",
    )

    def __init__(self, connection: Any, protocol: Told) -> None:
        """Begin open, on ``connection``, which is a `Connection`."""
        TurnTaker.__init__(self)
        self._connection: Any = connection
        self.protocol = protocol
        self.phase = _OPEN
        self.reason: CloseReason | None = None
        self.held_input = 0
        self.left = False
        self.messages_dropped = 0
        self.messages_received = 0
        self.messages_sent = 0
        self.waits_for_room = False
        self.unqueued = False
        self._drained = False
        """Whether the protocol is to be told in its next turn that the client has taken all."""
        self._ended = False
        """Whether the protocol is to be told in its next turn that this is over."""
        self._told = False
        """Whether it has been told."""

    # -- any thread ------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Whether it is not shared any more, or broken: see `reason`."""
        return self.phase is _OVER

    def call(self) -> None:
        """Have `SharedProtocol.turn` called. Several calls before it are one."""
        with self._lock:
            if self._want():
                self.unqueued = True

    def drop_message(self) -> None:
        """Count a message that the protocol refuses itself, because the client takes too little."""
        with self._lock:
            self.messages_dropped += 1

    def hold(self, count: int, begun: int = 0) -> None:
        """Note that the protocol holds ``count`` bytes that it has received and not handled.

        Of these, ``begun`` bytes wait for the client to send more. While all connections together
        hold too much, nothing is read; see `InputRoom`. If clients keep the room occupied, the
        slowest is disconnected, see `SharedProtocol.pace`. To be called in
        `SharedProtocol.received` and `SharedProtocol.turn`, which are followed by a look at what
        waits for room; so is `flush`.
        """
        server = self._connection.server
        if server.room.hold(self, count, begun):
            server.pool.rouse()

    def input_pace(self, now: float) -> float:
        """Return the bytes per second that have come lately, for `InputRoom`."""
        return self.protocol.pace(now)

    # -- for the pool, as a `TurnTaker` ----------------------------------------------------------

    def take_unqueued(self) -> bool:
        """Return whether the caller is to put the turn into the queue of the pool."""
        if not self.unqueued:
            return False
        with self._lock:
            unqueued, self.unqueued = self.unqueued, False
            return unqueued

    def take_turn(self) -> bool:
        """Tell the protocol what has happened, and have it do one thing; return if more is left."""
        drained = ended = False
        if self._drained or self._ended:
            with self._lock:
                drained, self._drained = self._drained, False
                ended, self._ended = self._ended, False
        if ended:
            self._told = True
            protocol = self.protocol
            protocol.ended(self.reason)
            tally = self._connection.server.tally
            tally.count_outcome(protocol.kind, protocol.outcome(self.reason))
        elif drained:
            self.protocol.drained()
        again = self.protocol.turn()
        if not again and self.phase is _OVER and self.held_input:
            self.hold(0)
        return again

    @property
    def leaves(self) -> bool:
        """Whether the protocol has been told that this is over."""
        return self._told

    def overdue(self) -> None:
        """The present turn takes too long."""
        self.protocol.overdue(self)

    def doing(self) -> str:
        """Return what the present turn is busy with."""
        return self.protocol.doing()

    # -- for subclasses, with the lock -----------------------------------------------------------

    def _tell_drained(self) -> None:
        """Have the protocol told in a turn that the client has taken all that had to wait."""
        self._drained = True
        if self._want():
            self.unqueued = True

    def _tell_ended(self, reason: CloseReason | None) -> None:
        """Have the protocol told in a turn that this is over."""
        self.reason = reason
        self._ended = True
        if self._want():
            self.unqueued = True
