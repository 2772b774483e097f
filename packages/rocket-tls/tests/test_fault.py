"""What fails in TLS is counted, and does not fill the log."""

from __future__ import annotations

import logging
import socket
import ssl

import pytest

from conftest import Serve, Served, read_all, wait_until
from rocket_core import CloseReason, Timeouts
from rocket_tls import TLSListener


def errors(served: Served) -> dict[str, int]:
    listener = served.server.listeners[0]
    assert isinstance(listener, TLSListener)
    return listener.tls_errors


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", "http request"),
        (b"HELO\n", "no TLS"),
        (b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00", "length too short"),
    ],
)
def test_reasons(serve: Serve, data: bytes, reason: str) -> None:
    served = serve()
    sock = served.connect_plain()
    sock.sendall(data)
    read_all(sock)
    assert served.next_close() is CloseReason.TLS
    assert errors(served) == {reason: 1}


def test_a_handshake_that_takes_too_long(serve: Serve) -> None:
    served = serve(timeouts=Timeouts(handshake=0.2))
    assert read_all(served.connect_plain()) == b""
    assert served.next_close() is CloseReason.HANDSHAKE_TIMEOUT
    assert errors(served) == {"timeout": 1}


def test_a_client_that_leaves_is_no_error(serve: Serve) -> None:
    served = serve()
    served.connect_plain().close()
    assert served.next_close() is CloseReason.CLIENT
    assert errors(served) == {}


def test_a_client_that_does_not_trust_us(serve: Serve) -> None:
    served = serve()
    with pytest.raises(ssl.SSLCertVerificationError):
        served.connect(ssl.create_default_context())
    assert served.next_close() is CloseReason.TLS
    assert errors(served) == {"tlsv1 alert unknown ca": 1}


def test_a_damaged_record_counts_too(serve: Serve) -> None:
    served = serve()
    with served.connect() as client:
        socket.socket.sendall(client, b"\x17\x03\x03\x00\x20" + bytes(32))
        assert served.next_close() is CloseReason.TLS
    (reason,) = errors(served)
    assert "mac" in reason


def test_a_scanner_cannot_fill_the_log(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve()
    for _ in range(50):
        sock = served.connect_plain()
        sock.sendall(b"HELO\n")
        read_all(sock)
    wait_until(lambda: errors(served) == {"no TLS": 50})
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
