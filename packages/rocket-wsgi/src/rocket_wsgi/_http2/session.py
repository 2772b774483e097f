"""One HTTP/2 connection without its socket: bytes in, events out; responses in, bytes out.

Theory of operation. A session decides, and its caller acts (RFC 9113). Every method is short, does
no I/O and does not wait. One lock of the caller guards a session with all its parts; events are
acted upon, and applications called, without the lock. Times are arguments, by `time.monotonic`.

How it is used on a shared connection:

- The thread that owns the connection passes what has come to `receive`, and gets the events. It
  queues the streams of `RequestArrived` for the pool, adds `BodyArrived` to the body of its stream,
  marks the exchange of a `StreamReset`, and moves one that waits after `PriorityChanged`. ``held``
  is what is to be told to the server (`SharedConnection.hold`).
- When a part of a body has been stored, or the application has read it, `credit` lets the client
  send as much again on that stream. The connection as a whole gets its credit at once: so a stream
  whose application does not read stalls no other.
- A thread of the pool answers by `inform` (interim responses), `respond`, `send` and `finish`. The
  field blocks are encoded before, without the lock (`hpack_encoder`). These return False once the
  stream has ended; then the application may stop. Before more is added, the thread waits while
  `stream_pending` or ``pending`` exceeds what the caller allows.
- When the application is done, `release` frees the slot of the stream, and ends what was not
  finished. Until then the stream counts, even if the client has reset it.
- After every such step the caller takes the output with `take`, a bounded piece at a time, and puts
  it into that of the connection under the same lock. A thread that knows that another response is
  about to follow may leave that to the next one (cork). What is not taken can still be overtaken by
  what is more urgent, so the caller takes only what the connection has room for.
- At ``deadline``, the caller calls `tick`. Deadlines move away as frames arrive; a caller may look
  them up only when an earlier one has come. A request whose body is late (`BodyLate`) is answered
  by the caller, or its stream reset.
- Once the state is CLOSED, the caller takes the rest of the output, and ends the connection;
  ``failure`` and ``reason`` say why. Applications at work find that nothing can be sent.

Errors of the client end a stream or the session as RFC 9113 says. Each reset that it provokes is
counted as one of its own. The limits are in `limits`.
"""

from __future__ import annotations

from dataclasses import replace
from math import inf
from typing import Final

from rocket_core import Timeouts
from rocket_core.extending import Transfer
from rocket_wsgi._http2.block_assembly import BlockAssembly
from rocket_wsgi._http2.client_settings import ENTRY_SIZE, ClientSettings
from rocket_wsgi._http2.error_codes import ErrorCode, error_code
from rocket_wsgi._http2.events import (
    BodyArrived,
    BodyLate,
    Event,
    PriorityChanged,
    RequestArrived,
    RequestMalformed,
    StreamReset,
    TrailersArrived,
)
from rocket_wsgi._http2.faults import SessionError, StreamError
from rocket_wsgi._http2.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HAS_PRIORITY,
    HEAD,
    HEAD_SIZE,
    HEADERS,
    MAX_FRAME,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_UPDATE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    STREAM_MASK,
    WINDOW_UPDATE,
    frame,
    goaway,
    number_in,
    rst_stream,
    window_update,
)
from rocket_wsgi._http2.guard import Guard
from rocket_wsgi._http2.hpack_decoder import TARGET_TOO_LONG, FieldBlock, HpackDecoder
from rocket_wsgi._http2.limits import (
    CONNECTION_WINDOW,
    DRAIN_ROUND_TRIP,
    MAX_FUTURE,
    MAX_REQUESTS,
    MAX_SETTINGS,
    MAX_STALLS,
    MAX_STREAMS,
    MAX_TABLE,
    PREFACE_TIMEOUT,
    STALL_TIMEOUT,
    STREAM_WINDOW,
)
from rocket_wsgi._http2.paced_streams import PacedStreams
from rocket_wsgi._http2.priority import parse_priority
from rocket_wsgi._http2.request_head import (
    NO_LENGTH,
    RequestHead,
    check_trailers,
    read_head,
    refused_head,
)
from rocket_wsgi._http2.sender import Sender
from rocket_wsgi._http2.session_state import TRANSITIONS, SessionState, SessionStep
from rocket_wsgi._http2.stream import End, Stream
from rocket_wsgi._http2.stream_numbers import StreamNumbers
from rocket_wsgi._http2.stream_state import StreamState, StreamStep

_unpack: Final = HEAD.unpack_from
_WHOLE_HEAD: Final = END_HEADERS | END_STREAM
_SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0, b"")
_DRAIN_PING: Final = b"draining"
"""The payload of the PING whose answer shows that the client has got the first GOAWAY."""

TOO_SLOW: Final = "the client is too slow"
"""Why a stream is reset whose client does not move its request, or the response, in time."""

_OF_CONNECTION: Final = frozenset({SETTINGS, PING, GOAWAY, PRIORITY_UPDATE})
_OF_STREAMS: Final = frozenset({RST_STREAM, CONTINUATION, PRIORITY, PUSH_PROMISE})

