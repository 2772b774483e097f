"""Where HTTP/2 is offered, and which settings for it contradict each other."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest
import trustme

from choosing import choose
from rocket_cli._errors import CommandError
from rocket_cli._serving.listeners import make_listeners
from rocket_core import Connection, Server, State, TCPAddress, Worker


class Tell(Worker):
    """Answers each line with the protocol of the connection."""

    def serve(self, connection: Connection) -> State:
        connection.take()
        connection.write(connection.protocol.encode() or b"none")
        return State.IDLE


@pytest.fixture
def tls(certificate: Path, key: Path) -> list[str]:
    return ["--tls-cert", str(certificate), "--tls-key", str(key)]


@pytest.mark.parametrize(
    ("options", "offered", "agreed"),
    [
        ([], ["h2", "http/1.1"], "h2"),
        (["--http2"], ["http/1.1", "h2"], "h2"),
        (["--no-http2"], ["h2", "http/1.1"], "http/1.1"),
        ([], ["http/1.1"], "http/1.1"),
        ([], ["http/1.0"], "http/1.0"),
        ([], [], "none"),
        (["--no-http2"], [], "none"),
        (["--no-http2"], ["h2"], None),
        ([], ["h3"], None),
    ],
)
def test_protocols_that_tls_offers(
    authority: trustme.CA,
    tls: list[str],
    options: list[str],
    offered: list[str],
    agreed: str | None,
) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if offered:
        context.set_alpn_protocols(offered)
    chosen = choose("--bind", "127.0.0.1:0", *tls, *options)
    with Server(Tell, make_listeners(chosen), min_threads=1) as server:
        address = server.listeners[0].address
        assert isinstance(address, TCPAddress)
        with socket.create_connection((address.host, address.port), 30) as plain:
            if agreed is None:
                with pytest.raises(ssl.SSLError, match="no application protocol"):
                    context.wrap_socket(plain, server_hostname="127.0.0.1")
                return
            with context.wrap_socket(plain, server_hostname="127.0.0.1") as client:
                client.sendall(b"x")
                assert client.recv(100).decode() == agreed


def test_one_setting_in_a_file_or_a_variable(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rocket.toml").write_text("http2 = false\n")
    assert choose()["http2"] is False
    monkeypatch.setenv("ROCKET_HTTP2", "true")
    assert choose()["http2"] is True
    monkeypatch.setenv("ROCKET_H2C", "yes")
    assert choose()["h2c"] is True


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--no-http2"], r"^--h2c has no effect, because --http2 is off: leave one"),
        (
            ["--bind", "http://192.0.2.1:80"],
            r"^--h2c has no effect without --trusted-proxies.* name the networks",
        ),
        (
            ["--bind", "192.0.2.1:80", "--trusted-proxies", "none"],
            r"^--h2c has no effect without --trusted-proxies",
        ),
    ],
)
def test_cleartext_without_a_client(options: list[str], message: str) -> None:
    with pytest.raises(CommandError, match=message):
        make_listeners(choose("--h2c", *options))


def test_cleartext_needs_an_address_without_tls(tls: list[str]) -> None:
    with pytest.raises(
        CommandError, match=r"^--h2c has no effect, because all addresses use HTTPS"
    ):
        make_listeners(choose("--h2c", "--bind", "127.0.0.1:0", *tls))
    binds = ["--bind", "https://127.0.0.1:0", "--bind", "http://127.0.0.1:0"]
    assert len(make_listeners(choose("--h2c", *binds, *tls))) == 2


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--bind", "unix:/run/rocket.sock"],
        ["--bind", "[::1]:80"],
        ["--bind", "localhost:80"],
        ["--bind", ":80"],  # a sidecar may reach it at 127.0.0.1
        ["--bind", "0.0.0.0:80"],
        ["--bind", "192.0.2.1:80", "--trusted-proxies", "192.0.2.0/24"],
    ],
)
def test_cleartext_with_clients(options: list[str]) -> None:
    assert len(make_listeners(choose("--h2c", *options))) == 1
