"""Files of certificates, clients, and waiting for an event, for many tests."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from lines import Closes
from rocket_core import CloseReason, Server, TCPAddress
from rocket_core.testing import PATIENCE
from rocket_tls import (
    CertificateChain,
    CertificateData,
    CertificateFiles,
    CertificateStore,
    TLSListener,
    TLSSettings,
)
from rocket_tls._context.alpn import speak


@dataclass(frozen=True)
class Files:
    """The files of a certificate and its key."""

    certificate: Path
    key: Path

    def write(self, leaf: trustme.LeafCert) -> None:
        self.certificate.write_bytes(chain_of(leaf))
        self.key.write_bytes(leaf.private_key_pem.bytes())


def chain_of(leaf: trustme.LeafCert) -> bytes:
    return b"".join(blob.bytes() for blob in leaf.cert_chain_pems)


def der_of(leaf: trustme.LeafCert) -> bytes:
    return ssl.PEM_cert_to_DER_cert(leaf.cert_chain_pems[0].bytes().decode())


def data_of(leaf: trustme.LeafCert) -> CertificateData:
    return CertificateData(chain_of(leaf), leaf.private_key_pem.bytes())


def der_of_chain(chain: CertificateChain) -> bytes:
    return chain.certificates[0].public_bytes(Encoding.DER)


def encrypted(leaf: trustme.LeafCert, password: bytes) -> bytes:
    key = load_pem_private_key(leaf.private_key_pem.bytes(), password=None)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))


def write_pair(leaf: trustme.LeafCert, certificate: Path, key: Path) -> None:
    certificate.parent.mkdir(parents=True, exist_ok=True)
    certificate.write_bytes(chain_of(leaf))
    key.write_bytes(leaf.private_key_pem.bytes())


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file in one step."""
    beside = path.with_suffix(".new")
    beside.write_bytes(content)
    beside.replace(path)


def load_context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """Return a server's context that serves one certificate with the default settings."""
    context = TLSSettings().make_context(None)
    speak(context, ["http/1.1"])
    CertificateStore([CertificateFiles(certificate, key)]).chains[0].load_into(context)
    return context


class Served:
    """A server with one TLS listener, and clients for it."""

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

    @property
    def listener(self) -> TLSListener:
        [listener] = self.server.listeners
        assert isinstance(listener, TLSListener)
        return listener

    @property
    def tls_errors(self) -> dict[str, int]:
        return self.listener.tls_errors

    def connect_plain(self) -> socket.socket:
        sock = socket.create_connection(self.address, PATIENCE)
        return self._stack.enter_context(sock)

    def connect(
        self, context: ssl.SSLContext | None = None, *, buffer: int = 0, preamble: bytes = b""
    ) -> ssl.SSLSocket:
        """Connect, send ``preamble`` unencrypted, and shake hands."""
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
        """Return the certificate that a new connection is served."""
        with self.connect() as client:
            certificate = client.getpeercert(binary_form=True)
        assert certificate is not None
        return certificate

    def next_close(self) -> CloseReason | None:
        """Wait until a connection is closed, and return the reason."""
        return self._closes.get(timeout=PATIENCE)


Serve = Callable[..., Served]
"""The fixture that starts a server."""


class MemoryClient:
    """A TLS client whose bytes the test carries."""

    def __init__(self, context: ssl.SSLContext, name: str = "localhost") -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname=name)

    def shake_hands(self) -> bool:
        """Go on with the handshake, and return whether it is complete."""
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    def first_flight(self) -> bytes:
        """Begin the handshake, and return the ClientHello."""
        assert not self.shake_hands()
        return self.outgoing.read()

    def shake_hands_over(self, sock: socket.socket) -> None:
        """Complete the handshake over ``sock``."""
        complete = False
        while not complete:
            complete = self.shake_hands()
            sock.sendall(self.outgoing.read())
            if not complete:
                self.receive(sock)

    def receive(self, sock: socket.socket) -> None:
        data = sock.recv(1 << 16)
        assert data, "the server closed the connection"
        self.incoming.write(data)

    def read(self, sock: socket.socket) -> bytes:
        """Return what the next record that arrives on ``sock`` holds."""
        while True:
            try:
                return self.tls.read()
            except ssl.SSLWantReadError:
                self.receive(sock)


def client_hello(protocols: list[str], *, name: str = "localhost") -> bytes:
    """Return the first message of a client that offers these protocols by ALPN."""
    context = ssl.create_default_context()
    if protocols:
        context.set_alpn_protocols(protocols)
    return MemoryClient(context, name).first_flight()


def exchange(client: ssl.SSLSocket, line: str) -> bytes:
    """Send a line and return the line of the response."""
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