# Look-ups of attributes of an enum are expensive.
_PREFACE: Final = SessionState.PREFACE
_GREETED: Final = SessionState.GREETED
_SERVING: Final = SessionState.OPEN
_DRAINING: Final = SessionState.DRAINING
_LEAVING: Final = SessionState.LEAVING
_CLOSED: Final = SessionState.CLOSED
_STREAM_CLOSED: Final = StreamState.CLOSED
_HALF_CLOSED_LOCAL: Final = StreamState.HALF_CLOSED_LOCAL
_HALF_CLOSED_REMOTE: Final = StreamState.HALF_CLOSED_REMOTE
_COMPLETE: Final = End.COMPLETE
_CLIENT_ENDS: Final = StreamStep.CLIENT_ENDS
_RESET: Final = StreamStep.RESET
_PROTOCOL_ERROR: Final = ErrorCode.PROTOCOL_ERROR
_FRAME_SIZE_ERROR: Final = ErrorCode.FRAME_SIZE_ERROR
_FLOW_CONTROL_ERROR: Final = ErrorCode.FLOW_CONTROL_ERROR
_ENHANCE_YOUR_CALM: Final = ErrorCode.ENHANCE_YOUR_CALM


def stream_timeouts(timeouts: Timeouts) -> Timeouts:
    """Return the time-outs for the streams of connections with ``timeouts``."""
    return replace(timeouts, stall=max(timeouts.stall, STALL_TIMEOUT))


