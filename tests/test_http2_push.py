"""Websockets, event streams and deferred answers over HTTP/2, with the clients that people have."""

from __future__ import annotations

import asyncio
import re
import signal
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from systemtests.chromium import Chromium
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

    from systemtests.certificates import Certificates

HEARD = "fetch('/heard').then(answer => answer.json())"


@dataclass(frozen=True)
class Site:
    """A server, and the CA of its certificate."""

    server: Server
    ca: Path

    @property
    def address(self) -> str:
        return self.server.address


@pytest.fixture(params=["tls", "cleartext"])
def site(request: pytest.FixtureRequest, certificates: Certificates) -> Iterator[Site]:
    binding = certificates.options if request.param == "tls" else [*PLAIN, "--h2c"]
    with serve(
        "pushing:app", *binding, "--threads", "2", "--access-log", "-", cwd=APPLICATIONS
    ) as server:
        yield Site(server, certificates.ca)
    assert_quiet(server.log)


over_tls = pytest.mark.parametrize("site", ["tls"], indirect=True)


def client_of(site: Site) -> httpx.AsyncClient:
    """Return a client that speaks HTTP/2 alone."""
    trust = ssl.create_default_context(cafile=str(site.ca))
    return httpx.AsyncClient(
        base_url=site.address, http1=False, http2=True, verify=trust, timeout=PATIENCE
    )


async def events(client: httpx.AsyncClient, last: str | None = None) -> list[str]:
    """Return the data of an event stream up to its end. To leave one, httpx leaves all."""
    headers = {} if last is None else {"Last-Event-ID": last}
    async with client.stream("GET", "/feed", headers=headers) as answer:
        assert answer.http_version == "HTTP/2"
        lines = [line async for line in answer.aiter_lines()]
    return [line.removeprefix("data: ") for line in lines if line.startswith("data: ")]


def test_httpx_with_many_event_streams_on_one_connection(site: Site) -> None:
    async def ask() -> None:
        async with client_of(site) as client:
            feeds = await asyncio.gather(*[events(client) for _ in range(20)])
            assert feeds == [["after 0"]] * 20
            feeds = await asyncio.gather(*[events(client, "7") for _ in range(20)])
            assert feeds == [["after 7"]] * 20

    asyncio.run(ask())
    site.server.stop()
    assert len(re.findall(r'"GET /feed HTTP/2" 200', site.server.log)) == 40


def test_curl_shows_trailers(site: Site) -> None:
    command = [find_tool("curl"), "--disable", "--noproxy", "*", "--silent", "--show-error"]
    command += ["--http2" if site.address.startswith("https") else "--http2-prior-knowledge"]
    command += ["--cacert", str(site.ca), "--max-time", str(PATIENCE), "--verbose"]
    done = subprocess.run(
        [*command, "--data", "hello", f"{site.address}/trailers"],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout == b"hello"
    assert "< x-sum: none" in done.stderr.decode()
    assert "< x-size: 5" in done.stderr.decode()


@over_tls
def test_chromium_with_all_of_them_on_one_connection(site: Site) -> None:
    with Chromium("--ignore-certificate-errors") as browser:
        page = browser.visit(site.address)
        page.evaluate("""
            socket = new WebSocket(`wss://${location.host}/echo`), said = [], ends = [];
            socket.onmessage = event => said.push(event.data);
            socket.onclose = event => ends.push([event.code, event.reason, event.wasClean]);
            new Promise(done => { socket.onopen = done; }).then(() => true)
        """)
        page.evaluate("socket.send('hello'); socket.send('x'.repeat(300_000)); true")
        page.wait_for("said.map(each => each.length)", [5, 300_000])
        assert "permessage-deflate" in page.evaluate("socket.extensions")
        assert "opened=yes" in page.evaluate("document.cookie")
        page.evaluate("""
            feed = new EventSource("/feed"), news = [];
            feed.onmessage = event => news.push(event.data);
            true
        """)
        page.wait_for("news", ["after 0", "after 1"])
        page.evaluate("""
            poll = fetch("/poll").then(answer => answer.text()).then(text => { got = text; });
            got = ""; true
        """)
        answer = "fetch('/answer').then(answer => answer.text())"
        page.wait_for(answer, "1")
        page.wait_for("got", "news")
        page.evaluate("feed.close(); socket.send('close'); true")
        page.wait_for("ends", [[4001, "as asked", True]])
        page.wait_for(
            f"{HEARD}.then(heard => heard.slice().sort().join())",
            "answer,event stream,event stream,websocket 4001",
        )
        names = "performance.getEntriesByType('resource').map(each => each.nextHopProtocol)"
        assert set(page.evaluate(names)) == {"h2"}
        assert page.troubles == []
    log = site.server.log
    assert len(set(re.findall(r"127\.0\.0\.1:\d+", log))) <= 1
    assert '"GET /echo HTTP/2" 200' in log


@over_tls
def test_chromium_hears_of_the_end_of_the_server(site: Site) -> None:
    with Chromium("--ignore-certificate-errors") as browser:
        page = browser.visit(site.address)
        page.evaluate("""
            socket = new WebSocket(`wss://${location.host}/echo`), ends = [];
            socket.onclose = event => ends.push([event.code, event.wasClean]);
            new Promise(done => { socket.onopen = done; }).then(() => true)
        """)
        site.server.send(signal.SIGTERM)
        page.wait_for("ends", [[1001, True]])
