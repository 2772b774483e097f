"""Clients whose requests are marked: each answer must be that of its own request, to the last byte.

A mark is in the query, the cookie, the authorization and the body of a request, and the name of the
server in its TLS handshake. `marked.py` among the applications answers with all of them.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import struct
import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

import h2.config
import h2.connection
import h2.events
from websockets.sync.client import connect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

PATIENCE: Final = 60.0
NAMES: Final = ("one.test", "two.test")
_RESET: Final = struct.pack("ii", 1, 0)
_AT_ONCE: Final = 4096
"""Bytes of requests after which none is added: a server that waits for a client to read takes more
than these and one body."""


class CrossedError(Exception):
    """An answer has bytes that are not of its request, or lacks some that are."""


@dataclass(frozen=True)
class Site:
    """Where a server is, and whether it speaks TLS."""

    host: str
    port: int
    tls: bool = False

    def open(self, name: str, *, protocol: str = "http/1.1") -> socket.socket:
        sock = socket.create_connection((self.host, self.port), PATIENCE)
        if not self.tls:
            return sock
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the answers tell which name was asked for
        context.set_alpn_protocols([protocol])
        return context.wrap_socket(sock, server_hostname=name)


@dataclass
class Tally:
    """How many answers were right, by the kind of client; any thread may add."""

    counts: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, kind: str, count: int = 1) -> None:
        with self._lock:
            self.counts[kind] += count


@dataclass(frozen=True)
class Request:
    """A marked request, and the answer that it must have."""

    mark: str
    name: str
    repeat: int
    way: str
    body: bytes

    @classmethod
    def make(cls, random: Random, name: str) -> Request:
        return cls(
            mark=f"mark-{random.getrandbits(64):016x}",
            name=name,
            repeat=random.choice([*[1] * 20, 2, 5, 40, 400]),
            way=random.choice(["whole", "whole", "parts", "write"]),
            body=random.randbytes(random.choice([*[0] * 12, 10, 100, 1000, 40_000])),
        )

    @property
    def path(self) -> str:
        return f"/?mark={self.mark}&repeat={self.repeat}&way={self.way}"

    @property
    def fields(self) -> list[tuple[str, str]]:
        return [("cookie", f"c={self.mark}"), ("authorization", f"Bearer {self.mark}")]

    def check(self, mark: str, body: bytes, *, tls: bool) -> None:
        """Raise `CrossedError` unless this is the answer."""
        digest = hashlib.sha256(self.body).hexdigest()
        name = self.name if tls else ""
        line = f"{self.mark}|c={self.mark}|Bearer {self.mark}|{name}|{digest}\n"
        if mark != self.mark or body != line.encode() * self.repeat:
            raise CrossedError(f"{self} got {mark!r} and {body[:300]!r} ({len(body)} bytes)")


# -- HTTP/1.1 --------------------------------------------------------------------------------------


class Stream:
    """Reads lines and bytes from a socket."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._data = b""

    def _more(self) -> None:
        data = self._sock.recv(1 << 16)
        if not data:
            raise CrossedError(f"the connection ended after {self._data[:300]!r}")
        self._data += data

    def until(self, end: bytes) -> bytes:
        while (position := self._data.find(end)) < 0:
            self._more()
        found, self._data = self._data[:position], self._data[position + len(end) :]
        return found

    def exactly(self, count: int) -> bytes:
        while len(self._data) < count:
            self._more()
        found, self._data = self._data[:count], self._data[count:]
        return found

    def response(self) -> tuple[str, bytes]:
        """Return the mark in the head, and the body."""
        status, *lines = self.until(b"\r\n\r\n").decode().split("\r\n")
        fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        if status != "HTTP/1.1 200 OK":
            raise CrossedError(f"{status}, {fields}")
        if "content-length" in fields:
            return fields["x-mark"], self.exactly(int(fields["content-length"]))
        body = b""
        while size := int(self.until(b"\r\n"), 16):
            body += self.exactly(size)
            self.exactly(2)
        self.exactly(2)
        return fields["x-mark"], body


