"""The reports of a PostgreSQL: a query whose reader is gone is cancelled."""

from __future__ import annotations

import signal
import subprocess
from typing import TYPE_CHECKING

import httpx
import pytest

from rocket_core.testing import eventually
from systemtests.postgresql import Database
from systemtests.processes import EXAMPLES, PATIENCE, PLAIN, assert_quiet, find_tool, serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from systemtests.processes import Server


@pytest.fixture(scope="module")
def database() -> Iterator[Database]:
    with Database(max_connections=20) as database:
        yield database


def serve_reports(database: Database, *options: str) -> Server:
    command = ["app:application", *PLAIN, *options, "--access-log", "-"]
    return serve(*command, cwd=EXAMPLES / "reports", variables=database.variables)


def running(database: Database) -> int:
    return database.count_queries("reports")


@pytest.mark.parametrize("http", ["--http1.1", "--http2-prior-knowledge"])
def test_query_is_cancelled_when_curl_is_interrupted(database: Database, http: str) -> None:
    with serve_reports(database, "--threads", "1", "--h2c") as server:
        url = f"{server.address}/report"
        with subprocess.Popen([find_tool("curl"), "-sS", http, url]) as curl:
            eventually(lambda: running(database) == 1)
            curl.terminate()
        eventually(lambda: running(database) == 0)
        # Its only thread is free.
        answer = httpx.get(server.address, timeout=PATIENCE, trust_env=False)
        assert answer.text == "Ask for /report, and interrupt that.\n"
    assert_quiet(server.log)


def test_query_is_cancelled_when_its_time_is_over(database: Database) -> None:
    with serve_reports(database, "--request-timeout", "1") as server:
        answer = httpx.get(f"{server.address}/report", timeout=PATIENCE, trust_env=False)
        assert answer.status_code == 504
        eventually(lambda: running(database) == 0)


def test_query_is_cancelled_at_the_deadline_of_a_proxy(database: Database) -> None:
    options = ["--trusted-proxies", "127.0.0.1", "--deadline-field", "grpc-timeout"]
    with serve_reports(database, *options) as server:
        answer = httpx.get(
            f"{server.address}/report",
            headers={"grpc-timeout": "500m"},
            timeout=PATIENCE,
            trust_env=False,
        )
        assert answer.status_code == 504
        eventually(lambda: running(database) == 0)


def test_query_is_cancelled_at_the_end_of_a_drain(database: Database) -> None:
    with serve_reports(database, "--graceful-timeout", "1") as server:
        url = f"{server.address}/report"
        with subprocess.Popen([find_tool("curl"), "-sS", url], stderr=subprocess.DEVNULL):
            eventually(lambda: running(database) == 1)
            server.send(signal.SIGTERM)
            eventually(lambda: running(database) == 0)
