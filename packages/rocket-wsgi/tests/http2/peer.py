"""A session with an application, and a client that reads what is sent to it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import hpack

from rocket_core import Timeouts
from rocket_wsgi._http2.error_codes import ErrorCode
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
from rocket_wsgi._http2.frames import (
    CONTINUATION,
    DATA,
    GOAWAY,
    HEADERS,
    PING,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    number_in,
)
from rocket_wsgi._http2.hpack_encoder import encode_response
from rocket_wsgi._http2.session import Session, stream_timeouts
from rocket_wsgi._http2.session_state import SessionState

TIMEOUTS = stream_timeouts(Timeouts())

_NAMES = {
    DATA: "DATA",
    HEADERS: "HEADERS",
    PRIORITY: "PRIORITY",
    RST_STREAM: "RST_STREAM",
    SETTINGS: "SETTINGS",
    PUSH_PROMISE: "PUSH_PROMISE",
    PING: "PING",
    GOAWAY: "GOAWAY",
    WINDOW_UPDATE: "WINDOW_UPDATE",
    CONTINUATION: "CONTINUATION",
}


def split_frames(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Split bytes into whole frames: type, flags, stream, payload."""
    while data:
        size = int.from_bytes(data[:3], "big")
        assert len(data) >= 9 + size
        yield data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + size]
        data = data[9 + size :]


class Peer:
    """A session, an application that answers with ``ok``, and a transcript.

    Attributes:
        session: the session.
        malformed: the methods and paths of malformed requests, and what is wrong with them.
        lines: the transcript: events, and the frames that were sent.
        bodies: the bodies that have arrived, by stream.
        sent: the bodies that were sent, by stream.
        now: the time.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        self.session = Session(self.now, TIMEOUTS)
        self.lines: list[str] = []
        self.bodies: dict[int, bytes] = {}
        self.sent: dict[int, bytes] = {}
        self.complete: dict[int, int] = {}
        """Requests that wait for an answer, with its status."""
        self.gone: set[int] = set()
        self.malformed: list[tuple[str, str, str]] = []
        self.decoder = hpack.Decoder()
        self._refused: dict[int, int] = {}
        self._credits: list[tuple[int, int]] = []

    # The client.

    def receive(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            for event in self.session.receive(piece, self.now):
                self.take_event(event)

    def flush(self, limit: int = 1 << 30) -> None:
        """Give credit for what was received, take the output, and note its frames."""
        for stream, count in self._credits:
            self.session.credit(stream, count, self.now)
        self._credits.clear()
        while output := self.session.take(limit, self.now):
            self.take_output(output)

    def take_output(self, output: bytes) -> None:
        for kind, flags, stream, payload in split_frames(output):
            words = [str(stream), _NAMES[kind], *self._describe(kind, flags, stream, payload)]
            self.lines.append(" ".join(words))

    def _describe(self, kind: int, flags: int, stream: int, payload: bytes) -> list[str]:
        end = ["end"] if kind in {DATA, HEADERS} and flags & 1 else []
        if kind == DATA:
            self.sent[stream] = self.sent.get(stream, b"") + payload
            return [str(len(payload)), *end]
        if kind == HEADERS:
            assert flags & 4
            names = dict(self.decoder.decode(payload, raw=True))
            return [names.get(b":status", b"trailers").decode(), *end]
        if kind == RST_STREAM:
            return [ErrorCode(number_in(payload)).name]
        if kind == GOAWAY:
            return [str(number_in(payload)), ErrorCode(number_in(payload, 4)).name]
        if kind == WINDOW_UPDATE:
            return [str(number_in(payload))]
        return ["ACK"] if flags & 1 else []

    def forget(self) -> None:
        """Forget what has happened."""
        self.lines.clear()
        self.bodies.clear()
        self.sent.clear()
        self._refused.clear()

    # The application.

    def take_event(self, event: Event) -> None:
        stream = event.stream
        if isinstance(event, RequestMalformed):  # which the reset tells as well
            self.malformed.append((event.head.method, event.head.path, event.reason))
        elif isinstance(event, RequestArrived):
            head = event.head
            if head.status:
                words = [f"{stream} refuse {head.status}"]
            else:
                fields = [f"{field.name}={field.value}" for field in head.fields]
                target = f"{head.scheme}://{head.authority}{head.path}"
                words = [f"{stream} request {head.method} {target}", *fields]
                if head.protocol:
                    words.append(f"protocol={head.protocol}")
            self.lines.append(" ".join(words) + (" end" if event.ended else ""))
            self._refused[stream] = head.status
            self.bodies[stream] = b""
            if event.ended or head.status:
                self.complete[stream] = head.status or 200
        elif isinstance(event, BodyArrived):
            self.lines.append(f"{stream} body {len(event.data)}" + (" end" if event.ended else ""))
            self.bodies[stream] = self.bodies.get(stream, b"") + event.data
            self._credits.append((stream, len(event.data)))
            if event.ended:
                self.complete[stream] = self._refused.get(stream) or 200
        elif isinstance(event, TrailersArrived):
            fields = [f"{field.name}={field.value}" for field in event.fields]
            self.lines.append(" ".join([f"{stream} trailers", *fields]))
            self.complete[stream] = self._refused.get(stream) or 200
        elif isinstance(event, StreamReset):
            self.lines.append(f"{stream} reset {event.code.name}")
            self.complete.pop(stream, None)
            self.gone.add(stream)
        else:
            self._take_other(event)

    def _take_other(self, event: PriorityChanged | BodyLate) -> None:
        if isinstance(event, PriorityChanged):
            self.lines.append(f"{event.stream} urgency {event.urgency}")
        else:
            self.lines.append(f"{event.stream} late")
            self.complete[event.stream] = 408

    def answer(self, body: bytes = b"ok") -> None:
        """Answer the requests that are complete."""
        for stream, status in self.complete.items():
            if self.session.state is not SessionState.CLOSED:
                self.session.respond(stream, encode_response(status, []), body, self.now, end=True)
            self.session.release(stream, self.now)
        self.complete.clear()
        for stream in self.gone:
            self.session.release(stream, self.now)
        self.gone.clear()
