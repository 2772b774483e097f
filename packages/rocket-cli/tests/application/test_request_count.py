"""Processes that have served long enough, or have grown too large."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import httpx
import pytest

from conftest import VERSION, Write
from processes import Served
from rocket_cli._application.request_count import counted, resident_bytes
from rocket_cli._supervisor import memory_limit
from rocket_cli._supervisor.children import Child
from rocket_cli._supervisor.memory_limit import MemoryWatch
from rocket_cli._supervisor.timers import Timers
from rocket_core.testing import eventually

ANY = ["--bind", "127.0.0.1:0"]


@pytest.mark.parametrize("jitter", [0, 5])
def test_limit_is_reached_once(jitter: int) -> None:
    called: list[str] = []

    def application(environ: Any, start_response: Any) -> list[bytes]:
        called.append("application")
        return []

    limited = counted(application, 3, jitter, lambda: called.append("reached"))
    for _ in range(20):
        limited({}, lambda *_: lambda _: None)
    assert called.count("application") == 20
    assert called.count("reached") == 1
    assert 2 <= called.index("reached") <= 2 + jitter


def test_process_is_replaced_after_so_many_requests(
    tmp_path: Path, write: Write, client: httpx.Client
) -> None:
    write("app.py", VERSION.format("one"))
    with Served(tmp_path, *ANY, "--max-requests", "5", "--max-requests-jitter", "2") as served:
        url = served.location()
        (first,) = served.workers()

        def replaced() -> bool:
            return client.get(url).text.split()[1] != str(first)

        eventually(replaced)
        eventually(lambda: first not in served.workers())
        served.stop()
    assert any(f"worker {first} is replaced: max-requests" in line for line in served.said)


def test_process_that_grows_is_replaced(tmp_path: Path, write: Write, client: httpx.Client) -> None:
    write(
        "app.py",
        """
        import os
        kept = []
        def app(environ, start_response):
            kept.append(bytearray(100 << 20))
            start_response("200 OK", [])
            return [f"one {os.getpid()}".encode()]
        """,
    )
    with Served(tmp_path, *ANY, "--max-rss", str(100 << 20)) as served:
        url = served.location()
        (first,) = served.workers()
        assert client.get(url).text.split()[1] == str(first)
        served.wait_for(rf"worker {first} is replaced: it occupies \d+ bytes")
        eventually(lambda: client.get(url).text.split()[1] != str(first))
        served.stop()


class Manual(Timers):
    """Timers whose calls are made by the test."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Callable[[], object]] = []

    def after(self, seconds: float, call: Callable[[], object]) -> None:
        self.calls.append(call)


class Sized:
    """A process as far as the watch knows it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid


class Watched:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, **sizes: int) -> None:
        self.sizes = sizes
        self.replaced: list[int] = []
        self.timers = Manual()
        monkeypatch.setattr(memory_limit, "resident_bytes", lambda pid: self.sizes[f"p{pid}"])
        self.watch = MemoryWatch(
            self.timers, self.serving, lambda c, _: self.replaced.append(c.pid)
        )

    def serving(self) -> list[Child]:
        pids = [int(name[1:]) for name in self.sizes]
        return [cast("Child", Sized(pid)) for pid in pids if pid not in self.replaced]

    def look(self) -> None:
        (call,) = self.timers.calls
        self.timers.calls.clear()
        call()


def test_processes_are_replaced_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, p1=10, p2=10, p3=10)
    watched.watch.watch(100)
    assert watched.replaced == []
    watched.sizes.update(p1=101, p3=300)
    watched.look()
    assert watched.replaced == [1]
    watched.look()
    assert watched.replaced == [1, 3]


def test_process_that_is_large_from_the_beginning_stays(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    watched = Watched(monkeypatch, p1=200)
    watched.watch.watch(100)
    watched.look()
    watched.look()
    assert watched.replaced == []
    assert caplog.text.count("200 bytes from the beginning, more than --max-rss 100") == 1


def test_nothing_is_looked_at_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, p1=200)
    watched.watch.watch(None)
    assert not watched.timers.calls
    watched.watch.watch(1000)
    watched.watch.watch(1000)
    watched.watch.watch(None)
    watched.look()
    assert not watched.timers.calls


def test_memory_of_a_process_that_has_ended() -> None:
    assert resident_bytes(1 << 30) == 0
