"""What the settings for HTTP/2 do: over TLS, and without it."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from trustme import KeyType

from systemtests.certificates import Certificates
from systemtests.processes import (
    APPLICATIONS,
    PATIENCE,
    Process,
    assert_quiet,
    environment,
    find_tool,
    rocket_cli,
    serve,
)

if TYPE_CHECKING:
    from pathlib import Path

SEEN = "seen:application"
ANY = ["--bind", "127.0.0.1:0"]
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""With empty SETTINGS."""


def curl(*arguments: str) -> tuple[dict[str, Any], str]:
    """What the application has seen of a request, and the version of HTTP that curl has used."""
    command = [find_tool("curl"), "--silent", "--show-error", "--fail", "--max-time", "10"]
    command += ["--write-out", "\n%{http_version}", *arguments]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    body, _, version = done.stdout.rpartition("\n")
    return json.loads(body), version


@pytest.mark.parametrize(
    ("options", "asked", "version", "protocol"),
    [
        ([], ["--http2"], "2", "HTTP/2"),
        ([], ["--http1.1"], "1.1", "HTTP/1.1"),
        ([], ["--no-alpn"], "1.1", "HTTP/1.1"),
        (["--no-http2"], ["--http2"], "1.1", "HTTP/1.1"),
        (["--tls-min-version", "1.3"], ["--http2"], "2", "HTTP/2"),
        ([], ["--http2", "--tls-max", "1.2"], "2", "HTTP/2"),
        (
            ["--tls-ciphers", "ECDHE-ECDSA-AES128-SHA256"],
            ["--http2", "--tls-max", "1.2"],
            "1.1",
            "HTTP/1.1",
        ),
    ],
)
def test_https(
    certificates: Certificates,
    options: list[str],
    asked: list[str],
    version: str,
    protocol: str,
) -> None:
    with serve(SEEN, *certificates.options, *options, cwd=APPLICATIONS) as server:
        seen, used = curl("--cacert", str(certificates.ca), *asked, server.address)
        assert (used, seen["SERVER_PROTOCOL"]) == (version, protocol)
        assert seen["wsgi.url_scheme"] == "https"
    assert_quiet(server.log)


def test_cleartext(tmp_path: Path) -> None:
    """At a loopback address, and at a Unix socket, where HTTP/1.1 is served, too."""
    path = tmp_path / "rocket.sock"
    binds = [*ANY, "--bind", f"unix:{path}"]
    with serve(SEEN, *binds, "--h2c", cwd=APPLICATIONS) as server:
        for place in ([server.address], ["--unix-socket", str(path), "http://localhost"]):
            seen, used = curl("--http2-prior-knowledge", *place)
            assert (used, seen["SERVER_PROTOCOL"]) == ("2", "HTTP/2")
            assert seen["wsgi.url_scheme"] == "http"
            for asked in ("--http1.1", "--http2"):  # the latter asks for an upgrade
                seen, used = curl(asked, *place)
                assert (used, seen["SERVER_PROTOCOL"]) == ("1.1", "HTTP/1.1")
    assert_quiet(server.log)


def begun(host: str, port: int) -> bytes:
    """What a server answers to the beginning of HTTP/2, and that it closes the connection."""
    with socket.create_connection((host, port), PATIENCE) as client:
        client.sendall(PREFACE)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


def test_without_the_setting_cleartext_is_refused() -> None:
    with serve(SEEN, *ANY, cwd=APPLICATIONS) as server:
        host, _, port = server.address.removeprefix("http://").rpartition(":")
        assert begun(host, int(port)).startswith(b"HTTP/1.1 505 ")


