"""Fixtures: files of certificates, and a server for them."""

from __future__ import annotations

import queue
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from helpers import Files, Serve, Served
from lines import Closes, Lines
from rocket_core import Server, Timeouts
from rocket_tls import CertificateStore, TLSListener, TLSSettings
from rocket_tls._certificates import store as store_module


@pytest.fixture(scope="session")
def ca() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def leaf(ca: trustme.CA) -> trustme.LeafCert:
    return ca.issue_cert("localhost")


@pytest.fixture
def files(tmp_path: Path, leaf: trustme.LeafCert) -> Files:
    files = Files(tmp_path / "server.pem", tmp_path / "server-key.pem")
    files.write(leaf)
    return files


@pytest.fixture
def client_context(ca: trustme.CA) -> ssl.SSLContext:
    """The context of a client that notices when a stream is cut short."""
    context = ssl.create_default_context()
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
    ca.configure_trust(context)
    return context


@pytest.fixture
def serve(files: Files, client_context: ssl.SSLContext) -> Iterator[Serve]:
    """Returns a function that starts a server of lines; everything ends with the test."""
    with ExitStack() as stack:

        def start(
            certificate: Path | CertificateStore = files.certificate,
            key: Path | None = files.key,
            *,
            timeouts: Timeouts | None = None,
            threads: int = 1,
            proxy_protocol: list[str] | None = None,
            settings: TLSSettings | None = None,
        ) -> Served:
            closes: Closes = queue.SimpleQueue()
            listener = TLSListener(
                "127.0.0.1:0",
                certificate,
                key,
                settings=settings or TLSSettings(),
                proxy_protocol=proxy_protocol,
            )
            server = Server(
                lambda: Lines(closes),
                [listener],
                min_threads=threads,
                max_threads=threads,
                timeouts=timeouts,
            )
            stack.enter_context(server)
            return Served(server, client_context, closes, stack)

        yield start


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the store look at all sources for each client."""
    monkeypatch.setattr(store_module, "_PAUSE", 0.0)
