"""Failures in TLS are counted, and do not fill the log."""

from __future__ import annotations

import logging
import socket
import ssl
import sys

import pytest

from helpers import Serve, client_hello, read_all, wait_until
from rocket_core import CloseReason, Timeouts


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
    assert served.tls_errors == {reason: 1}


def test_a_server_name_outside_ascii_is_counted_and_not_printed(
    serve: Serve,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    caplog.set_level(logging.INFO)
    served = serve()
    name = "r\xf6ck\xe9t.example.org".encode("latin-1")
    placeholder = "a" * len(name)
    hello = client_hello([], name=placeholder).replace(placeholder.encode(), name)
    for number in range(1, 6):
        sock = served.connect_plain()
        sock.sendall(hello)
        read_all(sock)
        assert served.next_close() is CloseReason.TLS
        assert served.tls_errors == {"server name not ASCII": number}
    assert capfd.readouterr().err == ""
    (record,) = caplog.records
    assert record.getMessage().endswith(": TLS failed: server name not ASCII")
    served.connect().close()  # other clients are served


def test_a_handshake_that_takes_too_long(serve: Serve) -> None:
    served = serve(timeouts=Timeouts(handshake=0.2))
    assert read_all(served.connect_plain()) == b""
    assert served.next_close() is CloseReason.HANDSHAKE_TIMEOUT
    assert served.tls_errors == {"timeout": 1}


def test_a_client_that_leaves_is_no_error(serve: Serve) -> None:
    served = serve()
    served.connect_plain().close()
    assert served.next_close() is CloseReason.CLIENT
    assert served.tls_errors == {}


def test_a_client_that_does_not_trust_the_certificate(serve: Serve) -> None:
    served = serve()
    with pytest.raises(ssl.SSLCertVerificationError):
        served.connect(ssl.create_default_context())
    assert served.next_close() is CloseReason.TLS
    assert served.tls_errors == {"tlsv1 alert unknown ca": 1}


def test_a_damaged_record_is_counted(serve: Serve) -> None:
    served = serve()
    with served.connect() as client:
        socket.socket.sendall(client, b"\x17\x03\x03\x00\x20" + bytes(32))
        assert served.next_close() is CloseReason.TLS
    (reason,) = served.tls_errors
    assert "mac" in reason


def test_a_scanner_cannot_fill_the_log(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    served = serve()
    for _ in range(50):
        sock = served.connect_plain()
        sock.sendall(b"HELO\n")
        read_all(sock)
    wait_until(lambda: served.tls_errors == {"no TLS": 50})
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