def own_address() -> str:
    """An address of this machine that is not a loopback address."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing
        except OSError:
            pytest.skip("this machine has no address but those of loopback")
        address: str = probe.getsockname()[0]
    return address


def test_cleartext_at_an_address_that_others_reach() -> None:
    """Only trusted proxies may use it there. At the loopback address, all clients may."""
    address = own_address()
    with serve(SEEN, "--bind", "0.0.0.0:0", "--h2c", cwd=APPLICATIONS) as server:
        port = int(server.address.rpartition(":")[2])
        assert begun(address, port).startswith(b"HTTP/1.1 505 ")
        seen, used = curl("--http2-prior-knowledge", f"http://127.0.0.1:{port}")
        assert (used, seen["SERVER_PROTOCOL"]) == ("2", "HTTP/2")
    options = ["--bind", f"{address}:0", "--h2c", "--trusted-proxies", address]
    with serve(SEEN, *options, cwd=APPLICATIONS) as server:
        seen, used = curl("--http2-prior-knowledge", server.address)
        assert (used, seen["SERVER_PROTOCOL"]) == ("2", "HTTP/2")
    assert_quiet(server.log)


# -- the handshake of TLS, as OpenSSL sees it ------------------------------------------------------

FORBIDDEN = {
    KeyType.ECDSA: ["ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA"],
    KeyType.RSA: ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-RSA-AES128-SHA256"],
}
"""Some ciphers of TLS 1.2 that HTTP/2 forbids (RFC 9113, appendix A), for each kind of key."""


def handshake(address: str, *options: str) -> str:
    """What `openssl s_client` prints of a handshake, successful or not."""
    command = [find_tool("openssl"), "s_client", "-connect", address.removeprefix("https://")]
    done = subprocess.run(
        [*command, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    return done.stdout + done.stderr


def test_protocols_as_openssl_sees_them(certificates: Certificates) -> None:
    with serve(SEEN, *certificates.options, cwd=APPLICATIONS) as server:
        for version in ("-tls1_2", "-tls1_3"):
            for offered, agreed in (
                ("h2", "h2"),
                ("h2,http/1.1", "h2"),
                ("http/1.1,h2", "h2"),
                ("http/1.1", "http/1.1"),
                ("h3,http/1.0", "http/1.0"),
            ):
                printed = handshake(server.address, version, "-alpn", offered)
                assert f"ALPN protocol: {agreed}\n" in printed
            printed = handshake(server.address, version, "-alpn", "h3,spdy/3")
            assert "no application protocol" in printed  # the alert 120
            assert "No ALPN negotiated" in handshake(server.address, version)
    assert_quiet(server.log)


ASKED = ["-tls1_2", "-alpn", "h2,http/1.1", "-cipher"]


@pytest.mark.parametrize("kind", [KeyType.ECDSA, KeyType.RSA], ids=["ecdsa", "rsa"])
def test_ciphers_that_http2_forbids(tmp_path: Path, kind: KeyType) -> None:
    """No client gets them."""
    certificates = Certificates.create(tmp_path, kind)
    with serve(SEEN, *certificates.options, cwd=APPLICATIONS) as server:
        for cipher in FORBIDDEN[kind]:
            printed = handshake(server.address, *ASKED, f"{cipher}:@SECLEVEL=0")
            assert "handshake failure" in printed
        allowed = f"ECDHE-{kind.name}-AES128-GCM-SHA256"
        assert "ALPN protocol: h2\n" in handshake(server.address, *ASKED, allowed)
    assert_quiet(server.log)


def test_forbidden_ciphers_that_are_named(certificates: Certificates) -> None:
    """Clients get them, and no HTTP/2 in TLS 1.2."""
    named = ["--tls-ciphers", "ECDHE-ECDSA-AES128-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256"]
    with serve(SEEN, *certificates.options, *named, cwd=APPLICATIONS) as server:
        for cipher in ("ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"):
            printed = handshake(server.address, *ASKED, cipher)
            assert "ALPN protocol: http/1.1\n" in printed
        printed = handshake(server.address, "-tls1_3", "-alpn", "h2")
        assert "ALPN protocol: h2\n" in printed
    assert_quiet(server.log)


def told(admin: Path, command: str) -> dict[str, Any]:
    """The answer of the one process of a server to a command."""
    done = subprocess.run(
        [rocket_cli(), command, "--admin", str(admin), "--json"],
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=True,
    )
    (answer,) = json.loads(done.stdout)["answers"]
    found: dict[str, Any] = answer
    return found


def test_connections_are_told_apart(certificates: Certificates, tmp_path: Path) -> None:
    """In the report of the connections."""
    admin = tmp_path / "admin.sock"
    options = [*certificates.options, "--admin", str(admin)]
    context = ssl.create_default_context(cafile=str(certificates.ca))
    context.set_alpn_protocols(["h2"])
    with serve(SEEN, *options, cwd=APPLICATIONS) as server:
        host, _, port = server.address.removeprefix("https://").rpartition(":")
        with (
            socket.create_connection((host, int(port)), PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname=host) as client,
        ):
            client.sendall(PREFACE)
            assert client.recv(1 << 16)  # the server's settings
            (found,) = told(admin, "connections")["connections"]
        assert (found["protocol"], found["kind"], found["state"]) == ("h2", "HTTP/2", "shared")
        assert (found["streams"], found["active"]) == (0, False)


def test_streams_are_counted(tmp_path: Path) -> None:
    """While the application answers three requests of one connection."""
    admin = tmp_path / "admin.sock"
    with socket.create_server(("127.0.0.1", 0)) as gate:
        variables = {"GATE_PORT": str(gate.getsockname()[1])}
        options = [*ANY, "--h2c", "--admin", str(admin)]
        with serve("gated:application", *options, cwd=APPLICATIONS, variables=variables) as server:
            addresses = [f"{server.address}/{number}" for number in range(3)]
            client = Process([find_tool("nghttp"), "-n", *addresses], APPLICATIONS)
            try:
                asked = [gate.accept()[0] for _ in addresses]
                (found,) = told(admin, "connections")["connections"]
                assert (found["streams"], found["active"]) == (3, True)
                shared = told(admin, "stats")["shared"]
                assert shared == {"HTTP/2": {"parked": 0, "active": 1, "streams": 3}}
                for each in asked:
                    each.close()
                assert client.wait() == 0
            finally:
                client.kill()