def http1(site: Site, random: Random, tally: Tally, count: int) -> None:
    """Send ``count`` requests on one connection, up to eight at a time."""
    name = random.choice(NAMES)
    with site.open(name) as sock:
        stream = Stream(sock)
        while count > 0:
            wanted = min(random.choice([1, 1, 8]), count)
            batch: list[Request] = []
            data = b""
            while len(batch) < wanted and len(data) < _AT_ONCE:
                batch.append(each := Request.make(random, name))
                lines = [
                    f"POST {each.path} HTTP/1.1",
                    f"Host: {name}",
                    f"Content-Length: {len(each.body)}",
                    *(f"{key}: {value}" for key, value in each.fields),
                ]
                data += "\r\n".join([*lines, "", ""]).encode() + each.body
            sock.sendall(data)
            for each in batch:
                mark, body = stream.response()
                each.check(mark, body, tls=site.tls)
            tally.add("HTTP/1.1 over TLS" if site.tls else "HTTP/1.1", len(batch))
            count -= len(batch)


# -- HTTP/2 ----------------------------------------------------------------------------------------


Answer = tuple[Request, str, bytes]
"""A request, the mark in the head of its answer, and the body."""


class HTTP2Client:
    """One connection, whose streams are used side by side."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        config = h2.config.H2Configuration(client_side=True, header_encoding="utf-8")
        self._session = h2.connection.H2Connection(config)
        self._session.initiate_connection()
        self._marks: dict[int, str] = {}
        self._bodies: dict[int, bytearray] = {}

    def exchange(
        self, requests: list[Request], resets: int
    ) -> Iterator[tuple[Request, str, bytes]]:
        """Send all; yield the answers as they end. The first ``resets`` are given up instead."""
        waiting: dict[int, Request] = {}
        unsent: dict[int, bytes] = {}
        for number, each in enumerate(requests):
            stream = self._session.get_next_available_stream_id()
            head = [
                (":method", "POST"), (":scheme", "https"), (":path", each.path),
                (":authority", each.name), *each.fields,
            ]  # fmt: skip
            self._session.send_headers(stream, head, end_stream=not each.body)
            if number < resets:
                self._session.reset_stream(stream)
                continue
            waiting[stream] = each
            self._bodies[stream] = bytearray()
            if each.body:
                unsent[stream] = each.body
        while waiting:
            for stream in list(unsent):
                self._send_body(stream, unsent)
            self._sock.sendall(self._session.data_to_send())
            data = self._sock.recv(1 << 16)
            if not data:
                raise CrossedError("the connection ended")
            for event in self._session.receive_data(data):
                ended = self._handle(event)
                if ended in waiting:
                    yield waiting.pop(ended), self._marks.pop(ended), bytes(self._bodies.pop(ended))

    def _send_body(self, stream: int, unsent: dict[int, bytes]) -> None:
        """Send as much as the windows allow."""
        while room := min(self._session.local_flow_control_window(stream), 16_384):
            part, rest = unsent[stream][:room], unsent[stream][room:]
            self._session.send_data(stream, part, end_stream=not rest)
            unsent[stream] = rest
            if not rest:
                del unsent[stream]
                return

    def _handle(self, event: h2.events.Event) -> int:
        """Note what has come; return the stream that ended, or 0."""
        if isinstance(event, h2.events.ResponseReceived):
            fields: dict[Any, Any] = dict(event.headers)
            if fields[":status"] != "200":
                raise CrossedError(f"{fields}")
            self._marks[event.stream_id] = fields["x-mark"]
        elif isinstance(event, h2.events.DataReceived):
            if event.stream_id in self._bodies:
                self._bodies[event.stream_id] += event.data
            self._session.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            return event.stream_id
        elif isinstance(event, h2.events.StreamReset | h2.events.ConnectionTerminated):
            raise CrossedError(f"{event}")
        return 0


def http2(site: Site, random: Random, tally: Tally, count: int) -> None:
    """Send ``count`` requests on one connection, up to twenty streams at a time."""
    name = random.choice(NAMES)
    with site.open(name, protocol="h2") as sock:
        client = HTTP2Client(sock)
        while count > 0:
            batch = [
                Request.make(random, name) for _ in range(min(random.choice([1, 5, 20]), count))
            ]
            resets = random.choice([0, 0, len(batch) // 3])
            for request, mark, body in client.exchange(batch, resets):
                request.check(mark, body, tls=site.tls)
            tally.add("HTTP/2 over TLS" if site.tls else "HTTP/2", len(batch) - resets)
            count -= len(batch)


# -- what goes on ----------------------------------------------------------------------------------


def websocket(site: Site, random: Random, tally: Tally, count: int) -> None:
    """Send ``count`` messages on one websocket, up to ten at a time."""
    name = random.choice(NAMES)
    mark = f"mark-{random.getrandbits(64):016x}"
    sock = site.open(name)
    with connect(f"ws://{name}/socket?mark={mark}", sock=sock, compression=None) as client:
        while count > 0:
            batch = [f"{random.getrandbits(64):016x}" * random.choice([1, 100]) for _ in range(10)]
            for each in batch:
                client.send(each)
            for each in batch:
                got = client.recv(PATIENCE)
                if got != f"{mark}|{each}":
                    raise CrossedError(f"{mark} and {each} got {got!r}")
            tally.add("messages of websockets", len(batch))
            count -= len(batch)


def events(site: Site, random: Random, tally: Tally, count: int) -> None:
    """Read streams with ``count`` events."""
    name = random.choice(NAMES)
    with site.open(name) as sock:
        stream = Stream(sock)
        while count > 0:
            repeat = random.choice([1, 10])
            mark = f"mark-{random.getrandbits(64):016x}"
            path = f"/events?mark={mark}&repeat={repeat}"
            sock.sendall(f"GET {path} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
            head = stream.until(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200 OK\r\n"):
                raise CrossedError(f"{head!r}")
            body = b""
            while size := int(stream.until(b"\r\n"), 16):
                body += stream.exactly(size)
                stream.exactly(2)
            stream.exactly(2)
            sent = [b"id: %d\ndata: %b\n\n" % (n, mark.encode()) for n in range(repeat)]
            if body.removeprefix(b"retry: 3000\n\n") != b"".join(sent):
                raise CrossedError(f"{mark} x {repeat} got {body!r}")
            tally.add("events", repeat)
            count -= repeat


def broken(site: Site, random: Random, tally: Tally, count: int) -> None:
    """Send ``count`` requests that are malformed or given up. No mark may come back."""
    mark = f"mark-{random.getrandbits(64):016x}"
    head = f"POST /?mark={mark}&repeat=1&way=whole HTTP/1.1\r\nHost: one.test\r\nCookie: {mark}\r\n"
    kinds = [
        head[: random.randrange(1, len(head))],
        f"{head}Content-Length: 100000\r\n\r\n{mark}",
        f"{head}Content-Length: 1\r\nContent-Length: 2\r\n\r\n{mark}",
        f"{head}Transfer-Encoding: chunked\r\n\r\n5\r\n{mark}",
        f"{head}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        f"{head}Bad Field: {mark}\r\n\r\n",
        f"GET /{mark} HTTP/9.9\r\n\r\n",
        f"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n{mark}",
    ]
    for _ in range(count):
        secure = site.tls and random.random() < 0.7  # otherwise noise in its place
        try:
            with replace(site, tls=secure).open("one.test") as sock:
                sock.sendall(random.choice(kinds).encode())
                if random.random() < 0.5:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                    continue
                sock.shutdown(socket.SHUT_WR)
                answer = b""
                while data := sock.recv(1 << 16):
                    answer += data
        except OSError:
            continue  # the server may cut such a connection at any time
        finally:
            tally.add("broken requests")
        if b"mark-" in answer:
            raise CrossedError(f"a broken request of {mark} got {answer!r}")
