"""The protocol that a connection speaks."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
from pathlib import Path

import pytest
import trustme

from helpers import (
    Files,
    MemoryClient,
    Serve,
    Served,
    client_hello,
    data_of,
    der_of,
    exchange,
    load_context,
    read_all,
)
from rocket_core import CloseReason, Connection, Peer, Timeouts
from rocket_core.testing import eventually
from rocket_tls import ACME, CertificateFiles, CertificateStore, TLSListener, TLSSettings
from rocket_tls._acme.challenges import Challenges
from rocket_tls._acme.signing import make_validation
from rocket_tls._connection.connection import TLSConnection
from rocket_tls._context.alpn import Negotiation, forbids_http_2, validates
from rocket_tls._context.client_hello import Offers
from rocket_tls._context.server_side import ServerSide

OPENSSL = shutil.which("openssl") or ""
SOMEBODY = Peer("", 0)
V1_2, V1_3 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
VERSIONS = pytest.mark.parametrize("version", [V1_2, V1_3])
HTTP = TLSSettings(protocols=["h2", "http/1.1"])
OLD_CIPHERS = "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256"
"""The server prefers a cipher that HTTP/2 forbids."""

NO_PROTOCOL = {"no protocol in common": 1}
REFUSED = "alert no application protocol"


def offering(served: Served, *protocols: str, version: ssl.TLSVersion | None = None) -> Served:
    """Have the clients of ``served`` offer these protocols."""
    if protocols:
        served.context.set_alpn_protocols(list(protocols))
    if version is not None:
        served.context.minimum_version = served.context.maximum_version = version
    return served


def begin_validation(directory: Path) -> None:
    """Have a CA about to validate the control of www.example.org."""
    name = "www.example.org"
    Challenges(directory).put_certificate(name, make_validation(name, "token.thumbprint"))


def validating(served: Served) -> ssl.SSLSocket:
    """Connect as the CA."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["acme-tls/1"])
    return context.wrap_socket(served.connect_plain(), server_hostname="www.example.org")


@VERSIONS
@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        ([], None),
        (["http/1.1"], "http/1.1"),
        (["h2", "http/1.1"], "http/1.1"),
        (["h2"], None),
        (["acme-tls/1"], None),
    ],
)
def test_without_protocols_no_client_is_refused(
    serve: Serve, offered: list[str], agreed: str | None, version: ssl.TLSVersion
) -> None:
    served = offering(serve(), *offered, version=version)
    with served.connect() as client:
        assert client.selected_alpn_protocol() == agreed
        assert exchange(client, "tell protocol") == f"{agreed or ''}\n".encode()


@VERSIONS
@pytest.mark.parametrize(
    ("offered", "agreed"),
    [
        ([], None),
        (["http/1.1"], "http/1.1"),
        (["http/1.1", "h2"], "h2"),
        (["unknown", "h2"], "h2"),
        (["h2"], "h2"),
    ],
)
def test_the_server_chooses_the_first_of_its_protocols(
    serve: Serve, offered: list[str], agreed: str | None, version: ssl.TLSVersion
) -> None:
    served = offering(serve(settings=HTTP), *offered, version=version)
    with served.connect() as client:
        assert client.selected_alpn_protocol() == agreed
        assert exchange(client, "tell protocol") == f"{agreed or ''}\n".encode()
    assert served.tls_errors == {}


@VERSIONS
@pytest.mark.parametrize("offered", [["http/1.0"], ["acme-tls/1"], ["http/1.10", "h2c"]])
def test_a_client_that_offers_other_protocols_only_is_refused(
    serve: Serve, offered: list[str], version: ssl.TLSVersion
) -> None:
    served = offering(serve(settings=HTTP), *offered, version=version)
    with pytest.raises(ssl.SSLError, match=REFUSED):
        served.connect()
    assert served.next_close() is CloseReason.TLS
    assert served.tls_errors == NO_PROTOCOL


def test_one_protocol_of_the_users_own(serve: Serve) -> None:
    served = offering(serve(settings=TLSSettings(protocols=["lines"])), "lines", "http/1.1")
    with served.connect() as client:
        assert exchange(client, "tell protocol") == b"lines\n"
    offering(served, "http/1.1")
    with pytest.raises(ssl.SSLError, match=REFUSED):
        served.connect()


