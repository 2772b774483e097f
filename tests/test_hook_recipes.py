"""The modules for ``--hooks`` in docs/recipes do what they promise, in every process."""

from __future__ import annotations

import gzip
import json
import shutil
import signal
import subprocess
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

import brotli
import httpx
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from rocket_core.testing import eventually
from systemtests.postgresql import Database
from systemtests.processes import PATIENCE, PLAIN, assert_quiet, environment, rocket_cli, serve
from systemtests.recipes import RECIPES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLOSE = {"Connection": "close"}


class Collector:
    """A server at a loopback address that keeps the bodies of what is sent to it."""

    def __init__(self) -> None:
        self.received: list[tuple[str, bytes]] = []
        received = self.received

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                match self.headers.get("Content-Encoding"):
                    case "gzip":
                        body = gzip.decompress(body)
                    case "br":  # the SDK of Sentry takes the best that is installed
                        body = brotli.decompress(body)
                received.append((self.path, body))
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def prepare(directory: Path, hooks: str, application: str) -> list[str]:
    """Copy the recipe beside an application; return the options that serve it."""
    shutil.copy(RECIPES / f"{hooks}.py", directory)
    (directory / "site_app.py").write_text(textwrap.dedent(application), encoding="utf-8")
    return [*PLAIN, "--processes", "2", "--hooks", hooks, "site_app:app"]


def ask_both(address: str, ask: Callable[[str], str]) -> set[str]:
    """Ask until both processes have answered; return what they have said."""
    told: set[str] = set()
    until = time.monotonic() + PATIENCE
    while len(told) < 2:
        assert time.monotonic() < until, told
        told.add(ask(address))
    return told


def text_of(address: str) -> str:
    answer = httpx.get(address, headers=CLOSE, trust_env=False)
    answer.raise_for_status()
    return answer.text


FAILING = """
    import os
    from flask import Flask

    app = Flask(__name__)

    @app.get("/")
    def fail():
        raise LookupError(f"lost in {os.getpid()}")
"""


def test_sentry(tmp_path: Path) -> None:
    """Every process sends its errors, at the latest when it ends."""
    options = prepare(tmp_path, "sentry_hooks", FAILING)
    with Collector() as sentry:
        variables = {"SENTRY_DSN": f"http://key@{sentry.address}/7"}

        def lost() -> set[str]:
            """The processes whose errors have come."""
            return {each["value"] for each in exceptions(sentry)}

        with serve(*options, cwd=tmp_path, variables=variables) as server:
            until = time.monotonic() + PATIENCE
            while len(lost()) < 2:
                assert time.monotonic() < until
                answer = httpx.get(server.address, headers=CLOSE, trust_env=False)
                assert answer.status_code == 500
        assert {path for path, _ in sentry.received} == {"/api/7/envelope/"}
        found = exceptions(sentry)
    assert {each["type"] for each in found} == {"LookupError"}
    assert {each["stacktrace"]["frames"][-1]["module"] for each in found} == {"site_app"}


def exceptions(sentry: Collector) -> list[dict[str, Any]]:
    """Return the exceptions that were sent."""
    return [
        json.loads(line)["exception"]["values"][-1]
        for _, body in list(sentry.received)
        for line in body.splitlines()
        if b'"exception"' in line
    ]


TRACED = """
    import os
    from opentelemetry.instrumentation.wsgi import OpenTelemetryMiddleware

    def application(environ, start_response):
        start_response("200 OK", [])
        return [str(os.getpid()).encode()]

    app = OpenTelemetryMiddleware(application)
"""


def test_opentelemetry(tmp_path: Path) -> None:
    """Every process sends its spans, at the latest when it ends."""
    options = prepare(tmp_path, "opentelemetry_hooks", TRACED)
    with Collector() as collector:
        variables = {
            "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{collector.address}",
            "OTEL_SERVICE_NAME": "shop",
        }
        with serve(*options, cwd=tmp_path, variables=variables) as server:
            told = ask_both(server.address, text_of)
        assert_quiet(server.log)
        assert {path for path, _ in collector.received} == {"/v1/traces"}
        resources = [
            (dict_of(each.resource.attributes), len(each.scope_spans[0].spans))
            for _, body in collector.received
            for each in ExportTraceServiceRequest.FromString(body).resource_spans
        ]
    assert {each["service.name"] for each, _ in resources} == {"shop"}
    assert {each["process.pid"] for each, _ in resources} == told


def dict_of(attributes: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for each in attributes:  # type: ignore[attr-defined] # generated by protobuf
        found[each.key] = each.value.string_value or str(each.value.int_value)
    return found


QUERYING = """
    import os
    from database_hooks import pool

    def app(environ, start_response):
        with pool.connection() as connection:
            (number,) = connection.execute("SELECT 6 * 7").fetchone()
        start_response("200 OK", [])
        return [f"{number} {os.getpid()}".encode()]
"""


def test_pool_of_database_connections(tmp_path: Path) -> None:
    """Each process has a pool of its own, which it closes when it is replaced."""
    options = prepare(tmp_path, "database_hooks", QUERYING)
    with Database(max_connections=30) as database:
        with serve(*options, cwd=tmp_path, variables=database.variables) as server:
            told = ask_both(server.address, text_of)
            assert {each.split()[0] for each in told} == {"42"}
            assert database.count_connections() == 2
            server.send(signal.SIGHUP)
            server.wait_for("reloaded")
            assert ask_both(server.address, text_of).isdisjoint(told)
            eventually(lambda: database.count_connections() == 2)
        assert_quiet(server.log)
        eventually(lambda: database.count_connections() == 0)


def test_process_without_a_database_does_not_serve(tmp_path: Path) -> None:
    options = prepare(tmp_path, "database_hooks", QUERYING)
    command = [rocket_cli(), "serve", *options]
    nowhere = environment(PGHOST=str(tmp_path), PGCONNECT_TIMEOUT="1")
    done = subprocess.run(
        command, cwd=tmp_path, env=nowhere, capture_output=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 2
    assert b"rocket-cli: error: --hooks: post_fork failed: PoolTimeout" in done.stderr
