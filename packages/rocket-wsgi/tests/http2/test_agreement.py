"""Connections on which TLS has agreed on HTTP/2, and those on which a proxy announces TLS."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from rocket_core import Connection, Listener, Peer, Timeouts
from rocket_core.testing import eventually
from rocket_wsgi._http2.frames import GOAWAY, PREFACE, SETTINGS, frame

if TYPE_CHECKING:
    from conftest import Serve

PROTOCOL_ERROR = 1


def hello(environ: dict[str, Any], start: Callable[..., Any]) -> list[bytes]:
    start("200 OK", [])
    return [environ["SERVER_PROTOCOL"].encode()]


class AgreedListener(Listener):
    """A listener whose connections are as after a TLS handshake that has agreed on HTTP/2."""

    def connect(self, sock: socket.socket, peer: Peer, timeouts: Timeouts) -> Connection:
        connection = super().connect(sock, peer, timeouts)
        connection.protocol = "h2"
        connection.secure = True
        connection.environ = {"HTTPS": "on"}
        return connection


def frames(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        end = 9 + int.from_bytes(data[:3], "big")
        found.append((data[3], data[9:end]))
        data = data[end:]
    return found


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a",
        b"GET / HTTP/1.0\r\n\r\n",
        b"HTTP/2 is what we have agreed on, is it not?\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nXY\r\n\r\n",
        b"PRI * HTTP/1.1\r\n\r\n",
        b"\x00" * 100,
    ],
)
@pytest.mark.parametrize("pieces", [False, True], ids=["whole", "byte by byte"])
def test_anything_but_the_preface_is_an_error(serve: Serve, sent: bytes, pieces: bool) -> None:
    served = serve(hello, listener=AgreedListener)
    client = served.open()
    try:
        for piece in [bytes([byte]) for byte in sent] if pieces else [sent]:
            client.send(piece)
    except OSError:
        pass  # the server has read enough
    kinds = [kind for kind, _ in frames(client.read_all())]
    assert kinds[0] == SETTINGS
    assert kinds[-1] == GOAWAY
    eventually(
        lambda: served.server.statistics().outcomes == {"HTTP/2": {"PROTOCOL_ERROR": 1}},
        "for the error to be counted",
    )


@pytest.mark.parametrize("size", [1, 5, 20, 200])
def test_the_preface_begins_it_however_it_is_cut(serve: Serve, size: int) -> None:
    client = serve(hello, listener=AgreedListener).open()
    begun = PREFACE + frame(SETTINGS, 0, 0, b"")
    for start in range(0, len(begun), size):
        client.send(begun[start : start + size])
    assert client.read(9)[3] == SETTINGS


def test_a_proxy_that_announces_tls_may_speak_it_in_clear(serve: Serve) -> None:
    class Proxied(Listener):
        def __init__(self, address: str) -> None:
            super().__init__(address, proxy_protocol=["127.0.0.1"])

    served = serve(hello, listener=Proxied, h2c=True, trusted_proxies=["127.0.0.1"])
    client = served.open()
    addresses = socket.inet_aton("198.51.100.1") + socket.inet_aton("192.0.2.1")
    tls = b"\x20\x00\x05\x01\x00\x00\x00\x00"  # PP2_TYPE_SSL: the client has used it
    announced = addresses + struct.pack("!HH", 4711, 443) + tls
    client.send(b"\r\n\r\n\x00\r\nQUIT\n\x21\x11" + struct.pack("!H", len(announced)) + announced)
    client.send(PREFACE + frame(SETTINGS, 0, 0, b""))
    assert client.read(9)[3] == SETTINGS
