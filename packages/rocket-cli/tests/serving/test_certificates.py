"""Certificates from directories and from a certificate authority."""

from __future__ import annotations

import importlib.util
import socket
import ssl
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from choosing import choose
from rocket_cli._errors import CommandError
from rocket_cli._serving.certificates import has_certificate, make_acme
from rocket_cli._serving.listeners import make_listeners
from rocket_core import Connection, Server, State, TCPAddress, Worker
from rocket_tls import LETS_ENCRYPT, Challenge

SECURE = ["--bind", "https://127.0.0.1:0"]
BOTH = ["--bind", "http://127.0.0.1:0", *SECURE]


class Echo(Worker):
    def serve(self, connection: Connection) -> State:
        connection.write(connection.take())
        return State.IDLE


@pytest.fixture
def with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pretend that the packages for ACME are installed; no test here uses them."""
    found = importlib.util.find_spec("ssl")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)


def fill(directory: Path, authority: trustme.CA, *names: str) -> Path:
    directory.mkdir()
    for name in names:
        leaf = authority.issue_cert(name)
        leaf.private_key_and_cert_chain_pem.write_to_path(directory / f"{name}.pem")
    return directory


@pytest.mark.parametrize("directory", [False, True])
def test_keys_with_a_password(authority: trustme.CA, tmp_path: Path, *, directory: bool) -> None:
    """The password is the first line of a file, with the end that any editor gives it."""
    leaf = authority.issue_cert("a.example")
    key = load_pem_private_key(leaf.private_key_pem.bytes(), None)
    encrypted = key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"open sesame")
    )
    pem = tmp_path / "certificates" / "a.pem"
    pem.parent.mkdir()
    chain = b"".join(each.bytes() for each in leaf.cert_chain_pems)
    pem.write_bytes(encrypted + chain)
    password = tmp_path / "password"
    source = ("--tls-dir", str(pem.parent)) if directory else ("--tls-cert", str(pem))
    options = ("--bind", "127.0.0.1:0", *source, "--tls-key-password-file", str(password))
    with pytest.raises(CommandError, match=r"password cannot be read \(No such file"):
        make_listeners(choose(*options))
    for text in (b"open sesame\r\nand more", b"open sesame\n", b"open sesame"):
        password.write_bytes(text)
        make_listeners(choose(*options))
    password.write_bytes(b"open\n")
    with pytest.raises(CommandError, match="password"):
        make_listeners(choose(*options))


def test_directories_of_certificates(authority: trustme.CA, tmp_path: Path) -> None:
    first = fill(tmp_path / "first", authority, "a.example", "b.example")
    second = fill(tmp_path / "second", authority, "c.example")
    chosen = choose("--bind", "127.0.0.1:0", "--tls-dir", str(first), "--tls-dir", str(second))
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with Server(Echo, make_listeners(chosen), min_threads=1) as server:
        address = server.listeners[0].address
        assert isinstance(address, TCPAddress)
        for name in ("a.example", "b.example", "c.example"):
            with (
                socket.create_connection((address.host, address.port), 30) as plain,
                context.wrap_socket(plain, server_hostname=name) as client,
            ):
                client.sendall(b"ping")
                assert client.recv(4) == b"ping"


def test_a_directory_without_a_certificate(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"^--tls-dir: certificate directory .* holds no"):
        make_listeners(choose(*SECURE, "--tls-dir", str(tmp_path)))


def test_what_is_about_tls_goes_with_any_of_them(tmp_path: Path) -> None:
    choose(*SECURE, "--tls-dir", str(tmp_path), "--tls-profile", "modern")
    choose(*SECURE, "--acme", "example.org", "--tls-profile", "modern")
    with pytest.raises(
        CommandError,
        match=r"^--tls-profile has no effect without --tls-cert or --tls-dir or --acme: set that",
    ):
        choose("--tls-profile", "modern")


@pytest.mark.usefixtures("with_the_extra")
def test_every_setting_of_acme_reaches_it(tmp_path: Path) -> None:
    key = tmp_path / "eab"
    key.write_text("c2VjcmV0\n")
    chosen = choose(
        *BOTH,
        *("--acme", "example.org", "--acme", "192.0.2.1", "--acme-email", "me@example.org"),
        *("--acme-dir", str(tmp_path / "acme"), "--acme-challenge", "http-01"),
        *("--acme-server", "https://ca.example/dir", "--acme-server-ca", "ca.pem"),
        *("--acme-eab-key-id", "id", "--acme-eab-key", str(key)),
    )
    assert has_certificate(chosen)
    acme = make_acme(chosen)
    assert acme is not None
    settings = acme._manager.settings
    assert settings.names == ("example.org", "192.0.2.1")
    assert settings.email == "me@example.org"
    assert settings.challenge is Challenge.HTTP_01
    assert settings.server == "https://ca.example/dir"
    assert settings.server_ca == Path("ca.pem")
    assert settings.external_account == ("id", "c2VjcmV0")
    assert acme._manager.files.certificate == tmp_path / "acme/certificate.pem"
    assert not (tmp_path / "acme").exists()
    http, https = make_listeners(chosen, acme)
    assert (http.scheme, https.scheme) == ("http", "https")


@pytest.mark.usefixtures("with_the_extra")
def test_defaults_of_acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    acme = make_acme(choose(*SECURE, "--acme", "example.org"))
    assert acme is not None
    settings = acme._manager.settings
    assert (settings.server, settings.challenge) == (LETS_ENCRYPT, Challenge.TLS_ALPN_01)
    expected = tmp_path / "rocket/acme/example.org/certificate.pem"
    assert acme._manager.files.certificate == expected


def test_without_acme_there_is_none() -> None:
    assert make_acme(choose(*SECURE)) is None


@pytest.mark.usefixtures("with_the_extra")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*SECURE, "--acme", "*.example.org"], r"^--acme: '\*\.example\.org': wildcards"),
        ([*SECURE, "--acme", "../up"], r"^--acme: '\.\./up' is not a valid name"),
        (["--bind", "http://:0", "--acme", "a.example"], r"^--acme .* but no address uses HTTPS"),
        (
            [*SECURE, "--acme", "a.example", "--acme-challenge", "http-01"],
            r"^--acme-challenge: http-01 needs plain HTTP: add --bind http://:80",
        ),
        (
            [*SECURE, "--acme", "a.example", "--acme-eab-key-id", "id", "--acme-eab-key", "none"],
            r"^--acme-eab-key: none cannot be read \(No such file or directory\): name the file",
        ),
    ],
)
def test_invalid_settings(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        make_acme(choose(*arguments))


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CommandError, match=r"^--acme: acme is not installed.* pip install"):
        make_acme(choose(*SECURE, "--acme", "example.org"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--acme-email", "me@example.org"], "has no effect without --acme"),
        (["--acme-challenge", "http-01"], "has no effect without --acme"),
        (["--acme", "a.example", "--acme-eab-key", "key"], "no effect without --acme-eab-key-id"),
    ],
)
def test_settings_that_need_another(arguments: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        choose(*arguments)