@pytest.mark.skipif(not OPENSSL, reason="openssl is not installed")
@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
@pytest.mark.parametrize(
    ("offered", "told"),
    [
        (["-alpn", "h2,http/1.1"], "ALPN protocol: h2\n"),
        (["-alpn", "http/1.1"], "ALPN protocol: http/1.1\n"),
        ([], "No ALPN negotiated\n"),
        (["-alpn", "h3"], "SSL alert number 120\n"),
    ],
)
def test_openssl_agrees(serve: Serve, version: str, offered: list[str], told: str) -> None:
    served = serve(settings=HTTP)
    host, port = served.address
    command = [OPENSSL, "s_client", version, *offered, "-connect", f"{host}:{port}"]
    done = subprocess.run(
        command, input="close\n", capture_output=True, check=False, encoding="utf-8"
    )
    assert told in done.stdout + done.stderr


# -- what else decides a handshake ---------------------------------------------------------------


def test_each_server_name_has_all_protocols(serve: Serve, ca: trustme.CA) -> None:
    leaves = [ca.issue_cert(name) for name in ("localhost", "other.example")]
    store = CertificateStore([data_of(leaf) for leaf in leaves])
    served = offering(serve(store, None, settings=HTTP), "h2")
    for name, leaf in zip(("localhost", "other.example"), leaves, strict=True):
        with served.context.wrap_socket(served.connect_plain(), server_hostname=name) as client:
            assert client.getpeercert(binary_form=True) == der_of(leaf)
            assert exchange(client, "tell protocol") == b"h2\n"


def test_a_replaced_certificate_has_the_same_protocols(
    serve: Serve, files: Files, ca: trustme.CA
) -> None:
    served = offering(serve(settings=HTTP), "h2")
    with served.connect() as client:
        assert client.selected_alpn_protocol() == "h2"
    files.write(new := ca.issue_cert("localhost"))
    served.listener.reload()
    with served.connect() as client:
        assert client.getpeercert(binary_form=True) == der_of(new)
        assert exchange(client, "tell protocol") == b"h2\n"


