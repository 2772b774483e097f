"""The replacement of processes that use too much memory."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import httpx
import pytest

from conftest import Write
from manual_timers import ManualTimers
from processes import Served, eventually
from rocket_cli._supervisor import memory_limit
from rocket_cli._supervisor.child import Child
from rocket_cli._supervisor.memory_limit import MemoryWatch

ANY = ["--bind", "127.0.0.1:0"]


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
        served.wait_for(
            rf"worker {first} uses \d+ MiB, more than --max-rss \(100 MiB\): replacing it"
        )
        eventually(lambda: client.get(url).text.split()[1] != str(first))
        served.stop()


class Sized:
    """A stand-in for a process, with what the watch reads of it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid


class Watched:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, **sizes: int) -> None:
        self.sizes = sizes
        self.replaced: list[int] = []
        self.timers = ManualTimers()
        monkeypatch.setattr(memory_limit, "resident_bytes", lambda pid: self.sizes[f"p{pid}"])
        self.watch = MemoryWatch(
            self.timers, self.serving, lambda c, _: self.replaced.append(c.pid)
        )

    def serving(self) -> list[Child]:
        pids = [int(name[1:]) for name in self.sizes]
        return [cast("Child", Sized(pid)) for pid in pids if pid not in self.replaced]

    def look(self) -> None:
        assert len(self.timers.calls) == 1
        self.timers.make_calls()


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
    assert (
        caplog.text.count(
            "uses 200 B from the beginning, more than --max-rss (100 B): not replacing it"
        )
        == 1
    )


def test_nothing_is_looked_at_without_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    watched = Watched(monkeypatch, p1=200)
    watched.watch.watch(None)
    assert not watched.timers.calls
    watched.watch.watch(1000)
    watched.watch.watch(1000)
    watched.watch.watch(None)
    watched.look()
    assert not watched.timers.calls
