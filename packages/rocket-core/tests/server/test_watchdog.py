"""The activities show what each thread serves, and the watchdog logs busy threads."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING

from coresupport import Gate, LineWorker, connect, serving, worker
from rocket_core._server.watchdog import Watchdog
from rocket_core.testing import eventually

if TYPE_CHECKING:
    import pytest


def test_busy_thread_is_logged_once_with_its_stack(caplog: pytest.LogCaptureFixture) -> None:
    gate = Gate()
    with (
        serving(worker(gate), threads=2, watchdog=0.1) as server,
        connect(server) as busy,
        connect(server) as other,
    ):
        told = f"has served {busy.name} for "  # on a busy machine, others may be, too
        busy.send(b"hold\n")
        gate.wait()
        eventually(lambda: told in caplog.text)
        assert "in __call__" in caplog.text
        assert other.ask(b"x\n") == b"X\n"
        (watchdog,) = (
            each for each in server._monitor_thread._watchers if isinstance(each, Watchdog)
        )
        for _ in range(2):  # further looks find the thread as busy as before
            last = watchdog._next
            eventually(lambda: watchdog._next > last)  # noqa: B023
        gate.opened.set()
        assert busy.read_line() == b"HOLD\n"
    assert caplog.text.count(told) == 1


def test_quick_requests_are_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    with serving(worker(), watchdog=30) as server, connect(server) as client:
        for _ in range(50):
            assert client.ask(b"x\n") == b"X\n"
    assert not caplog.records


class Talkative(LineWorker):
    """A worker that says what it does."""

    def doing(self) -> str:
        return "something"


def test_activities_show_what_the_worker_says() -> None:
    gate = Gate()
    with serving(lambda: Talkative(gate), threads=2) as server, connect(server) as client:
        client.send(b"hold\n")
        gate.wait()
        first, other = server.activities()
        assert (first.doing, other.doing) == ("something", "")
        assert first.native_id in [thread.native_id for thread in threading.enumerate()]
        gate.opened.set()
        client.read_line()


def test_activities_name_the_thread_and_its_client() -> None:
    gate = Gate()
    with serving(worker(gate), threads=3) as server, connect(server) as client:
        # Until a thread finds that nothing has come it is busy with the new connection.
        eventually(lambda: [each.peer for each in server.activities()] == [None] * 3)
        client.send(b"hold\n")
        gate.wait()
        first, *others = server.activities()
        assert first.peer is not None
        assert str(first.peer) == client.name
        assert first.ident in sys._current_frames()
        assert first.thread in [thread.name for thread in threading.enumerate()]
        assert [each.peer for each in others] == [None] * 2
        gate.opened.set()
        client.read_line()
        eventually(lambda: server.activities()[0].peer is None)
