from __future__ import annotations

import logging
from contextlib import ExitStack

import pytest

from coresupport import compose_with, connect, serving, worker
from rocket_core import CloseReason, Timeouts
from rocket_core._server.cut_watch import CutWatch
from rocket_core.testing import eventually


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == "rocket_core.cut"]


def test_one_line_for_many_clients_that_were_cut(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    compose_with(monkeypatch, CutWatch, pause=0.05, many=1)
    with serving(worker(), timeouts=Timeouts(head=0.1)) as server, ExitStack() as stack:
        for _ in range(12):
            stack.enter_context(connect(server)).send(b"half a line")
        eventually(lambda: server.statistics().closes.get("head timed out") == 12)
        eventually(lambda: lines(caplog))
    told = lines(caplog)
    assert all(line.startswith("cut ") for line in told)
    assert sum(int(line.split()[1]) for line in told) <= 12
    assert " head timed out" in told[0]


def test_line_has_the_reasons_and_only_what_is_new(caplog: pytest.LogCaptureFixture) -> None:
    closes = {CloseReason.BODY_TIMEOUT: 7, CloseReason.CROWDED: 20, CloseReason.CLIENT: 500}
    watch = CutWatch(lambda: dict(closes), pause=0.0)
    watch.look()
    closes[CloseReason.CROWDED] += 9  # few
    watch.look()
    closes[CloseReason.HEAD_TIMEOUT] = 10
    watch.look()
    assert [line.partition(" s: ")[2] for line in lines(caplog)] == [
        "20 made room for another, 7 body too slow",
        "10 head timed out",
    ]
    assert lines(caplog)[0].startswith("cut 27 connections in 0 s: ")
    assert {each.levelno for each in caplog.records} == {logging.WARNING}


def test_looks_are_a_minute_apart(caplog: pytest.LogCaptureFixture) -> None:
    def closes() -> dict[CloseReason, int]:
        raise AssertionError("it looks too early")

    watch = CutWatch(closes)
    assert 59 < watch.look() <= 60
    assert not lines(caplog)


def test_ends_that_clients_want_or_the_operator_are_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    usual = {
        CloseReason.CLIENT,
        CloseReason.RESET,
        CloseReason.SERVED,
        CloseReason.KEEP_ALIVE_TIMEOUT,
        CloseReason.LINGER_TIMEOUT,
        CloseReason.DRAINED,
        CloseReason.STOPPED,
    }
    CutWatch(lambda: dict.fromkeys(usual, 1000), pause=0.0).look()
    assert not lines(caplog)
