from __future__ import annotations

import signal
import socket
import subprocess
import textwrap
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
import pytest
import trustme

from rocket_core.testing import eventually, listening
from systemtests.processes import (
    APPLICATIONS,
    PATIENCE,
    PLAIN,
    assert_quiet,
    environment,
    rocket_cli,
    serve,
)

if TYPE_CHECKING:
    from pathlib import Path

    from systemtests.certificates import Certificates

MODULES = {
    "good.py": """
        number = 1
        def app(environ, start_response):
            start_response("200 OK", [("Content-Length", "0")])
            return []
    """,
    "needs_more.py": "import a_package_that_is_not_installed",
    "unfinished.py": "def app(:",
    "fails.py": "raise RuntimeError('no database\\nat this address')",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory with modules to serve."""
    for name, text in MODULES.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    return tmp_path


def refuse(folder: Path, *arguments: str) -> str:
    """Run `rocket-cli serve`, which must give up with one line on standard error; return it."""
    done = run(folder, *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [rocket_cli(), "serve", *arguments],
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("missing:app", ["missing"]),
        ("needs_more:app", ["needs_more", "a_package_that_is_not_installed"]),
        ("unfinished:app", ["unfinished", "line 1"]),
        ("fails:app", ["fails", "no database"]),
        ("good:other", ["good", "other"]),
        ("good:number", ["good:number", "callable"]),
    ],
)
def test_application_that_cannot_be_loaded(folder: Path, target: str, named: list[str]) -> None:
    line = refuse(folder, *PLAIN, target)
    for name in named:
        assert name in line


def test_directory_without_application(tmp_path: Path) -> None:
    with serve(*PLAIN, cwd=tmp_path) as server:
        page = httpx.get(server.address, timeout=PATIENCE, trust_env=False)
    assert page.status_code == 200
    assert "rocket-cli serve MODULE:APP" in server.log
    assert_quiet(server.log)


def test_debug_shows_the_traceback(folder: Path) -> None:
    done = run(folder, *PLAIN, "--log-level", "debug", "needs_more:app")
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "a_package_that_is_not_installed" in done.stderr


@pytest.mark.parametrize(
    "address",
    ["nonsense", "127.0.0.1:99999", "127.0.0.1:http", "ftp://127.0.0.1:0", "203.0.113.1:0"],
)
def test_bad_address(folder: Path, address: str) -> None:
    assert address.removesuffix(":0") in refuse(folder, "--bind", address, "good:app")


@pytest.mark.parametrize("threads", ["0", "-1", "many", "1.5"])
def test_bad_number_of_threads(folder: Path, threads: str) -> None:
    line = refuse(folder, *PLAIN, "--threads", threads, "good:app")
    assert threads in line
    assert "threads" in line


def test_port_in_use(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = refuse(folder, "--bind", f"127.0.0.1:{port}", "good:app")
    assert f"127.0.0.1:{port}" in line
    assert "in use" in line


def test_https_without_certificate(folder: Path) -> None:
    assert "--tls-cert" in refuse(folder, "--bind", "https://127.0.0.1:0", "good:app")


@pytest.mark.parametrize("missing", ["cert", "key"])
def test_missing_certificate_file(folder: Path, certificates: Certificates, missing: str) -> None:
    files = {"cert": certificates.cert, "key": certificates.key, missing: folder / "none.pem"}
    tls = ["--tls-cert", str(files["cert"]), "--tls-key", str(files["key"])]
    line = refuse(folder, "--bind", "https://127.0.0.1:0", *tls, "good:app")
    assert str(folder / "none.pem") in line


def test_key_of_another_certificate(folder: Path, certificates: Certificates) -> None:
    other = folder / "other.pem"
    trustme.CA().issue_cert("127.0.0.1").private_key_pem.write_to_path(other)
    tls = ["--tls-cert", str(certificates.cert), "--tls-key", str(other)]
    line = refuse(folder, "--bind", "https://127.0.0.1:0", *tls, "good:app")
    assert str(other) in line
    assert str(certificates.cert) in line


def test_file_that_is_no_certificate(folder: Path, certificates: Certificates) -> None:
    tls = ["--tls-cert", str(folder / "good.py"), "--tls-key", str(certificates.key)]
    line = refuse(folder, "--bind", "https://127.0.0.1:0", *tls, "good:app")
    assert str(folder / "good.py") in line


def test_request_in_flight_is_completed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gate, ThreadPoolExecutor(1) as threads:
        gate.settimeout(PATIENCE)
        variables = {"GATE_PORT": str(gate.getsockname()[1])}
        with serve(*PLAIN, "gated:application", cwd=APPLICATIONS, variables=variables) as server:
            answer = threads.submit(httpx.get, server.address, timeout=PATIENCE, trust_env=False)
            running, _ = gate.accept()
            with running:
                port = httpx.URL(server.address).port or 0
                sockets = listening(port)
                assert sockets
                server.send(signal.SIGTERM)
                eventually(lambda: not sockets & listening(port))
            response = answer.result(PATIENCE)
            assert (response.status_code, response.text) == (200, "complete\n")
            assert server.wait() == 0
    assert_quiet(server.log)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda n: n.name)
def test_idle_server_stops(folder: Path, number: signal.Signals) -> None:
    with (
        serve(*PLAIN, "good:app", cwd=folder) as server,
        httpx.Client(base_url=server.address, trust_env=False) as idle,
    ):
        assert idle.get("/").status_code == 200
        server.stop(number)
    assert_quiet(server.log)