class Session:
    """The state of one HTTP/2 connection.

    Attributes:
        state: the present state.
        failure: the error code of the last GOAWAY frame, or None while none was sent.
        reason: the reason beside it, for logs; empty if no side has made an error.
        requests: the number of requests so far.
        held: the bytes of bodies that the caller has got, and given no credit for.
    """

    __slots__ = (
        "_ahead",
        "_begun",
        "_block",
        "_credit",
        "_decoder",
        "_drain_ends",
        "_events",
        "_future",
        "_guard",
        "_idle_since",
        "_now",
        "_numbers",
        "_paced",
        "_partial_since",
        "_rest",
        "_sender",
        "_settings",
        "_stalls",
        "_stopped_at",
        "_streams",
        "_timeouts",
        "failure",
        "held",
        "reason",
        "requests",
        "state",
    )

    def __init__(self, now: float, timeouts: Timeouts) -> None:
        """Begin a session at ``now``. ``timeouts`` come from `stream_timeouts`."""
        self.state = SessionState.PREFACE
        self.failure: ErrorCode | None = None
        self.reason = ""
        self.requests = 0
        self.held = 0
        self._now = self._begun = self._idle_since = now
        self._timeouts = timeouts
        self._guard = Guard(now)
        self._sender = Sender(self._guard, timeouts)
        self._decoder = HpackDecoder()
        self._settings = ClientSettings()
        self._streams: dict[int, Stream] = {}
        """The streams that are not closed, or whose application is at work."""
        self._numbers = StreamNumbers()
        self._paced = PacedStreams()
        self._future: dict[int, tuple[int, bool]] = {}
        """Priorities of streams that have not begun."""
        self._events: list[Event] = []
        self._rest = b""
        """The beginning of a frame."""
        self._ahead = 0
        """The bytes of it that have been counted for the pace of the client."""
        self._partial_since = inf
        """Since when a frame, other than a part of a body, or a field block is incomplete."""
        self._block = BlockAssembly()
        self._credit = 0
        self._stalls = 0
        self._drain_ends = inf
        self._stopped_at = inf
        """Since when the time of the client stands still; infinite: it does not."""

    # The client's side. The thread that owns the connection calls these.

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Take bytes that have come; return what they amount to."""
        if self.state is _CLOSED:
            return []
        self._now = now
        events: list[Event] = []
        self._events = events
        try:
            self._read(self._rest + data if self._rest else data)
        except SessionError as error:
            self._fail(error.code, error.reason)
        self._events = []
        return events

    def gone(self) -> None:
        """Note that the client has left, or that the connection broke."""
        if self._step(SessionStep.END):
            self._drop_all()
            self._sender.discard()

    # The application's side. Threads of the pool call these.

    def is_open(self, number: int) -> bool:
        """Return whether something can be sent on a stream."""
        stream = self._streams.get(number)
        return stream is not None and self.state is not _CLOSED and self._sends(stream)

    def inform(self, number: int, block: bytes) -> bool:
        """Send an interim response, whose encoded fields are ``block`` (section 8.1)."""
        stream = self._streams.get(number)
        if stream is None or self.state is _CLOSED or not self._sends(stream) or stream.answered:
            return False
        self._sender.head(stream, block)
        return True

    def respond(self, number: int, block: bytes, body: bytes, now: float, *, end: bool) -> bool:
        """Send the head of the response, ``block``, and the beginning of its body.

        ``end`` says that this is all of it.
        """
        stream = self._streams.get(number)
        if stream is None or self.state is _CLOSED or not self._sends(stream) or stream.answered:
            return False
        if end:
            self._sender.whole(stream, block, body, now)
            self._pace(stream)
            if self._sender.completed:
                self._complete()
        else:
            stream.answered = True
            self._sender.head(stream, block)
            if body:
                self._sender.body(stream, body, now)
                self._pace(stream)
        return True

    def answer(self, number: int, block: bytes, body: bytes, now: float) -> int:
        """`respond` with all of the response, and `release`, as most applications end a stream.

        Returns how many bytes of output wait, without those that wait for a window.
        """
        stream = self._streams.get(number)
        if (
            stream is None
            or stream.state is not _HALF_CLOSED_REMOTE
            or stream.finished
            or stream.answered
            or self.state is _CLOSED
            or not self._sender.shortcut(stream, block, body)
        ):
            self.respond(number, block, body, now, end=True)
            self.release(number, now)
            return self._sender.size
        # What follows is what becomes of the stream by the usual steps.
        stream.answered = stream.finished = stream.released = True
        stream.state = _STREAM_CLOSED
        self._now = now
        self._forget(stream)
        return self._sender.size

    def send(self, number: int, data: bytes, now: float) -> bool:
        """Send a part of the body."""
        stream = self._streams.get(number)
        if stream is None or self.state is _CLOSED or not self._sends(stream):
            return False
        if not stream.answered:
            return False
        if data:
            self._sender.body(stream, data, now)
            self._pace(stream)
        return True

    def finish(self, number: int, trailers: bytes = b"") -> bool:
        """End the response, with the encoded fields ``trailers``, if there are any."""
        stream = self._streams.get(number)
        if stream is None or self.state is _CLOSED or not self._sends(stream):
            return False
        if not stream.answered:
            return False
        self._sender.finish(stream, trailers)
        return True

    def reset(self, number: int, code: ErrorCode) -> None:
        """End a stream at once, by the server's wish."""
        stream = self._streams.get(number)
        if stream is not None and self.state is not _CLOSED:
            self._reset(stream, code)

    def credit(self, number: int, count: int, now: float) -> None:
        """Let the client send ``count`` bytes more, because these were stored or read."""
        stream = self._streams.get(number)
        if stream is None or self.state is _CLOSED:
            return
        self._now = now
        count = min(count, stream.held)
        stream.held -= count
        self.held -= count
        self._give(stream, count)

    def release(self, number: int, now: float) -> None:
        """Note that the application is done with a stream, which frees its slot.

        A response that was not finished is cut off with INTERNAL_ERROR, behind what there is of it.
        If the client has not sent all of its request by the end of the response, it is told to stop
        (section 8.1).
        """
        stream = self._streams.get(number)
        if stream is None or stream.released:
            return
        self._now = now
        stream.released = True
        if self._sends(stream) and self.state is not _CLOSED:
            if stream.answered:
                self._sender.break_off(stream)
            else:
                self._reset(stream, ErrorCode.INTERNAL_ERROR)
        self._free(stream)

    def pace(self, number: int, now: float) -> float:
        """Return the bytes per second that the client sends of a body, or else takes of one.

        Any thread may call this, without the lock.
        """
        stream = self._streams.get(number)
        transfer = None if stream is None else stream.incoming or stream.outgoing
        return 0.0 if transfer is None else transfer.pace(now)

    def stream_pending(self, number: int) -> int:
        """Return how many bytes of the body of a response wait to be taken."""
        stream = self._streams.get(number)
        return 0 if stream is None else stream.pending

    def is_answered(self, number: int) -> bool:
        """Return whether the head of the response, not of an interim one, was given."""
        stream = self._streams.get(number)
        return stream is not None and stream.answered

    def is_complete(self, number: int) -> bool:
        """Return whether all of the response was taken, or nothing more can be."""
        stream = self._streams.get(number)
        return stream is None or not stream.sends

    def is_receiving(self, number: int) -> bool:
        """Return whether the client may still send on a stream."""
        stream = self._streams.get(number)
        return stream is not None and stream.receives

    def is_blocked(self, number: int) -> bool:
        """Return whether a part of a body waits for the client's windows."""
        stream = self._streams.get(number)
        return (
            stream is not None
            and stream.pending > 0
            and (stream.window_out <= 0 or self._sender.window <= 0)
        )

    def take_turns(self, number: int) -> None:
        """Have a stream take turns with others of its urgency, since its body goes on for long."""
        stream = self._streams.get(number)
        if stream is not None:
            self._sender.prioritize(stream, stream.urgency, True)

    def shorten(self, number: int, keep: int, now: float) -> None:
        """Forget what waits of a body, but for the first ``keep`` bytes."""
        stream = self._streams.get(number)
        if stream is not None:
            self._sender.shorten(stream, keep, now)

    # The connection's side.

    @property
    def pending(self) -> int:
        """The bytes of the bodies of all responses that wait to be taken."""
        return self._sender.pending

    @property
    def streams(self) -> int:
        """The number of streams that count."""
        return len(self._streams)

    @property
    def waits(self) -> bool:
        """Whether there is output to be taken."""
        return self._sender.waits

    def take(self, limit: int, now: float) -> bytes:
        """Take about ``limit`` bytes of output, at most a frame more; empty if there is none."""
        taken = self._sender.take(limit, now)
        if self._sender.completed:
            self._complete()
        return taken

    def drain(self, now: float) -> None:
        """Begin to end the session gracefully: requests on their way are still served.

        The last one is certain after the answer to a PING, or after a second (section 6.8).
        """
        if self._step(SessionStep.DRAIN):
            self._drain_ends = now + DRAIN_ROUND_TRIP
            self._sender.frame(goaway(STREAM_MASK, ErrorCode.NO_ERROR))
            self._sender.frame(frame(PING, 0, 0, _DRAIN_PING))
        elif self.state is _PREFACE or self.state is _GREETED:
            self._end()

    def stop_time(self, now: float) -> None:
        """Let the time of the client stand still, because from ``now`` on nothing is read.

        Neither what it sends nor the credit that it gives arrives meanwhile.
        """
        if self._stopped_at == inf:
            self._stopped_at = now
            self._paced.pause(now)
            self._sender.pause(now)

    def go_on(self, now: float) -> None:
        """Let the time of the client go on, if it stands still, because something is read again."""
        if self._stopped_at != inf:
            self._partial_since += now - self._stopped_at
            self._stopped_at = inf
            self._paced.resume(now)
            self._sender.resume(now)

    def fail(self, code: ErrorCode, reason: str) -> None:
        """End the session at once, by the server's wish."""
        self._fail(code, reason)

    @property
    def deadline(self) -> float:
        """When `tick` is due, as things stand; infinite if never."""
        if (
            self.state is _SERVING
            and self._streams
            and not self._paced.streams
            and self._partial_since == inf
            and self._sender.outgoing is None
        ):
            return inf  # as below: only the application is waited for
        if self.state is _CLOSED:
            return inf
        if self.state is _PREFACE or self.state is _GREETED:
            return self._begun + PREFACE_TIMEOUT
        if self._stopped_at != inf:
            return self._drain_ends
        due = min(self._drain_ends, self._partial_since + self._timeouts.head)
        if not self._streams:
            due = min(due, self._idle_since + self._timeouts.keep_alive)
        if self._sender.outgoing is not None and self._sender.stuck:
            due = min(due, self._sender.outgoing.deadline)
        return min(due, self._paced.deadline)

    def tick(self, now: float) -> list[Event]:
        """Do what is due at ``now``; return the events of streams that end by it."""
        if self.state is _CLOSED or now < self.deadline:
            return []
        self._now = now
        events: list[Event] = []
        self._events = events
        try:
            self._do_due()
        except SessionError as error:
            self._fail(error.code, error.reason)
        self._events = []
        return events

    # Frames.

    # In one piece, because every frame passes through it and each call costs.
    def _read(self, data: bytes) -> None:  # noqa: C901
        position = 0
        if self.state is _PREFACE:
            if not data.startswith(PREFACE):
                if not PREFACE.startswith(data):
                    raise _protocol("the connection preface is missing")
                self._rest = data
                return
            self._step(SessionStep.PREFACE)
            position = len(PREFACE)
        start = position
        end = len(data)
        streams, numbers, recall = self._streams, self._numbers, self._decoder.recall
        usual = self.state is _SERVING and not self._block.stream
        while end - position >= HEAD_SIZE:
            first, flags, number = _unpack(data, position)
            size = first >> 8
            if size > MAX_FRAME:
                raise SessionError(_FRAME_SIZE_ERROR, "a frame is too large")
            begin = position + HEAD_SIZE
            if begin + size > end:
                break
            position = begin + size
            payload = data[begin:position]
            kind = first & 0xFF
            if (
                usual
                and flags == _WHOLE_HEAD
                and kind == HEADERS
                and number == numbers.last + 2
                and len(streams) < MAX_STREAMS
            ):
                # The usual request: it is whole, and its head is known. `_frame` would do the same.
                head = recall(payload)
                if head is not None and not head.status and head.length <= 0:
                    numbers.last = number
                    self._open(number, head, True)
                    usual = self.state is _SERVING
                    continue
            self._frame(kind, flags, number & STREAM_MASK, payload)
            if self.state is _CLOSED:
                break
            usual = self.state is _SERVING and not self._block.stream
        self._rest = data[position:]
        if position < end or self._block.stream:
            self._note_partial(position > start)
        else:
            self._partial_since = inf

    def _note_partial(self, progress: bool) -> None:
        """Note that a frame or a field block is incomplete; ``progress`` says that others came."""
        rest = self._rest
        if len(rest) >= HEAD_SIZE and rest[3] == DATA:
            stream = self._streams.get(number_in(rest, 5) & STREAM_MASK)
            if stream is not None and stream.receives:
                ahead = len(rest) - HEAD_SIZE
                if stream.incoming is not None:
                    stream.incoming.move(ahead - self._ahead, self._now)
                self._ahead = ahead
                self._partial_since = inf
                return
        if self._partial_since == inf or (progress and not self._block.stream):
            self._partial_since = self._now

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        if self._block.stream and (kind != CONTINUATION or number != self._block.stream):
            raise _protocol("a field block is not continued")
        if self.state is _GREETED and (kind != SETTINGS or flags & ACK):
            raise _protocol("the first frame is not SETTINGS")
        try:
            if kind == HEADERS:
                self._take_headers(flags, number, payload)
            elif kind == DATA:
                self._take_data(flags, number, payload)
            elif kind == WINDOW_UPDATE:
                self._take_window_update(number, payload)
            elif number:
                self._take_stream_frame(kind, flags, number, payload)
            else:
                self._take_connection_frame(kind, flags, payload)
        except StreamError as error:
            self._reset_for_fault(number, error.code, error.reason)

    def _take_stream_frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        """Take a frame that belongs to a stream and is not one of the usual ones."""
        if kind == RST_STREAM:
            self._take_reset(number, payload)
        elif kind == CONTINUATION:
            self._take_continuation(flags, number, payload)
        elif kind == PRIORITY:
            self._take_priority(number, payload)
        elif kind in _OF_CONNECTION:
            raise _protocol("a frame about the connection has a stream")
        elif kind == PUSH_PROMISE:
            raise _protocol("a client pushes")
        else:
            self._guard.idle_frame(self._now)  # an unknown type is ignored (section 5.5)

    def _take_connection_frame(self, kind: int, flags: int, payload: bytes) -> None:
        """Take a frame of stream 0."""
        if kind == SETTINGS:
            self._take_settings(flags, payload)
        elif kind == PING:
            self._take_ping(flags, payload)
        elif kind == GOAWAY:
            if len(payload) < 8:
                raise SessionError(_FRAME_SIZE_ERROR, "GOAWAY is too short")
            self._guard.idle_frame(self._now)
            self._leave()  # no request follows, and one that does may be repeated elsewhere
        elif kind == PRIORITY_UPDATE:
            self._take_priority_update(payload)
        elif kind in _OF_STREAMS:
            raise _protocol("a frame about a stream has none")
        else:
            self._guard.idle_frame(self._now)

    # Heads (sections 6.2 and 6.10).

    def _take_headers(self, flags: int, number: int, payload: bytes) -> None:
        if not number & 1:
            raise _protocol("a client begins a stream with an odd number")
        if flags & (PADDED | HAS_PRIORITY):
            payload = _content(flags, payload)
        ended = flags & END_STREAM != 0
        if flags & END_HEADERS:
            self._take_block(number, payload, ended)
        else:
            self._block.begin(number, payload, ended)

    def _take_continuation(self, flags: int, number: int, payload: bytes) -> None:
        block = self._block
        if not block.stream:
            raise _protocol("CONTINUATION continues nothing")
        block.add(payload)
        if flags & END_HEADERS:
            self._take_block(number, block.take(), block.ended)

    def _take_block(self, number: int, block: bytes, ended: bool) -> None:
        """Take a whole field block. It is decoded in any case, so that the table is right."""
        decoded = self._decoder.decode(block)
        stream = self._streams.get(number)
        if number > self._numbers.last:
            self._begin(number, decoded, ended)
        elif stream is not None and stream.receives:
            self._take_trailers(stream, decoded, ended)
        else:
            self._numbers.check_head(number)
            self._misplaced(number, stream)

    def _begin(self, number: int, decoded: FieldBlock, ended: bool) -> None:
        """Begin a stream with the head of a request."""
        self._numbers.begin(number)
        if self.state is _LEAVING:
            self._guard.idle_frame(self._now)  # its number is in no GOAWAY: it was not served
            return
        if len(self._streams) >= MAX_STREAMS:
            raise StreamError(ErrorCode.REFUSED_STREAM, "too many streams at a time")
        try:
            head = decoded.head or self._read_head(decoded)
            if ended and head.length > 0:
                raise StreamError(_PROTOCOL_ERROR, "a body is shorter than its content-length")
        except StreamError as error:
            known = refused_head(400, error.reason, decoded.fields)
            self._events.append(RequestMalformed(number, known, error.reason))
            raise
        if head.status:
            self._guard.reset(self._now)
        self._open(number, head, ended)

    def _read_head(self, decoded: FieldBlock) -> RequestHead:
        """Find out what a block means as the head of a request."""
        if decoded.excess:
            status = 414 if decoded.excess == TARGET_TOO_LONG else 431
            return refused_head(status, decoded.excess, decoded.fields)
        decoded.head = head = read_head(decoded.fields)
        return head

    def _open(self, number: int, head: RequestHead, ended: bool) -> None:
        """Open the stream of a request that is served or refused."""
        self._streams[number] = stream = Stream(number, self._settings.window)
        if ended:
            stream.state = _HALF_CLOSED_REMOTE  # from OPEN, by the table
        else:
            stream.length = head.length
            if head.protocol:  # both sides may be silent
                stream.tunnel = True
            else:
                stream.incoming = Transfer(self._timeouts, self._now)
                self._paced.add(stream)
        if head.priority is not None:
            stream.urgency, stream.incremental = head.urgency, head.incremental
        if self._future and number in self._future:
            stream.urgency, stream.incremental = self._future.pop(number)
        self._events.append(RequestArrived(number, head, ended, stream.urgency))
        self.requests += 1
        if self.requests == MAX_REQUESTS:
            self.drain(self._now)

    def _take_trailers(self, stream: Stream, decoded: FieldBlock, ended: bool) -> None:
        if not ended or stream.tunnel:
            raise StreamError(_PROTOCOL_ERROR, "HEADERS are no trailers")
        if decoded.excess:
            raise StreamError(_ENHANCE_YOUR_CALM, "the trailers are too long")
        check_trailers(decoded.fields)
        if stream.length not in {NO_LENGTH, stream.received}:
            raise StreamError(_PROTOCOL_ERROR, "a body is shorter than its content-length")
        self._client_ends(stream)
        if not stream.released:
            self._events.append(TrailersArrived(stream.number, decoded.fields))

    # Bodies (section 6.1).

    def _take_data(self, flags: int, number: int, payload: bytes) -> None:
        if not number:
            raise _protocol("a frame about a stream has none")
        ahead = self._ahead
        self._ahead = 0
        data = payload
        if flags & PADDED:
            data = _content(PADDED, payload)
        size = len(payload)
        # The client gets its credit back before it can exceed the window of the connection: half of
        # that is left, which is more than a frame.
        self._credit += size
        if self._credit >= CONNECTION_WINDOW // 2:
            self._sender.control(window_update(0, self._credit))
            self._credit = 0
        ended = flags & END_STREAM != 0
        if not data and not ended:
            self._guard.idle_frame(self._now)
        stream = self._streams.get(number)
        if stream is None or not stream.receives:
            self._misplaced(number, stream)
        else:
            if stream.incoming is not None:
                stream.incoming.move(size - ahead, self._now)
            self._add_data(stream, data, size, ended)

    def _add_data(self, stream: Stream, data: bytes, size: int, ended: bool) -> None:
        """Take a part of a body, which took ``size`` bytes of the windows."""
        if size > stream.window_in:
            raise StreamError(_FLOW_CONTROL_ERROR, "the window of a stream is exceeded")
        stream.window_in -= size
        stream.received += len(data)
        length = stream.length
        if length != NO_LENGTH and (
            stream.received > length or (ended and stream.received != length)
        ):
            raise StreamError(_PROTOCOL_ERROR, "a body differs from its content-length")
        if ended:
            self._client_ends(stream)
        elif stream.released:
            self._give(stream, size)
            return
        elif size > len(data):
            self._give(stream, size - len(data))  # the padding
        if not stream.released and (data or ended):
            stream.held += len(data)
            self.held += len(data)
            self._events.append(BodyArrived(stream.number, data, ended))

    def _client_ends(self, stream: Stream) -> None:
        stream.step(_CLIENT_ENDS)
        stream.incoming = None
        self._free(stream)

    # Other frames of streams.

    def _take_window_update(self, number: int, payload: bytes) -> None:
        """Take credit for what the server sends (section 6.9)."""
        if len(payload) != 4:
            raise SessionError(_FRAME_SIZE_ERROR, "WINDOW_UPDATE has a wrong size")
        increment = number_in(payload) & STREAM_MASK
        if not number:
            if not increment:
                raise _protocol("the connection gets no credit")
            self._guard.update(self._now)
            if not self._sender.widen_connection(increment, self._now):
                raise SessionError(_FLOW_CONTROL_ERROR, "the window of the connection is too large")
            return
        stream = self._streams.get(number)
        if stream is None or stream.state is _STREAM_CLOSED:
            self._numbers.check(number)
            self._guard.update(self._now)  # clients give credit for what has ended the stream, too
            return
        if not increment:
            raise StreamError(_PROTOCOL_ERROR, "a stream gets no credit")
        self._guard.update(self._now)
        if not self._sender.widen(stream, increment, self._now):
            raise StreamError(_FLOW_CONTROL_ERROR, "the window of a stream is too large")

    def _take_reset(self, number: int, payload: bytes) -> None:
        """End a stream by the client's wish (section 6.4)."""
        if len(payload) != 4:
            raise SessionError(_FRAME_SIZE_ERROR, "RST_STREAM has a wrong size")
        stream = self._streams.get(number)
        if stream is None or stream.state is _STREAM_CLOSED:
            self._numbers.check(number)
            self._guard.idle_frame(self._now)
            return
        self._guard.reset(self._now)
        self._cut(stream, End.RESET_RECEIVED)
        if not stream.released:
            self._events.append(StreamReset(number, error_code(number_in(payload)), ""))
        self._free(stream)

    def _take_priority(self, number: int, payload: bytes) -> None:
        """Read over a priority of RFC 7540 (section 6.3)."""
        self._guard.idle_frame(self._now)
        if len(payload) != 5:
            stream = self._streams.get(number)
            if stream is None or stream.state is _STREAM_CLOSED:
                raise SessionError(_FRAME_SIZE_ERROR, "PRIORITY has a wrong size")
            raise StreamError(_FRAME_SIZE_ERROR, "PRIORITY has a wrong size")

    def _misplaced(self, number: int, stream: Stream | None) -> None:
        """Take DATA or HEADERS of a stream on which the client may not send (section 5.1)."""
        end = End.COMPLETE
        if stream is None:
            if number > self._numbers.last_served:
                self._guard.idle_frame(self._now)
                return
            self._numbers.check(number)
            end = self._numbers.end(number)
        elif stream.state is _STREAM_CLOSED:
            end = stream.end
        else:
            raise StreamError(ErrorCode.STREAM_CLOSED, "a frame follows the end of the request")
        if end is End.RESET_SENT:
            self._guard.idle_frame(self._now)
        elif end is End.RESET_RECEIVED:
            raise StreamError(ErrorCode.STREAM_CLOSED, "a frame follows a reset")
        else:
            raise SessionError(ErrorCode.STREAM_CLOSED, "a frame follows the end of a stream")

    # Frames of the connection.

    def _take_settings(self, flags: int, payload: bytes) -> None:
        """Take the settings of the client, or an acknowledgement of ours (section 6.5)."""
        self._guard.idle_frame(self._now, 1 + len(payload) // (ENTRY_SIZE * MAX_SETTINGS))
        if flags & ACK:
            if payload:
                raise SessionError(_FRAME_SIZE_ERROR, "an acknowledgement has settings")
            return
        settings = self._settings
        before = settings.window
        settings.read(payload)
        self._step(SessionStep.SETTINGS)
        if settings.window != before:
            for stream in self._streams.values():
                if not self._sender.widen(stream, settings.window - before, self._now):
                    raise SessionError(_FLOW_CONTROL_ERROR, "the window of a stream is too large")
        if settings.table < MAX_TABLE:
            self._sender.shrink_table()
        self._sender.control(_SETTINGS_ACK)

    def _take_ping(self, flags: int, payload: bytes) -> None:
        """Answer a PING, or take the answer to ours (section 6.7)."""
        if len(payload) != 8:
            raise SessionError(_FRAME_SIZE_ERROR, "PING has a wrong size")
        self._guard.idle_frame(self._now)
        if not flags & ACK:
            self._sender.control(frame(PING, ACK, 0, payload))
        elif self.state is _DRAINING and payload == _DRAIN_PING:
            self._leave()

    def _take_priority_update(self, payload: bytes) -> None:
        """Take the priority of a stream (RFC 9218, section 7.1)."""
        if len(payload) < 4:
            raise SessionError(_FRAME_SIZE_ERROR, "PRIORITY_UPDATE is too short")
        number = number_in(payload) & STREAM_MASK
        if not number & 1:
            raise _protocol("a priority is for a stream that no client begins")
        self._guard.idle_frame(self._now)
        urgency, incremental = parse_priority(payload[4:].decode("latin-1"))
        stream = self._streams.get(number)
        if stream is not None:
            if urgency != stream.urgency and not stream.released:
                self._events.append(PriorityChanged(number, urgency))
            self._sender.prioritize(stream, urgency, incremental)
        elif number > self._numbers.last:
            if len(self._future) >= MAX_FUTURE:
                last = self._numbers.last
                self._future = {each: kept for each, kept in self._future.items() if each > last}
            if len(self._future) < MAX_FUTURE:
                self._future[number] = (urgency, incremental)

    # What becomes of streams.

    def _sends(self, stream: Stream) -> bool:
        return not stream.finished and stream.sends

    def _pace(self, stream: Stream) -> None:
        if stream.pieces:
            self._paced.add(stream)

    def _give(self, stream: Stream, count: int) -> None:
        """Let the client send more of a body, once it is worth a frame."""
        stream.credit += count
        if stream.credit < STREAM_WINDOW // 2 or not stream.receives:
            return
        if stream.window_in <= 0 and stream.incoming is not None:
            stream.incoming.resume(self._now)  # the client could not send
        self._sender.frame(window_update(stream.number, stream.credit))
        stream.window_in += stream.credit
        stream.credit = 0

    def _reset(self, stream: Stream, code: ErrorCode) -> None:
        """Reset a stream by the server's wish, unless it is closed."""
        if stream.state is not _STREAM_CLOSED:
            self._sender.frame(rst_stream(stream.number, code))
            self._cut(stream, End.RESET_SENT)

    def _reset_for_fault(self, number: int, code: ErrorCode, reason: str) -> None:
        """Reset a stream for an error of the client. Raises `SessionError` if it makes too many."""
        self._guard.reset(self._now)
        self._sender.control(rst_stream(number, code))
        stream = self._streams.get(number)
        if stream is None:
            self._numbers.reset(number, End.RESET_SENT)
            return
        told = stream.state is _STREAM_CLOSED or stream.released
        self._cut(stream, End.RESET_SENT)
        if not told:
            self._events.append(StreamReset(number, code, reason))
        self._free(stream)

    def _cut(self, stream: Stream, end: End) -> None:
        """End a stream before its time."""
        self._sender.drop(stream)
        stream.step(_RESET)
        stream.end = end
        stream.incoming = None
        self._paced.remove(stream)

    def _complete(self) -> None:
        """Look after the streams whose response has been taken."""
        completed, self._sender.completed = self._sender.completed, []
        for stream in completed:
            self._free(stream)

    def _free(self, stream: Stream) -> None:
        """Forget a stream if both sides and the application are done with it."""
        if not stream.released:
            return
        if self.state is not _CLOSED:
            if stream.state is _HALF_CLOSED_LOCAL:
                self._reset(stream, ErrorCode.NO_ERROR)
            elif stream.state is not _STREAM_CLOSED:
                return
        if stream.number in self._streams:
            self._forget(stream)

    def _forget(self, stream: Stream) -> None:
        """Remove a stream, whose slot another one may have."""
        del self._streams[stream.number]
        if self._paced.streams:
            self._paced.remove(stream)
        if stream.held:
            self.held -= stream.held
            stream.held = 0
        if stream.end is not _COMPLETE:
            self._numbers.reset(stream.number, stream.end)
        if not self._streams:
            self._idle_since = self._now
            if self.state is _LEAVING:
                self._settle()

    # What becomes of the session.

    def _step(self, step: SessionStep) -> bool:
        """Take a step; whether the table has it."""
        following = TRANSITIONS.get((self.state, step))
        if following is None:
            return False
        self.state = following
        return True

    def _settle(self) -> None:
        """End the session if it is leaving, and all requests are served."""
        if self.state is _LEAVING and not self._streams:
            self._end()

    def _leave(self) -> None:
        """Tell the client which request is the last."""
        if self._step(SessionStep.LAST):
            self._drain_ends = inf
            self._numbers.last_served = self._numbers.last
            self.failure = ErrorCode.NO_ERROR
            self._sender.frame(goaway(self._numbers.last, ErrorCode.NO_ERROR))
            self._settle()

    def _end(self) -> None:
        """End a session with nothing left to do."""
        said = self.state is _LEAVING
        if self._step(SessionStep.END) and not said:
            self.failure = ErrorCode.NO_ERROR
            self._sender.frame(goaway(self._numbers.last, ErrorCode.NO_ERROR))

    def _fail(self, code: ErrorCode, reason: str) -> None:
        """End the session at once."""
        if not self._step(SessionStep.END):
            return
        self.failure = code
        self.reason = reason
        self._rest = b""
        self._block.clear()
        self._drop_all()
        last = min(self._numbers.last, self._numbers.last_served)
        self._sender.frame(goaway(last, code, reason.encode()))

    def _drop_all(self) -> None:
        """Forget all responses, because no more of them can be sent."""
        self._sender.drop_all()
        for stream in self._streams.values():
            stream.drop_output()

    def _do_due(self) -> None:
        """Do what is due by now."""
        now = self._now
        if self.state is _PREFACE or self.state is _GREETED:
            raise SessionError(ErrorCode.SETTINGS_TIMEOUT, "the connection preface is late")
        if self._stopped_at != inf:
            if now >= self._drain_ends:
                self._leave()
            return
        if now >= self._partial_since + self._timeouts.head:
            raise SessionError(_ENHANCE_YOUR_CALM, "a frame or a head arrives too slowly")
        if now >= self._drain_ends:
            self._leave()
        if not self._streams and now >= self._idle_since + self._timeouts.keep_alive:
            self._end()
        outgoing = self._sender.outgoing
        if outgoing is not None and self._sender.stuck and now >= outgoing.deadline:
            raise SessionError(_ENHANCE_YOUR_CALM, "the window of the connection opens too slowly")
        for stream in self._paced.late(now):
            self._stall(stream)

    def _stall(self, stream: Stream) -> None:
        """End a stream whose client is too slow, or have its request answered."""
        if stream.answered or stream.released:
            self._reset(stream, ErrorCode.CANCEL)
            if not stream.released:
                self._events.append(StreamReset(stream.number, ErrorCode.CANCEL, TOO_SLOW))
            self._free(stream)
        else:
            stream.incoming = None
            self._paced.remove(stream)
            self._events.append(BodyLate(stream.number))
        self._stalls += 1
        if self._stalls >= MAX_STALLS:
            raise SessionError(_ENHANCE_YOUR_CALM, "too many streams are too slow")


def _content(flags: int, payload: bytes) -> bytes:
    """Return what is neither padding nor a priority of RFC 7540 (sections 6.1 and 6.2)."""
    start = padding = 0
    if flags & PADDED:
        start = 1
        if payload:
            padding = payload[0]
    if flags & HAS_PRIORITY:
        start += 5
    if start > len(payload):
        raise SessionError(_FRAME_SIZE_ERROR, "a frame is too short for its flags")
    end = len(payload) - padding
    if end < start:
        raise _protocol("the padding exceeds its frame")
    return payload[start:end]


def _protocol(reason: str) -> SessionError:
    return SessionError(_PROTOCOL_ERROR, reason)
