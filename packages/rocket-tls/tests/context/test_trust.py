"""Mutual TLS, with real handshakes."""

from __future__ import annotations

import logging
import shutil
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtensionOID

from helpers import Files, Serve, Served, exchange, replace_file, wait_until
from rocket_core import CloseReason
from rocket_tls import CertificateError, TLSListener, TLSSettings


@dataclass(frozen=True)
class Authority:
    """An authority of clients, with its files."""

    ca: trustme.CA
    ca_file: Path
    crl_file: Path

    def revoke(self, *leaves: trustme.LeafCert, signer: trustme.CA | None = None) -> None:
        """Write a list that revokes these certificates."""
        signer = signer or self.ca
        key = load_pem_private_key(signer.private_key_pem.bytes(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        issuer = x509.load_pem_x509_certificate(signer.cert_pem.bytes())
        now = datetime.now(UTC)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(issuer.subject)
            .last_update(now - timedelta(hours=1))
            .next_update(now + timedelta(hours=1))
        )
        for leaf in leaves:
            certificate = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(certificate.serial_number)
                .revocation_date(now - timedelta(hours=1))
                .build()
            )
        crl = builder.sign(key, SHA256()).public_bytes(Encoding.PEM)
        replace_file(self.crl_file, crl)

    def settings(self, mode: str = "required", *, crl: bool = False) -> TLSSettings:
        return TLSSettings(
            client_certificates=mode,
            client_ca=self.ca_file,
            client_crl=self.crl_file if crl else None,
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(trustme.CA(), tmp_path / "client-ca.pem", tmp_path / "client-crl.pem")
    made.ca.cert_pem.write_to_path(made.ca_file)
    return made


@pytest.fixture
def alice(authority: Authority) -> trustme.LeafCert:
    return authority.ca.issue_cert("alice@example.com", common_name="Alice")


Client = Callable[[trustme.LeafCert | None], ssl.SSLContext]


@pytest.fixture(params=["TLSv1_2", "TLSv1_3"])
def client(ca: trustme.CA, request: pytest.FixtureRequest) -> Client:
    """Returns a function that makes the context of a client with a certificate."""

    def make(leaf: trustme.LeafCert | None) -> ssl.SSLContext:
        context = ssl.create_default_context()
        context.minimum_version = context.maximum_version = ssl.TLSVersion[request.param]
        ca.configure_trust(context)
        if leaf is not None:
            leaf.configure_cert(context)
        return context

    return make


def accepted(served: Served, context: ssl.SSLContext) -> bool:
    """Return whether a client is served. In TLS 1.3 a refusal arrives with the first read."""
    try:
        with served.connect(context) as sock:
            return exchange(sock, "shout hello") == b"HELLO\n"
    except (ssl.SSLError, ConnectionError):
        return False


def environ(served: Served, context: ssl.SSLContext) -> dict[str, str]:
    with served.connect(context) as sock:
        sock.sendall(b"environ\n")
        answer = b""
        while not answer.endswith(b"\0\n"):
            answer += sock.recv(1 << 16)
    return dict(each.split("=", 1) for each in answer.decode().split("\0")[:-1])


def test_a_certificate_may_be_required(
    serve: Serve, authority: Authority, alice: trustme.LeafCert, client: Client
) -> None:
    served = serve(settings=authority.settings())
    assert accepted(served, client(alice))
    assert served.next_close() is CloseReason.CLIENT
    assert not accepted(served, client(None))
    assert served.next_close() is CloseReason.TLS
    assert served.tls_errors == {"certificate required": 1}


@pytest.mark.parametrize("mode", ["optional", "required"])
def test_a_certificate_of_an_unknown_authority_fails_the_handshake(
    serve: Serve, authority: Authority, ca: trustme.CA, client: Client, mode: str
) -> None:
    served = serve(settings=authority.settings(mode))
    assert not accepted(served, client(ca.issue_cert("mallory@example.com")))
    assert served.next_close() is CloseReason.TLS
    (reason,) = served.tls_errors
    assert reason.startswith("certificate verify failed: ")


def test_an_expired_certificate_fails_the_handshake(
    serve: Serve, authority: Authority, client: Client
) -> None:
    end = datetime.now(UTC) - timedelta(days=1)
    old = authority.ca.issue_cert(
        "old@example.com", not_before=end - timedelta(days=1), not_after=end
    )
    served = serve(settings=authority.settings("optional"))
    assert not accepted(served, client(old))
    assert served.next_close() is CloseReason.TLS
    assert served.tls_errors == {"certificate verify failed: certificate has expired": 1}


def test_an_optional_certificate_may_be_left_out(
    serve: Serve, authority: Authority, alice: trustme.LeafCert, client: Client
) -> None:
    served = serve(settings=authority.settings("optional"))
    assert environ(served, client(None))["SSL_CLIENT_VERIFY"] == "NONE"
    assert environ(served, client(alice))["SSL_CLIENT_VERIFY"] == "SUCCESS"


def test_the_environ_describes_the_client(
    serve: Serve, authority: Authority, alice: trustme.LeafCert, client: Client
) -> None:
    served = serve(settings=authority.settings())
    context = client(alice)
    found = environ(served, context)
    certificate = x509.load_pem_x509_certificate(alice.cert_chain_pems[0].bytes())
    assert found.pop("SSL_CIPHER") in {each["name"] for each in context.get_ciphers()}
    assert found.pop("SSL_PROTOCOL") == context.minimum_version.name.replace("1_", "1.")
    assert found.pop("SSL_CLIENT_CERT") == certificate.public_bytes(Encoding.PEM).decode()
    components = [key for key in found if key.startswith(("SSL_CLIENT_S_DN_", "SSL_CLIENT_I_DN_"))]
    assert "SSL_CLIENT_I_DN_O" in components
    assert {key: found[key] for key in found if key not in components} == {
        "SSL_TLS_SNI": "localhost",
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_S_DN": certificate.subject.rfc4514_string(),
        "SSL_CLIENT_I_DN": certificate.issuer.rfc4514_string(),
        "SSL_CLIENT_M_SERIAL": f"{certificate.serial_number:X}",
        "SSL_CLIENT_SAN_Email_0": "alice@example.com",
    }
    assert found["SSL_CLIENT_S_DN_CN"] == "Alice"


def test_text_beyond_ascii_is_in_utf_8(serve: Serve, authority: Authority, client: Client) -> None:
    served = serve(settings=authority.settings())
    leaf = authority.ca.issue_cert("zoe@example.com", "10.0.0.9", "z.test", common_name="Zoë Ł")
    found = environ(served, client(leaf))
    assert found["SSL_CLIENT_S_DN_CN"].encode("latin-1").decode() == "Zoë Ł"
    assert found["SSL_CLIENT_SAN_IP_0"] == "10.0.0.9"
    assert found["SSL_CLIENT_SAN_DNS_0"] == "z.test"


def test_without_mutual_tls_the_environ_describes_no_client(serve: Serve, client: Client) -> None:
    found = environ(serve(), client(None))
    assert set(found) == {"SSL_PROTOCOL", "SSL_CIPHER", "SSL_CLIENT_VERIFY", "SSL_TLS_SNI"}
    assert found["SSL_CLIENT_VERIFY"] == "NONE"


def with_alternative_names(ca: trustme.CA, der: bytes, path: Path) -> None:
    """Write a client's certificate with these bytes as its alternative names."""
    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    issuer_key = load_pem_private_key(ca.private_key_pem.bytes(), password=None)
    assert isinstance(issuer_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Eve")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime.now(UTC) - timedelta(hours=1))
        .not_valid_after(datetime.now(UTC) + timedelta(hours=1))
        .add_extension(
            x509.UnrecognizedExtension(ExtensionOID.SUBJECT_ALTERNATIVE_NAME, der),
            critical=False,
        )
        .sign(issuer_key, SHA256())
    )
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + certificate.public_bytes(Encoding.PEM)
    )


