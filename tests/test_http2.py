"""HTTP/2 without TLS, with the clients that people have."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from systemtests.processes import (
    APPLICATIONS,
    PATIENCE,
    PLAIN,
    Server,
    assert_quiet,
    find_tool,
    serve,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def site() -> Iterator[Server]:
    options = ("--h2c", "--threads", "8", "--access-log", "-")
    with serve("streams:app", *PLAIN, *options, cwd=APPLICATIONS) as server:
        yield server
    assert_quiet(server.log)


def run(*command: str) -> str:
    """Return the output of a command that ends well."""
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("latin-1")


def test_curl(site: Server, tmp_path: Path) -> None:
    curl = (find_tool("curl"), "--silent", "--show-error", "--http2-prior-knowledge")
    assert run(*curl, site.address) == "hello over HTTP/2"
    upload = tmp_path / "upload"
    upload.write_bytes(bytes(range(256)) * 20_000)
    echo = tmp_path / "echo"
    run(*curl, "--data-binary", f"@{upload}", "--output", str(echo), f"{site.address}/echo")
    assert echo.read_bytes() == upload.read_bytes()
    assert len(run(*curl, f"{site.address}/large")) == 10_000_000
    assert run(*curl[:-1], "--http2", site.address) == "hello over HTTP/1.1"  # asks for an upgrade


def test_nghttp(site: Server) -> None:
    together = [f"{site.address}/together?{number}" for number in range(6)]
    output = run(find_tool("nghttp"), "-v", *together)
    assert len(re.findall(r"recv .*:status: 200", output)) == 6
    assert "recv GOAWAY" not in output


@pytest.mark.parametrize("streams", [1, 10, 100])
def test_h2load(site: Server, streams: int) -> None:
    load = ("-n", "2000", "-c", "8", "-m", str(streams))
    output = run(find_tool("h2load"), *load, site.address)
    assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in output
    assert "status codes: 2000 2xx" in output
