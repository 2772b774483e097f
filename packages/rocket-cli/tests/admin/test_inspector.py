"""The answers of a process about itself while it serves."""

from __future__ import annotations

import json
import logging
import os
import resource
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
from websockets.sync.client import connect

from answering import Sleeper, serving, url
from rocket_cli._admin.inspector import Inspector
from rocket_cli._admin.vitals import build, descriptors, gil_wait, memory
from rocket_cli._logging.loggers import ServerLogger
from rocket_core import Server
from rocket_core.testing import PATIENCE, eventually
from rocket_tls import TLSListener

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@pytest.fixture
def application() -> Iterator[Sleeper]:
    made = Sleeper()
    yield made
    made.leave.set()


@pytest.fixture
def server(application: Sleeper) -> Iterator[Server]:
    with serving(application) as server:
        yield server
        application.leave.set()


@pytest.fixture
def inspector(server: Server) -> Inspector:
    return Inspector(server)


@pytest.fixture
def held(server: Server, application: Sleeper) -> Iterator[threading.Thread]:
    """A request whose thread the application holds."""
    thread = threading.Thread(target=httpx.get, args=(f"{url(server)}/hold?a=1",))
    thread.start()
    application.wait()
    yield thread
    application.leave.set()
    thread.join()


def test_stats(server: Server, inspector: Inspector) -> None:
    def served() -> int:
        buckets: dict[str, int] = inspector.counters()["service_time"]["buckets"]
        return sum(buckets.values())

    with httpx.Client() as client:
        for _ in range(3):
            assert client.get(url(server)).text == "ok"
        # A worker parks the connection, is idle, and counts the request after the response.
        eventually(lambda: inspector.stats({})["connections"] == {"idle": 1})
        eventually(lambda: not inspector.stats({})["threads"]["busy"] and served() == 3)
        answer = inspector.stats({})
    assert answer["threads"] == {"count": 2, "min": 2, "max": 4, "busy": 0, "stalled": 0}
    assert answer["listeners"] == [url(server)]
    assert answer["build"] == build()
    assert answer["memory"] > 1 << 20
    assert 3 < answer["descriptors"]["open"] < answer["descriptors"]["limit"]
    assert answer["counters"]["log_lines_lost"] == {"access": 0, "server": 0}
    assert 0 <= answer["gil_wait"] < PATIENCE
    counters = answer["counters"]
    assert (counters["accepted"], counters["requests"]) == (1, 3)
    assert sum(counters["service_time"]["buckets"].values()) == 3
    assert counters["service_times"]["2xx"] == counters["service_time"]
    assert counters["responses"]["2xx"] == 3
    assert counters["own_responses"] == {}
    assert counters["cpu"] > 0
    assert json.loads(json.dumps(answer)) == answer


def test_thread_that_is_held_by_the_application(
    inspector: Inspector, held: threading.Thread
) -> None:
    def threads() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = inspector.threads({"stacks": True})["threads"]
        return found

    # The application says that it is there one line before the one that holds it.
    held_at = "assert self.leave.wait(PATIENCE)  # here it is held"
    eventually(lambda: threads()[0]["stack"][1]["code"] == held_at)
    first, second = threads()
    assert first["request"] == "GET /hold?a=1"
    assert first["client"].startswith("127.0.0.1:")
    assert first["state"] == "active"
    assert 0 <= first["seconds"] < PATIENCE
    assert Path(f"/proc/self/task/{first['native_id']}").exists() or not Path("/proc").exists()
    names = [each["function"] for each in first["stack"]]
    assert names[:2] == ["Sleeper.__call__", "Sleeper.hold"]
    assert first["stack"][1]["file"].endswith("answering.py")
    assert (second["client"], second["request"], second["seconds"]) == (None, "", None)
    assert "stack" not in second


def test_threads_without_stacks(inspector: Inspector, held: threading.Thread) -> None:
    (only,) = inspector.threads({"limit": 1})["threads"]
    assert only["request"] == "GET /hold?a=1"
    assert "stack" not in only
    assert inspector.stats({})["threads"]["busy"] == 1


def test_connections(server: Server, inspector: Inspector) -> None:
    address = url(server).removeprefix("http://")
    host, _, port = address.rpartition(":")
    with (
        socket.create_connection((host, int(port)), PATIENCE) as first,
        socket.create_connection((host, int(port)), PATIENCE) as second,
    ):
        second.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert second.recv(1000)
        eventually(lambda: inspector.connections({})["count"] == 2)
        eventually(lambda: server.statistics().connections == {"idle": 2})
        peers = [f"{host}:{each.getsockname()[1]}" for each in (first, second)]
        found = inspector.connections({"sort": "requests", "limit": 1})
        (only,) = found["connections"]
        assert found["count"] == 2
        assert only == {
            "peer": peers[1],
            "local": address,
            "state": "idle",
            "age": pytest.approx(0, abs=PATIENCE),
            "requests": 1,
            "held": 0,
            "secure": False,
            "protocol": "",
            "kind": "",
            "active": False,
            "streams": None,
            "stream_kinds": {},
            "messages": None,
        }
        for sort in ("age", "held", "state"):
            found = inspector.connections({"sort": sort})
            assert {each["peer"] for each in found["connections"]} == set(peers)


