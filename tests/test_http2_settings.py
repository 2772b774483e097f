"""What the settings for HTTP/2 do: over TLS, and without it."""

from __future__ import annotations

import json
import socket
import ssl
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

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

    from systemtests.certificates import Certificates

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


def test_without_the_setting_cleartext_is_refused() -> None:
    with serve(SEEN, *ANY, cwd=APPLICATIONS) as server:
        host, _, port = server.address.removeprefix("http://").rpartition(":")
        with socket.create_connection((host, int(port)), PATIENCE) as client:
            client.sendall(PREFACE)
            parts = b""
            while part := client.recv(1 << 16):
                parts += part
        assert parts.startswith(b"HTTP/1.1 505 ")


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
