"""Servers that reload and end while clients of HTTP/2 have requests in flight."""

from __future__ import annotations

import json
import re
import signal
import socket
import ssl
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from systemtests.certificates import Certificates
from systemtests.processes import (
    APPLICATIONS,
    PATIENCE,
    PLAIN,
    Process,
    Server,
    assert_quiet,
    find_tool,
    serve,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

RELOADS = 5
LOAD = Path(__file__).parent / "systemtests" / "http2_load.js"

APPLICATION = """
import threading, time
first = threading.Lock()
def application(environ, start_response):
    if first.acquire(blocking=False):
        print("first request", flush=True)
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.05)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"complete"] * 1000
"""


@contextmanager
def gate() -> Iterator[socket.socket]:
    """Where the application gated.py asks for leave to answer."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as sock:
        sock.settimeout(PATIENCE)
        yield sock


@contextmanager
def load(server: Server, certificates: Certificates, count: int) -> Iterator[dict[str, Any]]:
    """Have ``count`` requests in flight meanwhile; yield what is told at the end."""
    client = subprocess.Popen(
        [find_tool("node"), str(LOAD), server.address, str(certificates.ca), str(count)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        encoding="utf-8",
    )
    told: dict[str, Any] = {}
    try:
        yield told
        output, _ = client.communicate("", PATIENCE)
    finally:
        client.kill()
        client.wait()
    told.update(json.loads(output))


@pytest.mark.parametrize("processes", [1, 3])
@pytest.mark.parametrize("transport", ["tls", "cleartext"])
def test_no_response_is_lost_in_reloads(
    certificates: Certificates, tmp_path: Path, transport: str, processes: int
) -> None:
    (tmp_path / "deployed.py").write_text(APPLICATION)
    binding = certificates.options if transport == "tls" else [*PLAIN, "--h2c"]
    options = [*binding, "--processes", str(processes)]
    with serve("deployed:application", *options, cwd=tmp_path) as server:
        with load(server, certificates, 20) as told:
            server.wait_for("first request")
            for _ in range(RELOADS):
                server.send(signal.SIGHUP)
                missing = {"reloaded: generation", "first request"}  # on another connection
                while missing:
                    missing.remove(server.wait_for("|".join(missing))[0])
        assert told["lost"] == []
        assert told["answers"] > 0
        assert told["connections"] > RELOADS
    assert_quiet(server.log)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_streams_in_flight_finish(certificates: Certificates, number: signal.Signals) -> None:
    """The client is told twice to begin no other ones: at once, and when all are known."""
    count = 10
    options = [*certificates.options, "--threads", str(count)]
    with gate() as leave:
        variables = {"GATE_PORT": str(leave.getsockname()[1])}
        with serve("gated:application", *options, cwd=APPLICATIONS, variables=variables) as server:
            addresses = [f"{server.address}/{each}" for each in range(count)]
            command = [find_tool("nghttp"), "-v", "--no-verify-peer", *addresses]
            client = Process(command, APPLICATIONS)
            try:
                asked = [leave.accept()[0] for _ in range(count)]
                server.send(number)
                client.wait_for("recv GOAWAY")
                first = client.wait_for("last_stream_id=([0-9]+)")[1]
                client.wait_for("recv GOAWAY")
                second = client.wait_for("last_stream_id=([0-9]+)")[1]
                assert "recv DATA" not in client.log
                for each in asked:
                    with each:
                        each.sendall(b"x")
                assert client.wait() == 0
            finally:
                client.kill()
            assert int(first) == (1 << 31) - 1
            assert 0 < int(second) < int(first)
            assert len(re.findall("recv .*:status: 200", client.log)) == count
            assert client.log.count("complete") == count
            assert "error_code=NO_ERROR(0x00)" in client.log
            if number is signal.SIGTERM:
                assert server.wait() == 0
            else:
                server.wait_for("reloaded: generation")
    assert_quiet(server.log)


def test_new_certificate(certificates: Certificates, tmp_path: Path) -> None:
    """New connections get it, and agree on HTTP/2. Open ones go on."""
    for new, old in (("cert.pem", certificates.cert), ("key.pem", certificates.key)):
        (tmp_path / new).write_bytes(old.read_bytes())
    (tmp_path / "others").mkdir()
    others = Certificates.create(tmp_path / "others")
    options = ["--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem")]
    bind = ["--bind", "https://127.0.0.1:0"]
    with serve("seen:application", *bind, *options, cwd=APPLICATIONS) as server:

        def client(trusted: Certificates) -> httpx.Client:
            context = ssl.create_default_context(cafile=str(trusted.ca))
            return httpx.Client(
                base_url=server.address, verify=context, http1=False, http2=True, trust_env=False
            )

        with client(certificates) as open_one:
            assert open_one.get("/").json()["SERVER_PROTOCOL"] == "HTTP/2"
            # The key first: until its certificate follows, the pair does not fit, and stays unused.
            for name, path in (("key.pem", others.key), ("cert.pem", others.cert)):
                path.rename(tmp_path / name)
            with client(others) as new_one:
                assert new_one.get("/").json()["SERVER_PROTOCOL"] == "HTTP/2"
            # Another connection would fail, since this client does not trust the new certificate.
            assert open_one.get("/").status_code == 200
    assert_quiet(server.log)