@pytest.mark.parametrize(
    "names",
    [b"\x30\x03\x82\x01\xff", b"\x30\x09\xa5\x07\xa1\x05\x0c\x03abc"],
    ids=["not ASCII", "of a kind that nobody uses"],
)
def test_a_certificate_that_cannot_be_parsed_is_refused(
    serve: Serve, authority: Authority, client: Client, tmp_path: Path, names: bytes
) -> None:
    served = serve(settings=authority.settings())
    with_alternative_names(authority.ca, names, tmp_path / "eve.pem")
    context = client(None)
    context.load_cert_chain(tmp_path / "eve.pem")
    assert not accepted(served, context)
    assert served.next_close() is CloseReason.TLS
    assert served.tls_errors == {"unreadable client certificate": 1}


# -- revocation --------------------------------------------------------------------------------


def test_a_revoked_certificate_fails_the_handshake(
    serve: Serve, authority: Authority, alice: trustme.LeafCert, client: Client
) -> None:
    bob = authority.ca.issue_cert("bob@example.com")
    authority.revoke(bob)
    served = serve(settings=authority.settings(crl=True))
    assert accepted(served, client(alice))
    assert not accepted(served, client(bob))
    wait_until(lambda: served.tls_errors == {"certificate verify failed: certificate revoked": 1})


