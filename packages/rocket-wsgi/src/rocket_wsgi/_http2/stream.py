"""One stream of a session: a request and its response."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from rocket_wsgi._http2.limits import STREAM_WINDOW
from rocket_wsgi._http2.priority import DEFAULT_URGENCY
from rocket_wsgi._http2.request_head import NO_LENGTH
from rocket_wsgi._http2.stream_state import TRANSITIONS, StreamState, StreamStep

if TYPE_CHECKING:
    from rocket_core.extending import Transfer

_OPEN: Final = StreamState.OPEN
_HALF_CLOSED_LOCAL: Final = StreamState.HALF_CLOSED_LOCAL
_HALF_CLOSED_REMOTE: Final = StreamState.HALF_CLOSED_REMOTE


class End(Enum):
    """How a stream has ended, which decides what a later frame of it means (section 5.1)."""

    COMPLETE = "both sides have ended it"
    RESET_SENT = "the server has reset it"
    RESET_RECEIVED = "the client has reset it"


class Stream:
    """What a session keeps of a stream. The session's caller refers to it by its number.

    Attributes:
        number: the number of the stream.
        state: the present state.
        end: how it ended, if it is CLOSED.
        released: whether the application is done with it.
        tunnel: whether it carries another protocol (RFC 8441), and so has no trailers.
        length: the announced length of the request's body, or `NO_LENGTH`.
        received: the bytes of it that have arrived.
        credit: the bytes that are stored or read, and have not been announced to the client.
        held: the bytes that the caller has got, and given no credit for.
        window_in: the bytes that the client may still send.
        window_out: the bytes that the server may still send. It may be negative.
        urgency: the priority of the response; lower is more urgent.
        incremental: whether the client can use a part of the response.
        answered: whether the head of the response, not of an interim one, is in ``blocks`` or sent.
        finished: whether nothing is added to the response any more, sent or not.
        broken: whether it is incomplete then, so that the stream is to be reset behind it.
        blocks: field blocks of heads to be sent.
        pieces: parts of the body to be sent. Of the first, ``offset`` bytes have been.
        pending: the bytes of the body to be sent.
        trailers: the field block of the trailers, empty without.
        blocked: whether the body waits for the window of the stream.
        incoming: the pace of the client with the request's body, while that arrives.
        outgoing: the pace of the client with the windows, once it has made the server wait.
    """

    __slots__ = (
        "answered",
        "blocked",
        "blocks",
        "broken",
        "credit",
        "end",
        "finished",
        "held",
        "incoming",
        "incremental",
        "length",
        "number",
        "offset",
        "outgoing",
        "pending",
        "pieces",
        "received",
        "released",
        "state",
        "trailers",
        "tunnel",
        "urgency",
        "window_in",
        "window_out",
    )

    def __init__(self, number: int, window_out: int) -> None:
        self.number = number
        self.state = _OPEN
        self.end = End.COMPLETE
        self.released = False
        self.tunnel = False
        self.length = NO_LENGTH
        self.received = 0
        self.credit = 0
        self.held = 0
        self.window_in = STREAM_WINDOW
        self.window_out = window_out
        self.urgency = DEFAULT_URGENCY
        self.incremental = False
        self.answered = False
        self.finished = False
        self.broken = False
        self.blocks: list[bytes] = []
        self.pieces: list[bytes] = []
        self.offset = 0
        self.pending = 0
        self.trailers = b""
        self.blocked = False
        self.incoming: Transfer | None = None
        self.outgoing: Transfer | None = None

    @property
    def receives(self) -> bool:
        """Whether the client may send a part of the request."""
        return self.state is _OPEN or self.state is _HALF_CLOSED_LOCAL

    @property
    def sends(self) -> bool:
        """Whether the server may send a part of the response."""
        return self.state is _OPEN or self.state is _HALF_CLOSED_REMOTE

    def step(self, step: StreamStep) -> bool:
        """Take a step; whether the table has it."""
        following = TRANSITIONS.get((self.state, step))
        if following is None:
            return False
        self.state = following
        return True

    def drop_output(self) -> None:
        """Forget what has not been sent."""
        self.blocks.clear()
        self.pieces.clear()
        self.pending = 0
        self.offset = 0
        self.trailers = b""
        self.blocked = False
        self.outgoing = None
