"""A site that obtains its certificate by itself, while it redirects all else to HTTPS."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx
import pytest

from rocket_core.testing import unused_port
from systemtests.processes import PATIENCE, Process, find_tool, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from systemtests.certificates import Certificates

APPLICATION = """
def app(environ, start_response):
    body = f"{environ['wsgi.url_scheme']} {environ['SSL_TLS_SNI']}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""


@contextmanager
def pebble(
    folder: Path, certificates: Certificates, ports: tuple[int, int]
) -> Iterator[tuple[str, int]]:
    """Run an ACME server that validates on these ports; its URL, and the port of its management."""
    port, management = unused_port(), unused_port()
    config = {
        "listenAddress": f"127.0.0.1:{port}",
        "managementListenAddress": f"127.0.0.1:{management}",
        "certificate": str(certificates.cert),
        "privateKey": str(certificates.key),
        "httpPort": ports[0],
        "tlsPort": ports[1],
    }
    path = folder / "pebble.json"
    path.write_text(json.dumps({"pebble": config}))
    command = [find_tool("env"), "PEBBLE_VA_NOSLEEP=1", find_tool("pebble"), "-config", str(path)]
    process = Process(command, folder)
    try:
        process.wait_for("ACME directory available at")
        for each in (port, management):
            wait_for_port(each)
        yield f"https://127.0.0.1:{port}/dir", management
    finally:
        process.kill()


def wait_for_port(port: int) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        except ConnectionRefusedError:
            assert time.monotonic() < until, f"nobody listens on port {port}"
            time.sleep(0.01)
        else:
            return


def root_of(management: int, certificates: Certificates) -> str:
    trust = ssl.create_default_context(cafile=certificates.ca)
    connection = http.client.HTTPSConnection("127.0.0.1", management, context=trust)
    connection.request("GET", "/roots/0")
    root = connection.getresponse().read().decode()
    connection.close()
    return root


@pytest.mark.parametrize("challenge", ["http-01", "tls-alpn-01"])
def test_a_site_comes_up_over_https_by_itself(
    challenge: str, tmp_path: Path, certificates: Certificates
) -> None:
    (tmp_path / "app.py").write_text(APPLICATION)
    plain, secure = unused_port(), unused_port()
    arguments = [
        *("--bind", f"http://127.0.0.1:{plain}", "--bind", f"https://127.0.0.1:{secure}"),
        *("--https-redirect", str(secure), "--hsts", "max-age=60", "--processes", "2"),
        *("--acme", "localhost", "--acme-challenge", challenge),
        *("--acme-dir", str(tmp_path / "acme"), "--acme-server-ca", str(certificates.ca)),
    ]
    with pebble(tmp_path, certificates, (plain, secure)) as (url, management):
        trust = ssl.create_default_context(cadata=root_of(management, certificates))
        with serve(*arguments, "--acme-server", url, cwd=tmp_path) as server:
            server.wait_for("issued a certificate for localhost")
            with httpx.Client(
                trust_env=False, verify=trust, timeout=PATIENCE, follow_redirects=True
            ) as client:
                answer = client.get(f"http://localhost:{plain}/")
                assert answer.text == "https localhost"
                assert answer.headers["Strict-Transport-Security"] == "max-age=60"
                assert answer.history[0].status_code == 301