def test_a_new_list_counts_for_the_next_connection_and_for_its_session(
    serve: Serve, authority: Authority, alice: trustme.LeafCert, client: Client
) -> None:
    authority.revoke()
    served = serve(settings=authority.settings(crl=True))
    context = client(alice)
    with served.connect(context) as first:
        assert exchange(first, "shout a") == b"A\n"
        session = first.session
    sock = served.connect_plain()
    with context.wrap_socket(sock, server_hostname="localhost", session=session) as again:
        assert exchange(again, "shout b") == b"B\n"
        assert again.session_reused

    authority.revoke(alice)
    assert not accepted(served, context)
    sock = served.connect_plain()
    with (
        pytest.raises((ssl.SSLError, ConnectionError, AssertionError)),
        context.wrap_socket(sock, server_hostname="localhost", session=session) as resumed,
    ):
        exchange(resumed, "shout c")

    authority.revoke()
    assert accepted(served, client(alice))


def test_a_new_authority_counts_for_the_next_connection(
    serve: Serve, authority: Authority, alice: trustme.LeafCert, client: Client
) -> None:
    served = serve(settings=authority.settings())
    other = trustme.CA()
    other.cert_pem.write_to_path(authority.ca_file)
    assert not accepted(served, client(alice))
    assert accepted(served, client(other.issue_cert("carol@example.com")))


def test_a_list_that_cannot_be_used_leaves_the_old_one_in_service(
    serve: Serve,
    authority: Authority,
    alice: trustme.LeafCert,
    client: Client,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "rocket_tls.certificate")
    bob = authority.ca.issue_cert("bob@example.com")
    authority.revoke(bob)
    served = serve(settings=authority.settings(crl=True))
    whole = authority.crl_file.read_bytes()
    authority.crl_file.write_bytes(whole[:-40])
    for _ in range(3):
        assert accepted(served, client(alice))
        assert not accepted(served, client(bob))
    assert caplog.messages == [
        (
            f"client_crl file {authority.crl_file}: its list number 1 is incomplete, damaged or of "
            "an unknown kind; store the whole list there "
            "(the previous CAs stay in service)"
        )
    ]
    with pytest.raises(CertificateError, match="incomplete, damaged"):
        served.listener.reload()


def test_reload_reports_certificates_and_authorities(files: Files, authority: Authority) -> None:
    listener = TLSListener(
        "127.0.0.1:0", files.certificate, files.key, settings=authority.settings()
    )
    files.certificate.write_bytes(b"")
    authority.ca_file.write_bytes(b"")
    with pytest.raises(CertificateError) as raised:
        listener.reload()
    assert str(raised.value).count("holds no certificate") == 2


@pytest.mark.parametrize("kind", list(trustme.KeyType))
def test_a_list_of_another_authority_is_refused(
    files: Files, authority: Authority, kind: trustme.KeyType
) -> None:
    authority.revoke(signer=trustme.CA())
    trustme.CA(key_type=kind).cert_pem.write_to_path(authority.ca_file)
    with pytest.raises(CertificateError, match="is not signed by a CA of client_ca"):
        TLSListener(
            "127.0.0.1:0", files.certificate, files.key, settings=authority.settings(crl=True)
        )


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("client-ca.pem", None, "client_ca file .* cannot be read"),
        ("client-ca.pem", b"", "client_ca file .* holds no certificate; it must hold the CAs"),
        ("client-crl.pem", None, "client_crl file .* cannot be read"),
        ("client-crl.pem", b"", "client_crl file .* holds no list of revoked certificates"),
    ],
)
def test_files_that_cannot_be_used(
    files: Files, authority: Authority, name: str, content: bytes | None, message: str
) -> None:
    authority.revoke()
    path = authority.ca_file.with_name(name)
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CertificateError, match=message):
        TLSListener(
            "127.0.0.1:0", files.certificate, files.key, settings=authority.settings(crl=True)
        )


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_openssl_agrees(
    serve: Serve,
    authority: Authority,
    alice: trustme.LeafCert,
    ca: trustme.CA,
    version: str,
) -> None:
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl is not installed")
    served = serve(settings=authority.settings())
    root, own = (authority.ca_file.with_name(name) for name in ("root.pem", "alice.pem"))
    ca.cert_pem.write_to_path(root)
    alice.private_key_and_cert_chain_pem.write_to_path(own)
    host, port = served.address
    command = [openssl, "s_client", "-connect", f"{host}:{port}", "-servername", "localhost"]
    command += ["-CAfile", str(root), "-verify_return_error", version, "-quiet"]
    for extra, answer in ((["-cert", str(own), "-key", str(own)], b"HELLO\n"), ([], b"")):
        done = subprocess.run(
            [*command, *extra],
            input=b"shout hello\nclose\n",
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.stdout.removesuffix(b"closed") == answer
