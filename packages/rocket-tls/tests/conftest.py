from __future__ import annotations

import os
import queue
import resource
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme

from lines import Closes, Lines
from rocket_core import CloseReason, Server, TCPAddress, Timeouts
from rocket_tls import CertificateStore, TLSListener, TLSSettings

PATIENCE = 30.0
"""Seconds after which a test that waits for the other side has failed."""


@dataclass(frozen=True)
class Files:
    certificate: Path
    key: Path

    def write(self, leaf: trustme.LeafCert) -> None:
        self.certificate.write_bytes(chain_of(leaf))
        self.key.write_bytes(leaf.private_key_pem.bytes())


def chain_of(leaf: trustme.LeafCert) -> bytes:
    return b"".join(blob.bytes() for blob in leaf.cert_chain_pems)


def der_of(leaf: trustme.LeafCert) -> bytes:
    return ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())


class Served:
    """A server, and clients for it."""

    def __init__(
        self, server: Server, context: ssl.SSLContext, closes: Closes, stack: ExitStack
    ) -> None:
        self.server = server
        self.context = context
        self._closes = closes
        self._stack = stack

    @property
    def address(self) -> tuple[str, int]:
        address = self.server.listeners[0].address
        assert isinstance(address, TCPAddress)
        return address.host, address.port

    def connect_plain(self) -> socket.socket:
        sock = socket.create_connection(self.address, PATIENCE)
        return self._stack.enter_context(sock)

    def connect(
        self, context: ssl.SSLContext | None = None, *, buffer: int = 0, preamble: bytes = b""
    ) -> ssl.SSLSocket:
        """Connect, say ``preamble`` in the clear, and shake hands."""
        sock = socket.socket()
        sock.settimeout(PATIENCE)
        if buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self._stack.enter_context(sock)
        sock.connect(self.address)
        sock.sendall(preamble)
        secured = (context or self.context).wrap_socket(
            sock, server_hostname="localhost", suppress_ragged_eofs=False
        )
        return self._stack.enter_context(secured)

    def certificate(self) -> bytes:
        """The certificate that a new connection is served."""
        with self.connect() as client:
            certificate = client.getpeercert(binary_form=True)
        assert certificate is not None
        return certificate

    def next_close(self) -> CloseReason | None:
        """Wait for a connection to be closed, and for what reason."""
        return self._closes.get(timeout=PATIENCE)


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def leaf(ca: trustme.CA) -> trustme.LeafCert:
    return ca.issue_cert("localhost")


@pytest.fixture
def files(tmp_path: Path, leaf: trustme.LeafCert) -> Files:
    files = Files(tmp_path / "server.pem", tmp_path / "server-key.pem")
    files.write(leaf)
    return files


@pytest.fixture
def client_context(ca: trustme.CA) -> ssl.SSLContext:
    """A client's context that notices when a stream is cut short."""
    context = ssl.create_default_context()
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    ca.configure_trust(context)
    return context


Serve = Callable[..., Served]


@pytest.fixture
def serve(files: Files, client_context: ssl.SSLContext) -> Iterator[Serve]:
    """Serves lines, by default with one thread; everything ends with the test."""
    with ExitStack() as stack:

        def start(
            certificate: Path | CertificateStore = files.certificate,
            key: Path | None = files.key,
            *,
            timeouts: Timeouts | None = None,
            threads: int = 1,
            proxy_protocol: list[str] | None = None,
            settings: TLSSettings | None = None,
        ) -> Served:
            closes: Closes = queue.SimpleQueue()
            listener = TLSListener(
                "127.0.0.1:0",
                certificate,
                key,
                settings=settings or TLSSettings(),
                proxy_protocol=proxy_protocol,
            )
            server = Server(
                lambda: Lines(closes),
                [listener],
                min_threads=threads,
                max_threads=threads,
                timeouts=timeouts,
            )
            stack.enter_context(server)
            return Served(server, client_context, closes, stack)

        yield start


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when ``condition`` has become true."""
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.002)


@contextmanager
def many_descriptors(count: int) -> Iterator[None]:
    """Let this process open ``count`` descriptors, or skip the test."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"the system allows {hard} open files, and this takes {count}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def resident() -> int:
    """Bytes of memory that this process has; nothing is known of it beyond Linux: 0."""
    statm = Path("/proc/self/statm")
    if not statm.exists():
        return 0
    return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def exchange(client: ssl.SSLSocket, line: str) -> bytes:
    """Send a line and read the one that answers it."""
    client.sendall(line.encode() + b"\n")
    return read_line(client)


def read_line(client: ssl.SSLSocket) -> bytes:
    answer = b""
    while not answer.endswith(b"\n"):
        piece = client.recv(1 << 16)
        if not piece:
            raise ConnectionAbortedError("the server closed the connection")
        answer += piece
    return answer


def read_exactly(client: ssl.SSLSocket, size: int, *, step: int = 1 << 16) -> bytes:
    parts = bytearray()
    while len(parts) < size:
        piece = client.recv(min(step, size - len(parts)))
        if not piece:
            raise ConnectionAbortedError("the server closed the connection")
        parts += piece
    return bytes(parts)


def read_all(client: socket.socket) -> bytes:
    parts = b""
    while piece := client.recv(1 << 16):
        parts += piece
    return parts
