"""A server of websockets only, a client for it, and a handler that notes its calls."""

from __future__ import annotations

import os
import threading
import zlib
from contextlib import suppress
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any, Self

from rocket_core import Server, TCPAddress, Timeouts
from rocket_core.testing import PATIENCE, Client, NarrowListener
from rocket_wsgi import WSGIWorker
from rocket_wsgi._push.websocket_protocol import WebSocketProtocol
from rocket_wsgi._websocket.masking import unmask
from stream_client import StreamClient

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from rocket_wsgi import WebSocket

CONTINUATION = 0x00
TEXT = 0x01
BINARY = 0x02
CLOSE = 0x08
PING = 0x09
PONG = 0x0A
FIN = 0x80
RSV1 = 0x40

DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate"


class WebSocketServer:
    """A running server whose websockets all have the same handler.

    Attributes:
        http2: whether its clients speak HTTP/2.
        terms: the keyword arguments of ``accept``.
    """

    def __init__(
        self,
        handler: object,
        *,
        threads: int = 2,
        timeouts: Timeouts | None = None,
        server: dict[str, Any] | None = None,
        http2: bool = False,
        **terms: Any,
    ) -> None:
        self.handler = handler
        self.terms = terms
        self.http2 = http2
        self._clients: list[Peer] = []
        self.running = Server(
            lambda: WSGIWorker(self.application, h2c=http2),
            [NarrowListener("127.0.0.1:0")],
            min_threads=threads,
            max_threads=threads,
            timeouts=timeouts,
            **(server or {}),
        )

    def __enter__(self) -> Self:
        self.running.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for client in self._clients:
            client.close_socket()
        self.running.stop()
        assert self.running.wait(PATIENCE)

    def application(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> list[bytes]:
        """Accept all websockets."""
        offer = environ.get("rocket.websocket")
        if offer is not None:
            offer.accept(self.handler, **self.terms)
        start_response("404 Not Found" if offer is None else "200 OK", [])
        return []

    @property
    def address(self) -> TCPAddress:
        address = self.running.listeners[0].address
        assert isinstance(address, TCPAddress)
        return address

    def open(self, *fields: str, receive_buffer: int | None = None) -> Peer:
        """Open a websocket."""
        client: Client | None = None
        if self.http2:
            client = StreamClient(  # type: ignore[assignment] # which has what tests use
                self.address, receive_buffer=receive_buffer
            )
        peer = Peer(self.address, *fields, receive_buffer=receive_buffer, client=client)
        self._clients.append(peer)
        return peer


def link(ws: WebSocket) -> WebSocketProtocol:
    """Return the protocol of a websocket."""
    protocol = ws._link
    assert isinstance(protocol, WebSocketProtocol)
    return protocol


class Peer:
    """A client's side of a websocket, which sends exactly the frames that it is told to.

    Attributes:
        client: the connection.
        head: the response to the opening handshake.
    """

    def __init__(
        self,
        address: TCPAddress,
        *fields: str,
        receive_buffer: int | None = None,
        path: str = "/",
        client: Client | None = None,
    ) -> None:
        self.client = client or Client(address, receive_buffer=receive_buffer)
        lines = "".join(f"{field}\r\n" for field in fields)
        self.client.send(
            f"GET {path} HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            f"{lines}\r\n".encode("latin-1")
        )
        self.head = self.client.head()

    def send(self, data: str | bytes) -> None:
        """Send a message in one frame."""
        if isinstance(data, str):
            self.send_frame(FIN | TEXT, data.encode())
        else:
            self.send_frame(FIN | BINARY, data)

    def send_frame(self, first: int, payload: bytes = b"") -> None:
        self.client.send(masked(first, payload))

    def read_frame(self) -> tuple[int, bytes] | None:
        """Read a frame; None at the end of the stream."""
        head = self.client.read(2)
        if len(head) < 2:
            return None
        size = head[1]
        assert size < 128, "a server's frames are not masked"
        if size == 126:
            size = int.from_bytes(self.client.read(2), "big")
        elif size == 127:
            size = int.from_bytes(self.client.read(8), "big")
        return head[0], self.client.read(size)

    def read(self) -> str | bytes:
        """Read a frame that is a whole message."""
        frame = self.read_frame()
        assert frame is not None
        assert frame[0] in {FIN | TEXT, FIN | BINARY}, frame
        return frame[1].decode() if frame[0] == FIN | TEXT else frame[1]

    def send_close(self, code: int | None = None, reason: str = "") -> None:
        payload = b"" if code is None else code.to_bytes(2, "big") + reason.encode()
        self.send_frame(FIN | CLOSE, payload)

    def read_close(self) -> int | None:
        """Read a close frame, and return its code."""
        frame = self.read_frame()
        assert frame is not None
        assert frame[0] == FIN | CLOSE, frame
        return int.from_bytes(frame[1][:2], "big") if frame[1] else None

    def close(self, code: int = 1000) -> None:
        """Close properly, and wait until the server has closed the connection."""
        self.send_close(code)
        assert self.read_close() == code
        assert self.client.closed_by_server()

    def close_socket(self) -> None:
        with suppress(OSError):
            self.client.close()


def masked(first: int, payload: bytes) -> bytes:
    """Return a client's frame."""
    size = len(payload)
    if size < 126:
        head = bytes((first, 128 | size))
    elif size < 65536:
        head = bytes((first, 254)) + size.to_bytes(2, "big")
    else:
        head = bytes((first, 255)) + size.to_bytes(8, "big")
    key = os.urandom(4)
    return head + key + unmask(payload, key)


def inflated(payload: bytes) -> bytes:
    """Return a message that was compressed without context takeover (RFC 7692)."""
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(payload + b"\x00\x00\xff\xff")


def deflated(message: bytes) -> bytes:
    """Return a message in compressed form, as a client may send it."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return (packer.compress(message) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


class Notes:
    """A handler that notes the calls of its methods, in order.

    Attributes:
        calls: the calls: name, and arguments without the websocket.
        entered: released when ``on_message`` gets ``"hold"``, which then waits for ``go_on``.
    """

    def __init__(self) -> None:
        self.calls: Queue[tuple[Any, ...]] = Queue()
        self.sockets: list[WebSocket] = []
        self.entered = threading.Semaphore(0)
        self.go_on = threading.Semaphore(0)
        self.act: Callable[[WebSocket, str | bytes], object] = lambda ws, data: None

    def on_open(self, ws: WebSocket) -> None:
        self.sockets.append(ws)
        self.calls.put(("open",))

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        self.calls.put(("message", data))
        if data == "hold":
            self.entered.release()
            assert self.go_on.acquire(timeout=PATIENCE)
        self.act(ws, data)

    def on_drained(self, ws: WebSocket) -> None:
        self.calls.put(("drained",))

    def on_shutdown(self, ws: WebSocket) -> None:
        self.calls.put(("shutdown",))

    def on_close(self, ws: WebSocket, code: int, reason: str) -> None:
        self.calls.put(("close", code, reason))

    def next(self) -> tuple[Any, ...]:
        """Wait for the next call."""
        return self.calls.get(timeout=PATIENCE)

    def opened(self) -> WebSocket:
        """Wait until a websocket is open; return it."""
        assert self.next() == ("open",)
        return self.sockets[-1]

    def rest(self) -> list[tuple[Any, ...]]:
        """Return the calls that nothing has waited for."""
        rest = []
        with suppress(Empty):
            while True:
                rest.append(self.calls.get_nowait())
        return rest

    def wait_held(self) -> None:
        """Wait until a callback is held."""
        assert self.entered.acquire(timeout=PATIENCE)
