"""The PROXY protocol in front of TLS."""

from __future__ import annotations

import socket
import ssl
import struct

import pytest

from helpers import MemoryClient, Serve, exchange, read_all, read_line
from rocket_core import CloseReason, Timeouts
from rocket_core.testing import at_growing_scales, within

LINE = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
BLOCK = bytes([192, 0, 2, 1, 198, 51, 100, 7]) + struct.pack("!HH", 56324, 443)
PADDING = b"\4" + struct.pack("!H", 600) + bytes(600)
HEADER = b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", len(BLOCK + PADDING)) + BLOCK + PADDING
LOCAL = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0"
PROXIES = ["127.0.0.1"]


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("preamble", [LINE, HEADER], ids=["line", "header"])
def test_the_header_comes_before_the_handshake(
    serve: Serve, client_context: ssl.SSLContext, preamble: bytes, version: ssl.TLSVersion
) -> None:
    client_context.minimum_version = client_context.maximum_version = version
    served = serve(proxy_protocol=PROXIES)
    with served.connect(preamble=preamble) as client:
        assert exchange(client, "tell secure peer") == b"True 192.0.2.1:56324\n"
        assert exchange(client, "shout hello") == b"HELLO\n"


def test_a_connection_that_the_proxy_itself_makes(serve: Serve) -> None:
    with serve(proxy_protocol=PROXIES).connect(preamble=LOCAL) as client:
        host, port = client.getsockname()
        assert exchange(client, "tell secure peer") == f"True {host}:{port}\n".encode()


@pytest.mark.parametrize("preamble", [LINE, HEADER], ids=["line", "header"])
def test_header_and_handshake_byte_by_byte(
    serve: Serve, client_context: ssl.SSLContext, preamble: bytes
) -> None:
    served = serve(proxy_protocol=PROXIES)
    sock = served.connect_plain()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = MemoryClient(client_context)
    for byte in preamble + client.first_flight():
        sock.sendall(bytes([byte]))
    while not client.shake_hands():
        client.receive(sock)
    client.tls.write(b"tell secure peer\n")
    sock.sendall(client.outgoing.read())
    assert client.read(sock) == b"True 192.0.2.1:56324\n"


def test_header_and_first_flight_in_one_segment(
    serve: Serve, client_context: ssl.SSLContext
) -> None:
    served = serve(proxy_protocol=PROXIES)
    sock = served.connect_plain()
    sock.sendall(LINE + MemoryClient(client_context).first_flight())
    assert sock.recv(1) == b"\x16"  # a handshake record: the server hello


def test_tls_without_the_header(serve: Serve) -> None:
    served = serve(proxy_protocol=PROXIES)
    served.connect_plain().sendall(b"\x16\x03\x01")  # how a handshake begins
    assert served.next_close() is CloseReason.PROXY


def test_a_header_inside_tls_is_a_request(serve: Serve) -> None:
    with serve(proxy_protocol=PROXIES).connect(preamble=LINE) as client:
        client.sendall(LINE.replace(b"192", b"193") + b"tell secure peer\n")
        assert read_line(client) == b"True 192.0.2.1:56324\n"


def test_header_and_handshake_share_a_deadline(serve: Serve) -> None:
    def timed_out(scale: float) -> None:
        limit = 0.05 * scale
        served = serve(proxy_protocol=PROXIES, timeouts=Timeouts(handshake=limit))
        for data in (LINE[:10], LINE, LINE + b"\x16\x03\x01"):
            with within(limit):
                client = served.connect_plain()
                client.sendall(data)
            assert read_all(client) == b""
            assert served.next_close() is CloseReason.HANDSHAKE_TIMEOUT

    at_growing_scales(timed_out)


def test_only_proxies_may_connect(serve: Serve) -> None:
    served = serve(proxy_protocol=["10.0.0.0/8"])
    assert read_all(served.connect_plain()) == b""
    assert served.server.statistics().refused == 1
