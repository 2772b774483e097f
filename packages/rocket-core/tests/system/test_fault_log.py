from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable
from math import inf

import pytest

from coresupport import wait_for
from rocket_core._system.fault_log import _KINDS
from rocket_core.extending import FaultLog

LOGGER = logging.getLogger("faults")


def _divide() -> None:
    raise ZeroDivisionError("nothing\nmore")


def _miss() -> None:
    raise KeyError("name")


def _log(log: FaultLog, fail: Callable[[], None], number: int) -> None:
    try:
        fail()
    except (ArithmeticError, LookupError, ValueError) as error:
        log.report(LOGGER, error, "no %d", number)


@pytest.fixture(autouse=True)
def info(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def test_one_traceback_of_each_kind_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    log = FaultLog()
    for number in range(3):
        _log(log, _divide, number)
        _log(log, _miss, number)
    full = [each.getMessage() for each in caplog.records if each.exc_info]
    assert full == ["no 0", "no 0"]
    line = _divide.__code__.co_firstlineno + 1
    assert caplog.records[2].getMessage() == (
        f"no 1: ZeroDivisionError: nothing ({__file__}, line {line}; "
        "the traceback was logged before)"
    )
    log._told = {kind: (-inf, count) for kind, (_, count) in log._told.items()}  # a minute later
    caplog.clear()
    _log(log, _divide, 3)
    [record] = caplog.records
    assert record.getMessage() == "no 3 (tracebacks like this left out before: 2)"
    assert record.exc_info


def test_debug_leaves_nothing_out(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    log = FaultLog()
    for number in range(3):
        _log(log, _divide, number)
    assert [each.getMessage() for each in caplog.records if each.exc_info] == [
        "no 0",
        "no 1",
        "no 2",
    ]


def test_the_kinds_are_bounded(caplog: pytest.LogCaptureFixture) -> None:
    log = FaultLog()
    code = "\n".join(f"def fail_{n}(): raise ValueError({n})" for n in range(_KINDS + 10))
    space: dict[str, Callable[[], None]] = {}
    exec(code, space)
    for number in range(_KINDS + 10):
        _log(log, space[f"fail_{number}"], number)
    assert sum(bool(each.exc_info) for each in caplog.records) == _KINDS + 1
    assert len(log._told) == _KINDS + 1


def test_an_error_without_a_traceback(caplog: pytest.LogCaptureFixture) -> None:
    FaultLog().report(LOGGER, OSError("full"), "no")
    assert caplog.records[0].exc_info


def test_one_stack_of_each_place_a_minute() -> None:
    log = FaultLog()
    there, leave = threading.Event(), threading.Event()

    def rest() -> None:
        there.set()
        leave.wait()

    thread = threading.Thread(target=rest)
    thread.start()
    try:
        wait_for(there)

        def waiting() -> bool:
            frame = sys._current_frames()[thread.ident or 0]
            return frame.f_code.co_filename == threading.__file__ and frame.f_code.co_name == "wait"

        while not waiting():
            pass
        first = log.stack_of(LOGGER, thread.ident)
        assert not first.endswith("\n")  # the log ends the line
        second = log.stack_of(LOGGER, thread.ident)
    finally:
        leave.set()
        thread.join()
    assert "in rest" in first
    assert second.endswith("in wait (the stack was logged before)")
    assert "\n" not in second
    assert log.stack_of(LOGGER, thread.ident) == ""
