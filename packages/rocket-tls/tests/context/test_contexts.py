"""The contexts of a listener: sessions, and server names."""

from __future__ import annotations

import ssl

import pytest
import trustme

from helpers import Files, Serve, der_of
from rocket_core import CloseReason
from rocket_tls import CertificateChain, CertificateStore
from rocket_tls._context.first_context import _NAME


@pytest.mark.parametrize("name", ["bad name", "line\nbreak", "nul\0", "semi;colon"])
def test_invalid_server_names(name: str) -> None:
    assert not _NAME.fullmatch(name)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_sessions_are_resumed_across_replacements(
    serve: Serve,
    files: Files,
    ca: trustme.CA,
    client_context: ssl.SSLContext,
    version: ssl.TLSVersion,
) -> None:
    client_context.minimum_version = client_context.maximum_version = version
    served = serve()
    with served.connect() as first:
        first.sendall(b"shout a\n")
        assert first.recv(100) == b"A\n"  # and the tickets, in TLS 1.3
        session = first.session
    files.write(new := ca.issue_cert("localhost"))
    assert served.certificate() == der_of(new)
    sock = served.connect_plain()
    with client_context.wrap_socket(sock, server_hostname="localhost", session=session) as second:
        second.sendall(b"shout b\n")
        assert second.recv(100) == b"B\n"
        assert second.session_reused


def test_a_store_that_fails_is_counted_and_ends_the_handshake(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve()

    def fail(*_: object) -> CertificateChain:
        raise RuntimeError("a fault of the store")

    monkeypatch.setattr(CertificateStore, "choose", fail)
    with pytest.raises(ssl.SSLError, match="INTERNAL_ERROR"):
        served.connect()
    assert served.next_close() is CloseReason.TLS
    assert served.tls_errors == {"no certificate could be chosen": 1}
    assert "a fault of the store" in caplog.text
