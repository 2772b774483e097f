from __future__ import annotations

import logging
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
import trustme
from hypothesis import HealthCheck, settings

from rocket_cli._logging.loggers import NAMES, ServerLogger

# A busy machine is slow now and then, and that is no failure. CI (variable CI) tries the same
# examples every time; elsewhere each run looks for new ones.
settings.register_profile(
    "cli",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("cli")

VERSION = """
    import os
    def app(environ, start_response):
        start_response("200 OK", [])
        return [f"{} {{os.getpid()}} {{environ['wsgi.multiprocess']}}".encode()]
"""

Write = Callable[[str, str], Path]

HELLO = """
    def {}(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
        return [b"hello"]
"""


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client that closes its connections, so that a draining server does not wait for it."""
    with httpx.Client(headers={"Connection": "close"}, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file of source code below the test's directory."""

    def write(name: str, source: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source), encoding="utf-8")
        return path

    return write


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The test's directory, which is on the import path until the test ends."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.fixture
def loggers() -> Iterator[None]:
    """Restore the loggers of the command's packages after the test."""
    found = [logging.getLogger(name) for name in NAMES]
    before = [(each.disabled, each.level, each.propagate, list(each.handlers)) for each in found]
    yield
    for logger, (disabled, level, propagate, handlers) in zip(found, before, strict=True):
        logger.__class__ = logging.Logger
        logger.disabled = disabled
        logger.setLevel(level)
        logger.propagate = propagate
        logger.handlers[:] = handlers
    if ServerLogger.output is not None:
        ServerLogger.output.close()
        ServerLogger.output = None
    ServerLogger.least = logging.INFO


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def leaf(authority: trustme.CA) -> trustme.LeafCert:
    return authority.issue_cert("127.0.0.1", "::1", "localhost")


@pytest.fixture
def certificate(leaf: trustme.LeafCert, tmp_path: Path) -> Path:
    path = tmp_path / "certificate.pem"
    path.write_bytes(b"".join(blob.bytes() for blob in leaf.cert_chain_pems))
    return path


@pytest.fixture
def key(leaf: trustme.LeafCert, tmp_path: Path) -> Path:
    path = tmp_path / "key.pem"
    path.write_bytes(leaf.private_key_pem.bytes())
    return path


@pytest.fixture
def own_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the test in its own directory, without the variables that gunicorn reads."""
    monkeypatch.chdir(tmp_path)
    for name in ("PORT", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS"):
        monkeypatch.delenv(name, raising=False)
