"""Answers to an authority that validates, while other clients are served."""

from __future__ import annotations

import hashlib
import os
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from helpers import (
    Files,
    MemoryClient,
    Serve,
    Served,
    client_hello,
    exchange,
    read_all,
    wait_until,
)
from rocket_core import CloseReason, Timeouts
from rocket_tls import ACME, CertificateFiles, CertificateStore
from rocket_tls._acme.challenges import Challenges
from rocket_tls._acme.signing import make_validation

NAME = "www.example.org"
ACME_IDENTIFIER = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.31")


@pytest.fixture
def acme(tmp_path: Path) -> ACME:
    return ACME(tmp_path / "acme", [NAME])


@pytest.fixture
def challenges(tmp_path: Path) -> Challenges:
    """The challenges as another process has them."""
    return Challenges(tmp_path / "acme")


@pytest.fixture
def served(serve: Serve, files: Files, acme: ACME) -> Served:
    """A site with a certificate from files and an authority that may validate."""
    return serve(CertificateStore([CertificateFiles(files.certificate, files.key), acme]), None)


def authority_context(*protocols: str) -> ssl.SSLContext:
    """Return the context of an authority that validates (RFC 8737, section 3)."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(list(protocols))
    return context


def validate(served: Served, name: str = NAME) -> ssl.SSLSocket:
    return authority_context("acme-tls/1").wrap_socket(served.connect_plain(), server_hostname=name)


def test_the_authority_is_shown_the_proof_and_nothing_else(
    served: Served, challenges: Challenges
) -> None:
    challenges.put_certificate(NAME, make_validation(NAME, "token.thumbprint"))
    with validate(served) as client:
        assert client.selected_alpn_protocol() == "acme-tls/1"
        der = client.getpeercert(binary_form=True)
        assert der is not None
        assert client.recv(1) == b""
    extensions = x509.load_der_x509_certificate(der).extensions
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == [NAME]
    proof = extensions.get_extension_for_oid(ACME_IDENTIFIER)
    assert proof.critical
    assert isinstance(proof.value, x509.UnrecognizedExtension)
    digest = hashlib.sha256(b"token.thumbprint").digest()
    assert proof.value.value == b"\x04\x20" + digest
    assert served.next_close() is CloseReason.SERVED


def test_other_clients_are_served_while_a_challenge_is_pending(
    served: Served, challenges: Challenges
) -> None:
    challenges.put_certificate("localhost", make_validation("localhost", "token.thumbprint"))
    with served.connect() as client:
        assert exchange(client, "shout hello") == b"HELLO\n"
    served.context.set_alpn_protocols(["h2", "acme-tls/1", "http/1.1"])
    with served.connect() as client:
        assert client.selected_alpn_protocol() == "http/1.1"


def test_a_name_that_is_not_being_validated_is_refused(
    served: Served, challenges: Challenges
) -> None:
    challenges.put_certificate(NAME, make_validation(NAME, "token.thumbprint"))
    for name in ("example.org", f"a.{NAME}", "a" * 60):
        with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
            validate(served, name=name)
    wait_until(lambda: served.tls_errors == {"no validation pending": 3})


def test_without_a_pending_challenge_hellos_are_not_parsed(served: Served, files: Files) -> None:
    # Without a protocol in common OpenSSL goes on, with the certificate of the site.
    with validate(served) as client:
        assert client.selected_alpn_protocol() is None
        assert exchange(client, "shout hello") == b"HELLO\n"


@pytest.mark.parametrize("step", [1, 4, 5, 100])
def test_a_hello_that_arrives_in_pieces(served: Served, challenges: Challenges, step: int) -> None:
    challenges.put_certificate(NAME, make_validation(NAME, "token.thumbprint"))
    sock = served.connect_plain()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = MemoryClient(authority_context("acme-tls/1"), NAME)
    first = client.first_flight()
    for at in range(0, len(first), step):
        sock.sendall(first[at : at + step])
    client.shake_hands_over(sock)
    assert client.tls.selected_alpn_protocol() == "acme-tls/1"


def test_a_client_that_leaves_within_its_hello(served: Served, challenges: Challenges) -> None:
    challenges.put_certificate(NAME, make_validation(NAME, "token.thumbprint"))
    whole = client_hello(["acme-tls/1"], name=NAME)
    for size in (0, 3, 5, 100, len(whole) - 1):
        with served.connect_plain() as sock:
            sock.sendall(whole[:size])
            sock.shutdown(socket.SHUT_WR)
            read_all(sock)
        assert served.next_close() is CloseReason.CLIENT


def test_plain_http_is_answered_while_a_challenge_is_pending(
    served: Served, challenges: Challenges
) -> None:
    challenges.put_certificate(NAME, make_validation(NAME, "token.thumbprint"))
    with served.connect_plain() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        sock.shutdown(socket.SHUT_WR)
        assert read_all(sock).startswith(b"HTTP/1.1 400 ")


def test_a_stalled_hello_is_cut(
    serve: Serve, acme: ACME, challenges: Challenges, files: Files
) -> None:
    store = CertificateStore([CertificateFiles(files.certificate, files.key), acme])
    served = serve(store, None, timeouts=Timeouts(handshake=0.1))
    challenges.put_certificate(NAME, make_validation(NAME, "token.thumbprint"))
    with served.connect_plain() as sock:
        sock.sendall(client_hello(["acme-tls/1"])[:100])
        assert served.next_close() is CloseReason.HANDSHAKE_TIMEOUT


# -- over HTTP -----------------------------------------------------------------------------------


def test_a_token_is_answered_by_every_process(acme: ACME, challenges: Challenges) -> None:
    challenges.put_token("t0-ken_", "t0-ken_.thumbprint")
    assert acme.challenge("t0-ken_") == "t0-ken_.thumbprint"
    assert acme.challenge("other") is None
    challenges.clear()
    assert acme.challenge("t0-ken_") is None


@pytest.mark.parametrize(
    "token", ["", ".", "..", "../account.json", "a/b", "a\0", "a\n", "é", "a" * 257]
)
def test_an_invalid_token_leads_nowhere(acme: ACME, challenges: Challenges, token: str) -> None:
    challenges.put_token("token", "token.thumbprint")
    (acme._manager._directory / "account.json").write_text("{}")
    assert acme.challenge(token) is None
    with pytest.raises(ValueError, match="token"):
        challenges.put_token(token, "")


def test_only_the_owner_can_read_pending_challenges(challenges: Challenges, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        challenges.put_token("token", "token.thumbprint")
        challenges.put_certificate(NAME, b"")
    finally:
        os.umask(before)
    modes = {
        each.relative_to(tmp_path).as_posix(): oct(each.stat().st_mode & 0o777)
        for each in (tmp_path / "acme").rglob("*")
    }
    assert modes == {
        "acme/http-01": "0o700",
        "acme/http-01/token": "0o600",
        "acme/tls-alpn-01": "0o700",
        f"acme/tls-alpn-01/{NAME}.pem": "0o600",
    }


def test_a_damaged_certificate_proves_nothing(served: Served, challenges: Challenges) -> None:
    challenges.put_certificate(NAME, b"nothing")
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        validate(served)
    wait_until(lambda: served.tls_errors == {"no validation pending": 1})


@pytest.mark.parametrize("name", ["", "..", "../account", "/etc/passwd"])
def test_a_name_that_is_a_path_leads_nowhere(
    challenges: Challenges, acme: ACME, name: str, tmp_path: Path
) -> None:
    challenges.put_certificate(NAME, b"proof")
    (tmp_path / "acme" / "account.pem").write_bytes(b"secret")
    assert acme.validation_certificate(NAME) == b"proof"
    assert acme.validation_certificate(name) is None
