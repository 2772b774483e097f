"""A client of HTTP/2, which the library `h2` speaks."""

from __future__ import annotations

import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import h2.config
import h2.connection
import h2.events
import h2.settings

from rocket_core.testing import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rocket_core import TCPAddress

GOAWAY = 7
INITIAL_WINDOW = h2.settings.SettingCodes.INITIAL_WINDOW_SIZE


@dataclass
class StreamAnswer:
    """What has come on a stream.

    Attributes:
        hints: the fields of the interim responses, with their statuses.
        reset: the error code with which the server has reset the stream, or None.
        unread: bytes for which the server has been given no credit.
    """

    status: int = 0
    fields: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    hints: list[list[tuple[str, str]]] = field(default_factory=list)
    ended: bool = False
    reset: int | None = None
    unread: int = 0
    trailers: list[tuple[str, str]] = field(default_factory=list)

    def __getitem__(self, name: str) -> str:
        return ", ".join(value for key, value in self.fields if key == name)

    @property
    def text(self) -> str:
        return self.body.decode("latin-1")


class HTTP2Client:
    """One connection. It gives credit for what it reads, unless ``gives_credit`` is false.

    Without ``checks`` it sends fields that are malformed, too.

    Attributes:
        answers: what has come, by stream.
        goaways: the last streams and error codes of the GOAWAY frames.
    """

    def __init__(
        self,
        address: TCPAddress,
        *,
        window: int | None = None,
        gives_credit: bool = True,
        receive_buffer: int | None = None,
        checks: bool = True,
    ) -> None:
        self._socket = socket.socket()
        if receive_buffer is not None:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(PATIENCE)
        try:
            self._socket.connect((address.host, address.port))
        except OSError:
            self._socket.close()
            raise
        config = h2.config.H2Configuration(
            client_side=True,
            header_encoding="latin-1",
            validate_outbound_headers=checks,
            normalize_outbound_headers=checks,
        )
        self.h2 = h2.connection.H2Connection(config)
        self.h2.initiate_connection()
        if window is not None:
            self.h2.update_settings({INITIAL_WINDOW: window})
        self.gives_credit = gives_credit
        self.answers: dict[int, StreamAnswer] = {}
        self.goaways: list[tuple[int, int]] = []
        self.closed = False
        self._buffer = b""
        self.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def flush(self) -> None:
        data = self.h2.data_to_send()
        if data:
            self._socket.sendall(data)

    def begin(
        self,
        path: str = "/",
        method: str = "GET",
        fields: Iterable[tuple[str | bytes, str | bytes]] = (),
        *,
        end: bool = True,
        flush: bool = True,
        protocol: str = "",
        authority: str = "a",
    ) -> int:
        """Send the head of a request; return the number of its stream."""
        number: int = self.h2.get_next_available_stream_id()
        head = [
            (":method", method),
            (":scheme", "http"),
            (":authority", authority),
            (":path", path),
        ]
        if protocol:
            head.append((":protocol", protocol))
        self.h2.send_headers(number, [*head, *fields], end_stream=end)
        self.answers[number] = StreamAnswer()
        if flush:
            self.flush()
        return number

    def get(self, path: str = "/", method: str = "GET", **options: object) -> StreamAnswer:
        """Return the answer to a request."""
        return self.answer(self.begin(path, method, **options))  # type: ignore[arg-type]

    def send(self, number: int, data: bytes, *, end: bool = True) -> None:
        """Send a part of a body, as the windows allow."""
        view = memoryview(data)
        while view:
            room = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
            if not room:
                if self.answers[number].ended or self.answers[number].reset is not None:
                    return
                assert not self.closed, "the server has closed the connection"
                self.receive()
                continue
            part, view = view[:room], view[room:]
            self.h2.send_data(number, bytes(part), end_stream=end and not view)
            self.flush()
        if end and not data:
            self.h2.end_stream(number)
            self.flush()

    def reset(self, number: int) -> None:
        self.h2.reset_stream(number, 8)
        self.flush()

    def answer(self, number: int) -> StreamAnswer:
        """Return the complete answer on a stream."""
        answer = self.answers[number]
        self.until(lambda: answer.ended or answer.reset is not None)
        return answer

    def until(self, condition: Callable[[], object]) -> None:
        """Receive until ``condition`` holds."""
        while not condition():
            assert not self.closed, "the server has closed the connection"
            self.receive()

    def credit(self, number: int, count: int) -> None:
        """Let the server send ``count`` bytes more, for the stream and the connection."""
        self.h2.increment_flow_control_window(count, number)
        self.h2.increment_flow_control_window(count)
        self.flush()

    def receive(self) -> None:
        """Receive once."""
        try:
            data = self._socket.recv(65536)
        except ConnectionResetError:
            data = b""
        if not data:
            self.closed = True
            return
        self._buffer += data
        while len(self._buffer) >= 9 and len(self._buffer) >= (
            end := 9 + int.from_bytes(self._buffer[:3], "big")
        ):
            whole, self._buffer = self._buffer[:end], self._buffer[end:]
            if whole[3] == GOAWAY:  # after which the library would take no frame
                last, code = int.from_bytes(whole[9:13], "big"), int.from_bytes(whole[13:17], "big")
                self.goaways.append((last & 0x7FFF_FFFF, code))
                continue
            for event in self.h2.receive_data(whole):
                self._take(event)
        self.flush()

    def send_raw(self, data: bytes) -> None:
        """Send bytes without the library."""
        self._socket.sendall(data)

    def frames(self) -> Iterator[tuple[int, int, int, bytes]]:
        """Receive without the library: yield type, flags, stream and payload, to the end."""
        buffer = b""
        while True:
            data = self._socket.recv(65536)
            if not data:
                return
            buffer += data
            while len(buffer) >= 9:
                end = 9 + int.from_bytes(buffer[:3], "big")
                if len(buffer) < end:
                    break
                whole, buffer = buffer[:end], buffer[end:]
                yield whole[3], whole[4], int.from_bytes(whole[5:9], "big"), whole[9:]

    def _take(self, event: h2.events.Event) -> None:
        answer = self.answers.get(getattr(event, "stream_id", 0) or 0)
        if answer is None:
            return
        if isinstance(event, h2.events.InformationalResponseReceived):
            answer.hints.append(_texts(event.headers))
        elif isinstance(event, h2.events.ResponseReceived):
            answer.fields = _texts(event.headers)
            answer.status = int(answer[":status"])
        elif isinstance(event, h2.events.TrailersReceived):
            answer.trailers = _texts(event.headers)
        elif isinstance(event, h2.events.DataReceived):
            answer.body += event.data
            if self.gives_credit:
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            answer.ended = True
        elif isinstance(event, h2.events.StreamReset):
            answer.reset = int(event.error_code)


def _texts(fields: Iterable[tuple[str | bytes, str | bytes]]) -> list[tuple[str, str]]:
    """Return ``fields`` as strings, which they are where the library decodes them."""
    found = []
    for name, value in fields:
        assert isinstance(name, str)
        assert isinstance(value, str)
        found.append((name, value))
    return found
