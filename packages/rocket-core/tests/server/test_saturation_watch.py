"""The log says that all threads are busy for long while requests wait, and when that is over."""

from __future__ import annotations

import logging
import re
from collections import deque
from contextlib import ExitStack
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from coresupport import Gate, LineWorker, connect, serving
from rocket_core import State
from rocket_core._server import saturation_watch
from rocket_core.testing import eventually

if TYPE_CHECKING:
    from rocket_core import Connection
    from rocket_core._pool.stand_in import StandIn
    from rocket_core._pool.thread_pool import ThreadPool


class Refusing(LineWorker):
    """Answers ``busy`` when overloaded, and says what it does."""

    def overloaded(self, connection: Connection) -> State:
        connection.write(b"busy\n")
        return State.LINGER

    def doing(self) -> str:
        return "GET /sleep"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(saturation_watch, "_PATIENCE", 0.05)
    caplog.set_level(logging.INFO, "rocket_core.saturation")


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if "saturation" in each.name]


def test_warning_tells_who_waits_who_was_refused_and_the_longest(
    caplog: pytest.LogCaptureFixture,
) -> None:
    gate = Gate()
    with (
        serving(lambda: Refusing(gate), threads=2, max_queue=1) as server,
        ExitStack() as clients,
    ):
        busy = [clients.enter_context(connect(server)) for _ in range(2)]
        for client in busy:
            client.send(b"hold\n")
        gate.wait(2)
        waiting, refused = (clients.enter_context(connect(server)) for _ in range(2))
        waiting.send(b"waiting\n")
        eventually(lambda: server.statistics().ready == 1)
        eventually(lambda: lines(caplog))
        assert refused.ask(b"refused\n") == b"busy\n"
        gate.opened.set()
        assert waiting.read_line() == b"WAITING\n"
        eventually(lambda: len(lines(caplog)) == 2)
    first, second = lines(caplog)
    assert re.fullmatch(
        r"all 2 threads have been busy for \d+ s; 1 request waiting, 0 requests refused; "
        r"the longest: GET /sleep \(\d+ s\)",
        first,
    )
    assert second.startswith("a thread is free again after ")
    assert second.endswith(" s; 1 request refused")


def test_warnings_are_a_minute_apart(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr(saturation_watch, "time", clock)
    ready = deque([SimpleNamespace(state=State.READY)])
    pool = SimpleNamespace(has_free_thread=False, ready=ready)
    stand_in = SimpleNamespace(refused=7)
    watch = saturation_watch.SaturationWatch(
        cast("ThreadPool", pool), cast("StandIn", stand_in), list
    )

    def after(seconds: float) -> int:
        """Return how many messages there are in so many seconds."""
        clock.now += seconds
        watch.look()
        return len(lines(caplog))

    monkeypatch.setattr(saturation_watch, "_PATIENCE", 10.0)
    assert [after(each) for each in (0, 9.9, 0.2, 1, 58.8, 0.3)] == [0, 0, 1, 1, 1, 2]
    pool.has_free_thread = True
    assert [after(each) for each in (0, 1)] == [3, 3]
    pool.has_free_thread = False
    assert [after(each) for each in (0, 11, 47, 2)] == [3, 3, 3, 4]


def test_busy_threads_alone_are_no_saturation(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    with (
        serving(lambda: Refusing(gate), threads=1) as server,
        connect(server) as busy,
        connect(server) as late,
    ):
        watch = next(
            each
            for each in server._monitor_thread._watchers
            if isinstance(each, saturation_watch.SaturationWatch)
        )
        busy.send(b"hold\n")
        gate.wait()
        eventually(lambda: watch._since is not None)
        since = watch._since
        assert since is not None
        watch._since = since - 3600
        assert watch.look() == 0.05
        assert not lines(caplog)
        gate.opened.set()
        assert busy.read_line() == b"HOLD\n"
        eventually(lambda: watch._since is None)
        assert late.ask(b"x\n") == b"X\n"
    assert not lines(caplog)
