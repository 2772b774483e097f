"""The contexts of a listener: sessions, and server names."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme

from helpers import Files, Serve, Served, der_of
from rocket_core import CloseReason
from rocket_tls import CertificateChain, CertificateStore
from rocket_tls._context.first_context import _NAME

OPENSSL = shutil.which("openssl") or ""


def told_by_openssl(served: Served, *options: str) -> str:
    """Return what the command ``openssl s_client`` prints of a connection with one request."""
    host, port = served.address
    command = [OPENSSL, "s_client", *options, "-connect", f"{host}:{port}"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write("shout a\n")
        process.stdin.flush()
        told = []
        for line in process.stdout:
            told.append(line)
            if line == "A\n":
                break
        process.stdin.close()
    return "".join(told)


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


@pytest.mark.skipif(not OPENSSL, reason="openssl is not installed")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_resumes_its_session_again_and_again(
    serve: Serve, files: Files, ca: trustme.CA, tmp_path: Path, version: str
) -> None:
    served = serve()
    session = str(tmp_path / "session.pem")
    assert "\nNew, TLSv1." in told_by_openssl(served, version, "-sess_out", session)
    for _ in range(2):
        again = told_by_openssl(served, version, "-sess_in", session, "-sess_out", session)
        assert "\nReused, TLSv1." in again
        files.write(ca.issue_cert("localhost"))


def test_a_client_gets_one_ticket_and_another_with_each_resumption(
    serve: Serve, client_context: ssl.SSLContext
) -> None:
    client_context.minimum_version = ssl.TLSVersion.TLSv1_3
    served = serve()
    session = None
    tickets = set()
    for number in range(3):
        sock = served.connect_plain()
        with client_context.wrap_socket(
            sock, server_hostname="localhost", session=session
        ) as client:
            client.sendall(b"shout a\n")
            assert client.recv(100) == b"A\n"
            assert client.session_reused == (number > 0)
            session = client.session
            assert session
            tickets.add(session.id)
    assert len(tickets) == 3
    assert served.listener._contexts.current().num_tickets == 1


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