@VERSIONS
def test_the_certificate_of_a_client_is_asked_for_with_any_protocol(
    serve: Serve, tmp_path: Path, version: ssl.TLSVersion
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    settings = TLSSettings(
        client_certificates="required", client_ca=tmp_path / "ca.pem", protocols=HTTP.protocols
    )
    served = offering(serve(settings=settings), "h2", version=version)
    with pytest.raises(ssl.SSLError):
        exchange(served.connect(), "tell protocol")
    authority.issue_cert("client.example").configure_cert(served.context)
    with served.connect() as client:
        assert b"\0SSL_CLIENT_VERIFY=SUCCESS\0" in exchange(client, "environ")
        assert exchange(client, "tell protocol") == b"h2\n"
    offering(served, "h3")
    with pytest.raises(ssl.SSLError, match=REFUSED):
        served.connect()


@VERSIONS
@pytest.mark.parametrize("settings", [TLSSettings(), HTTP], ids=["default", "http"])
def test_a_resumed_session_has_a_protocol_too(
    serve: Serve, settings: TLSSettings, version: ssl.TLSVersion
) -> None:
    served = offering(serve(settings=settings), "http/1.1", version=version)
    with served.connect() as first:
        assert exchange(first, "tell protocol") == b"http/1.1\n"
        session = first.session
    sock = served.connect_plain()
    with served.context.wrap_socket(sock, server_hostname="localhost", session=session) as second:
        assert exchange(second, "tell protocol") == b"http/1.1\n"
        assert second.session_reused


@VERSIONS
def test_a_resumed_session_may_have_another_protocol(serve: Serve, version: ssl.TLSVersion) -> None:
    """RFC 7301, section 3.1: what was agreed on before has no meaning."""
    served = offering(serve(settings=HTTP), "http/1.1", version=version)
    session = None
    for offered in ("http/1.1", "h2", "http/1.1"):
        offering(served, offered)
        with served.context.wrap_socket(
            served.connect_plain(), server_hostname="localhost", session=session
        ) as client:
            assert exchange(client, "tell protocol") == f"{offered}\n".encode()
            assert client.session_reused is (session is not None)
            session = client.session
    offering(served, "h3")
    with pytest.raises(ssl.SSLError, match=REFUSED):
        served.context.wrap_socket(
            served.connect_plain(), server_hostname="localhost", session=session
        )


def test_a_proxy_may_announce_the_client_before(serve: Serve) -> None:
    served = offering(serve(settings=HTTP, proxy_protocol=["127.0.0.0/8"]), "h2")
    preamble = b"PROXY TCP4 192.0.2.1 192.0.2.2 1234 443\r\n"
    with served.connect(preamble=preamble) as client:
        assert exchange(client, "tell peer protocol") == b"192.0.2.1:1234 h2\n"


@pytest.mark.parametrize("step", [1, 5, 100])
@pytest.mark.parametrize("offered", ["h2", "h3"])
def test_a_hello_that_arrives_in_pieces(serve: Serve, offered: str, step: int) -> None:
    served = offering(serve(settings=HTTP), offered)
    sock = served.connect_plain()
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = MemoryClient(served.context)
    first = client.first_flight()
    for at in range(0, len(first), step):
        sock.sendall(first[at : at + step])
    if offered == "h3":
        with pytest.raises(ssl.SSLError, match=REFUSED):
            client.shake_hands_over(sock)
    else:
        client.shake_hands_over(sock)
        assert client.tls.selected_alpn_protocol() == "h2"


def test_a_client_that_must_begin_again(serve: Serve, files: Files, tmp_path: Path) -> None:
    """Its first key is of a group that the server does not have (RFC 8446, section 4.1.4)."""
    acme = ACME(tmp_path / "acme", ["www.example.org"])
    store = CertificateStore([CertificateFiles(files.certificate, files.key), acme])
    served = offering(serve(store, None, settings=HTTP), "h2", version=V1_3)
    served.listener._contexts.current().set_ecdh_curve("secp384r1")
    begin_validation(tmp_path / "acme")
    with served.connect() as client:
        assert exchange(client, "tell protocol") == b"h2\n"
    offering(served, "h3")
    with pytest.raises(ssl.SSLError, match=REFUSED):
        served.connect()
    with validating(served) as client:
        assert client.selected_alpn_protocol() == "acme-tls/1"


def test_what_the_client_has_offered_is_not_kept(
    files: Files, client_context: ssl.SSLContext
) -> None:
    listener = TLSListener("127.0.0.1:0", files.certificate, files.key, settings=HTTP)
    ours, theirs = socket.socketpair()
    client = MemoryClient(client_context)
    connection = listener.connect(ours, SOMEBODY, Timeouts())
    assert isinstance(connection, TLSConnection)
    assert isinstance(connection._tls, ServerSide)
    with theirs:
        theirs.sendall(client.first_flight())
        assert not connection.handshake()
        assert connection._tls.hello
        client.receive(theirs)
        assert client.shake_hands()
        theirs.sendall(client.outgoing.read())
        assert connection.handshake()
        assert vars(connection._tls)["hello"] is None
        connection.close()


def test_plain_http_gets_its_answer(serve: Serve) -> None:
    served = serve(settings=HTTP)
    with served.connect_plain() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b"use https://" in read_all(sock)


# -- a CA that validates -------------------------------------------------------------------------


def test_an_authority_validates_while_clients_speak_http_2(
    serve: Serve, files: Files, tmp_path: Path
) -> None:
    acme = ACME(tmp_path / "acme", ["www.example.org"])
    store = CertificateStore([CertificateFiles(files.certificate, files.key), acme])
    served = serve(store, None, settings=HTTP)
    with pytest.raises(ssl.SSLError, match=REFUSED):
        validating(served)
    assert served.next_close() is CloseReason.TLS
    begin_validation(tmp_path / "acme")
    with validating(served) as client:
        assert client.selected_alpn_protocol() == "acme-tls/1"
        assert client.recv(1) == b""
    assert served.next_close() is CloseReason.SERVED
    for offered in (["h2", "acme-tls/1"], ["h2", "http/1.1"]):
        with offering(served, *offered).connect() as client:
            assert exchange(client, "tell protocol") == b"h2\n"
    offering(served, "h3")
    with pytest.raises(ssl.SSLError, match=REFUSED):
        served.connect()
    eventually(lambda: served.tls_errors == {"no protocol in common": 2})


def test_without_protocols_no_client_is_refused_while_an_authority_validates(
    serve: Serve, files: Files, tmp_path: Path
) -> None:
    acme = ACME(tmp_path / "acme", ["www.example.org"])
    store = CertificateStore([CertificateFiles(files.certificate, files.key), acme])
    served = serve(store, None)
    begin_validation(tmp_path / "acme")
    for offered, agreed in (("h2", b"\n"), ("http/1.1", b"http/1.1\n")):
        with offering(served, offered).connect() as client:
            assert exchange(client, "tell protocol") == agreed
    with validating(served) as client:
        assert client.selected_alpn_protocol() == "acme-tls/1"


@pytest.mark.parametrize(
    ("offered", "expected"),
    [
        ((), False),
        ((b"http/1.1",), False),
        ((b"acme-tls/1",), True),
        ((b"acme-tls/1", b"http/1.1"), False),
    ],
)
def test_only_an_authority_offers_nothing_but_its_protocol(
    offered: tuple[bytes, ...], expected: bool
) -> None:
    assert validates(Offers(offered)) is expected


# -- ciphers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("profile", ["intermediate", "modern"])
def test_the_profiles_have_no_cipher_that_http_2_forbids(profile: str) -> None:
    assert not forbids_http_2(TLSSettings(profile=profile).make_context(None))


@pytest.mark.parametrize(
    ("ciphers", "forbidden"),
    [
        ("ECDHE-RSA-AES128-GCM-SHA256", False),
        ("ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES256-CCM", False),
        ("DHE-RSA-AES256-GCM-SHA384", False),
        ("ECDHE-RSA-AES128-SHA256", True),  # CBC
        ("AES128-GCM-SHA256", True),  # the key is RSA's
        ("ADH-AES128-GCM-SHA256:@SECLEVEL=0", True),  # anybody may have answered
        ("ECDHE-RSA-AES128-GCM-SHA256:AES256-SHA", True),
    ],
)
def test_ciphers_that_http_2_forbids(ciphers: str, forbidden: bool) -> None:
    """RFC 9113, appendix A."""
    assert forbids_http_2(TLSSettings(ciphers=ciphers).make_context(None)) is forbidden


@pytest.mark.parametrize(
    ("offered", "version", "agreed"),
    [
        (["h2", "http/1.1"], V1_3, "h2"),
        (["h2", "http/1.1"], V1_2, "http/1.1"),
        (["h2"], V1_3, "h2"),
        ([], V1_2, ""),
    ],
)
def test_with_such_a_cipher_http_2_is_for_tls_1_3(
    serve: Serve, offered: list[str], version: ssl.TLSVersion, agreed: str
) -> None:
    settings = TLSSettings(ciphers=OLD_CIPHERS, protocols=HTTP.protocols)
    served = offering(serve(settings=settings), *offered, version=version)
    session = None
    for _ in range(2):
        with served.context.wrap_socket(
            served.connect_plain(), server_hostname="localhost", session=session
        ) as client:
            assert exchange(client, "tell protocol") == f"{agreed}\n".encode()
            assert client.session_reused is (session is not None)
            session = client.session
            if version is V1_2:  # what the operator has chosen
                assert (client.cipher() or ("",))[0] == "ECDHE-ECDSA-AES128-SHA256"


def test_with_such_a_cipher_tls_1_2_has_no_protocol_for_a_client_of_http_2(serve: Serve) -> None:
    settings = TLSSettings(ciphers=OLD_CIPHERS, protocols=HTTP.protocols)
    served = offering(serve(settings=settings), "h2", version=V1_2)
    with pytest.raises(ssl.SSLError, match=REFUSED):
        served.connect()
    assert served.next_close() is CloseReason.TLS
    assert served.tls_errors == NO_PROTOCOL


def test_contexts_of_both_kinds_are_kept(serve: Serve) -> None:
    """A context is made once, not for each client."""
    served = serve(settings=TLSSettings(ciphers=OLD_CIPHERS, protocols=HTTP.protocols))
    for version in (V1_2, V1_3, V1_2, V1_3):
        offering(served, "h2", "http/1.1", version=version).connect().close()
    assert len(served.listener._contexts._first._contexts) == 2


# -- what decides without a connection -----------------------------------------------------------


def test_names_are_found_in_a_hello() -> None:
    negotiation = Negotiation(("h2", "http/1.1"), http_2_needs_tls_1_3=False)
    for offered in (["h2"], ["http/1.1"], ["h3", "h2"], []):
        assert negotiation.choose_from(client_hello(offered)) == ("h2", "http/1.1")
    assert negotiation.choose_from(client_hello(["h3"])) is None
    # A short name may be in what a client makes by chance.
    assert negotiation.choose_from(client_hello(["x\x02h2"])) is None


# -- the attribute -------------------------------------------------------------------------------


def test_there_is_no_protocol_before_the_handshake_is_complete(
    files: Files, client_context: ssl.SSLContext
) -> None:
    ours, theirs = socket.socketpair()
    client_context.set_alpn_protocols(["http/1.1"])
    client = MemoryClient(client_context)
    connection = TLSConnection(ours, load_context(files.certificate, files.key), SOMEBODY, SOMEBODY)
    with theirs:
        theirs.sendall(client.first_flight())
        while not connection.handshake():
            assert connection.protocol == ""
            client.receive(theirs)
            client.shake_hands()
            theirs.sendall(client.outgoing.read())
        assert connection.protocol == "http/1.1"
        connection.close()


def test_a_connection_without_tls_has_no_protocol() -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        connection = Connection(ours, SOMEBODY, SOMEBODY)
        assert connection.protocol == ""
        connection.close()
