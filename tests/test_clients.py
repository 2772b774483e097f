"""Websockets and event streams that hold no thread, with the clients that people have."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from systemtests.chromium import Chromium
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
    from collections.abc import Callable, Iterator

    from systemtests.certificates import Certificates

    Run = Callable[[str], Any]

# Every script is an expression, whose value is a promise. ADDRESS is that of the site.

WEBSOCKET = """
(async () => {
    const socket = new WebSocket(ADDRESS.replace("http", "ws") + "/echo", ["v2", "v1"]);
    socket.binaryType = "arraybuffer";
    const heard = [];
    let arrived = () => {};
    socket.onmessage = ({ data }) => { heard.push(data); arrived(); };
    const until = count => new Promise(resolve => {
        arrived = () => heard.length >= count && resolve();
        arrived();
    });
    await new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
    const bytes = Uint8Array.from({ length: 3000000 }, (_, n) => n % 251);
    const sent = ["hello", "", "ä€🙂", "x".repeat(100000), new Uint8Array([0, 255]), bytes];
    sent.push(...Array.from({ length: 1000 }, (_, n) => String(n)));
    const closed = new Promise(resolve => { socket.onclose = resolve; });
    for (const message of sent) {
        socket.send(message);
    }
    await until(sent.length);
    socket.send("close");
    const { code, reason, wasClean } = await closed;
    const same = (one, other) => typeof one === "string"
        ? one === other
        : one.length === other.byteLength && new Uint8Array(other).every((b, n) => b === one[n]);
    const wrong = sent.filter((message, n) => !same(message, heard[n])).length;
    const { protocol, extensions } = socket;
    return { count: heard.length, wrong, protocol, extensions, code, reason, wasClean };
})()
"""

EVENT_SOURCE = """
(async () => {
    const source = new EventSource(ADDRESS + "/events");
    const post = path => fetch(ADDRESS + path, { method: "POST" });
    const opened = () => new Promise(resolve => {
        source.addEventListener("open", resolve, { once: true });
    });
    const heard = [];
    let arrived = () => {};
    source.addEventListener("news", ({ data, lastEventId }) => {
        heard.push([data, lastEventId]);
        arrived();
    });
    const until = count => new Promise(resolve => {
        arrived = () => heard.length >= count && resolve();
        arrived();
    });
    await opened();
    await post("/news/1");
    await until(1);
    const again = opened();
    await post("/end");
    await post("/news/2");
    await again;
    await post("/news/3");
    await until(3);
    source.close();
    return heard;
})()
"""


@pytest.fixture(scope="module")
def site() -> Iterator[Server]:
    with serve("told:app", *PLAIN, "--h2c", "--threads", "2", cwd=APPLICATIONS) as server:
        yield server
    assert_quiet(server.log)


def in_chromium(site: Server, *options: str) -> Iterator[Run]:
    with Chromium(*options) as browser:
        page = browser.visit(site.address)
        page.evaluate(f"globalThis.ADDRESS = {json.dumps(site.address)}")
        yield page.evaluate
        assert page.troubles == []


def in_node(site: Server) -> Iterator[Run]:
    node = find_tool("node")
    # Before version 22, Node has a WebSocket only with the first of these.
    options = ["--no-warnings", "--experimental-websocket", "--experimental-eventsource"]
    probe = subprocess.run([node, *options, "-e", ""], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"this version of Node has no WebSocket or EventSource: {probe.stderr.strip()}")

    def run(script: str) -> Any:
        program = f"""
            const ADDRESS = {json.dumps(site.address)};
            const running = setInterval(() => {{}}, 1000);  // an EventSource alone is no reason
            ({script.strip()}).then(value => {{
                console.log(JSON.stringify(value));
                clearInterval(running);
            }});
        """
        command = [node, *options, "-e", program]
        done = subprocess.run(
            command, capture_output=True, encoding="utf-8", timeout=PATIENCE, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    yield run


@pytest.fixture(scope="module", params=[in_chromium, in_node], ids=["chromium", "node"])
def run(request: pytest.FixtureRequest, site: Server) -> Iterator[Run]:
    yield from request.param(site)


def test_websocket(run: Run) -> None:
    told = run(WEBSOCKET)
    assert told.pop("extensions").startswith("permessage-deflate")
    assert told == {
        "count": 1006,
        "wrong": 0,
        "protocol": "v1",
        "code": 4000,
        "reason": "as you wish, Zoë",
        "wasClean": True,
    }


def test_event_source(run: Run) -> None:
    """The second event is sent while no stream is open, and comes by Last-Event-ID."""
    assert run(EVENT_SOURCE) == [[f"news {each}\nä", str(each)] for each in (1, 2, 3)]


def test_chromium_over_http2(certificates: Certificates) -> None:
    """Both share a connection with the page, as streams of it."""
    options = [*certificates.options, "--threads", "2", "--access-log", "-"]
    with serve("told:app", *options, cwd=APPLICATIONS) as server:
        for run in in_chromium(server, certificates.trusted_by_chromium):
            test_websocket(run)
            server.wait_for('"GET /echo HTTP/2"')
            test_event_source(run)
            server.wait_for('"GET /events HTTP/2"')
    assert_quiet(server.log)


@pytest.mark.parametrize("version", ["--http1.1", "--http1.0", "--http2-prior-knowledge"])
def test_curl(site: Server, version: str) -> None:
    curl = [find_tool("curl"), "--disable", "--noproxy", "*", "--silent", "--show-error"]
    process = Process([*curl, "-N", version, f"{site.address}/events"], Path.cwd())
    try:
        process.wait_for("^: welcome$")
        with httpx.Client(base_url=site.address, timeout=PATIENCE, trust_env=False) as client:
            for number in (7, 8):
                client.post(f"/news/{number}")
                for line in ("event: news", f"id: {number}", f"data: news {number}", "data: ä"):
                    process.wait_for(f"^{line}$")
            client.post("/end")
        assert process.wait() == 0
    finally:
        process.kill()