def test_websockets_streams_and_answers(
    server: Server, inspector: Inspector, application: Sleeper
) -> None:
    address = url(server).removeprefix("http://")
    with (
        connect(f"ws://{address}/websocket", proxy=None) as socket,
        httpx.stream("GET", f"{url(server)}/events") as stream,
    ):
        socket.send("echo")
        socket.send("hold")
        assert socket.recv(PATIENCE) == "echo"
        body = stream.iter_raw()  # which closes the connection at its end
        assert next(body) == b"ok"
        shared = {
            "websocket": {"parked": 0, "active": 1, "streams": 0},
            "event stream": {"parked": 1, "active": 0, "streams": 0},
        }
        eventually(lambda: inspector.stats({})["shared"] == shared)
        assert inspector.counters()["messages"] == {
            "websocket": {"received": 2, "sent": 1, "dropped": 0},
            "event stream": {"received": 0, "sent": 1, "dropped": 0},
        }
        found = {each["kind"]: each for each in inspector.connections({})["connections"]}
        assert found["websocket"]["active"]
        assert found["websocket"]["messages"] == {"received": 2, "sent": 1, "dropped": 0}
        assert not found["event stream"]["active"]
        application.leave.set()
        assert socket.recv(PATIENCE) == "hold"
        json.dumps(inspector.stats({}))
    eventually(lambda: len(inspector.counters()["outcomes"]) == 2)
    outcomes = inspector.counters()["outcomes"]
    assert outcomes["websocket"] == {"1000": 1}
    assert list(outcomes["event stream"].values()) == [1]  # closed or reset, as httpx likes


def test_resize(server: Server, inspector: Inspector) -> None:
    assert inspector.resize({"threads": "3:6"}) == {"threads": "3:6"}
    assert server.threads == (3, 6)
    assert server.statistics().threads == 3
    with pytest.raises(ValueError, match="use a number from 1, such as 8"):
        inspector.resize({"threads": "6:3"})


@pytest.mark.usefixtures("loggers")
def test_log_level(inspector: Inspector) -> None:
    for level in ("debug", "error"):
        assert inspector.log_level({"level": level}) == {"level": level}
        assert ServerLogger.least == getattr(logging, level.upper())


def test_certificates_and_failed_handshakes(certificate: Path, key: Path) -> None:
    listener = TLSListener("127.0.0.1:0", certificate, key)
    with serving(Sleeper(), listener) as server:
        inspector = Inspector(server)
        host, _, port = str(listener.address).rpartition(":")
        with socket.create_connection((host, int(port)), PATIENCE) as client:
            client.sendall(b"this is no TLS\r\n" * 4)
            eventually(lambda: inspector.counters()["tls_errors"])
        (found,) = inspector.stats({})["certificates"]
        (chain,) = listener.certificates.chains
        assert found["expires"] == chain.expires.timestamp()
        assert found["names"] == ["127.0.0.1", "::1", "localhost"]
        assert found["listener"] == str(listener.address)
        assert inspector.stats({})["failed_certificates"] == {str(listener.address): 0}


def test_protocol_of_a_connection(
    authority: trustme.CA, certificate: Path, key: Path, application: Sleeper
) -> None:
    def accept(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        if "rocket.websocket" in environ:
            environ["rocket.websocket"].accept(object())
        return application(environ, start_response)

    context = ssl.create_default_context()
    authority.configure_trust(context)
    context.set_alpn_protocols(["h2", "http/1.1"])
    listener = TLSListener("127.0.0.1:0", certificate, key)
    with serving(accept, listener) as server:
        host, _, port = str(listener.address).rpartition(":")
        with (
            socket.create_connection((host, int(port)), PATIENCE) as plain,
            context.wrap_socket(plain, server_hostname=host) as client,
        ):
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(1000)
            (found,) = Inspector(server).connections({})["connections"]
            assert (found["secure"], found["protocol"], found["kind"]) == (True, "http/1.1", "")
            client.sendall(UPGRADE)
            assert client.recv(1000).startswith(b"HTTP/1.1 101")
            (found,) = Inspector(server).connections({})["connections"]
            assert (found["protocol"], found["kind"]) == ("http/1.1", "websocket")


def test_every_handler_answers_json(inspector: Inspector) -> None:
    arguments = {"log-level": {"level": "info"}, "resize-threads": {"threads": "2:4"}}
    for name, handler in inspector.handlers.items():
        json.dumps(handler(arguments.get(name, {})))


def test_memory_is_that_of_this_process() -> None:
    before = memory()
    block = bytearray(64 << 20)
    for at in range(0, len(block), os.sysconf("SC_PAGE_SIZE")):
        block[at] = 1
    assert memory() - before > 32 << 20


def test_all_descriptors_are_in_use() -> None:
    """To count them would take another one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors()["open"], hard))
    opened: list[int] = []
    try:
        with suppress(OSError):  # there may be gaps among them
            while True:
                opened.append(os.dup(0))
        found = descriptors()
    finally:
        for each in opened:
            os.close(each)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert found["open"] == found["limit"] > 0


def test_gil_wait_grows_when_a_thread_computes() -> None:
    """A busy thread holds the GIL for 5 ms at a time; an idle process causes no such wait."""
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            sum(range(1000))

    threads = [threading.Thread(target=compute) for _ in range(2)]
    for each in threads:
        each.start()
    try:
        eventually(lambda: gil_wait() > 0.001)
    finally:
        stop.set()
        for each in threads:
            each.join()
