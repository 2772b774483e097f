from __future__ import annotations

import gc
import logging
import sys
import threading

import pytest

from rocket_cli._logging import uncaught_exceptions
from rocket_cli._logging.uncaught_exceptions import log_uncaught_exceptions
from rocket_core.extending import FaultLog


@pytest.fixture(autouse=True)
def hooks(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Restore the hooks that the interpreter starts with."""
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(logging.getLogger("rocket_cli"), "propagate", True)
    monkeypatch.setattr(sys, "unraisablehook", sys.__unraisablehook__)
    monkeypatch.setattr(threading, "excepthook", threading.__excepthook__)
    monkeypatch.setattr(uncaught_exceptions, "_faults", FaultLog())


class Broken:
    def __repr__(self) -> str:
        raise ValueError("half gone")

    def __del__(self) -> None:
        raise ZeroDivisionError("in the end")


def fail() -> None:
    raise LookupError("in a thread")


def test_unraisable_exceptions_are_logged_with_a_limit(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    log_uncaught_exceptions()
    for _ in range(5):
        Broken()
        gc.collect()
    for _ in range(5):
        thread = threading.Thread(target=fail, name="task")
        thread.start()
        thread.join()
    thread = threading.Thread(target=sys.exit)
    thread.start()
    thread.join()
    assert capfd.readouterr().err == ""
    messages = [each.getMessage() for each in caplog.records]
    assert len(messages) == 10
    assert [bool(each.exc_info) for each in caplog.records] == ([True] + [False] * 4) * 2
    assert messages[0].startswith("Exception ignored in: ")
    assert messages[5] == "thread task ended with an error"
    assert "LookupError: in a thread" in messages[6]


def test_hooks_of_the_application_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", seen.append)
    monkeypatch.setattr(threading, "excepthook", seen.append)
    log_uncaught_exceptions()
    Broken()
    gc.collect()
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert len(seen) == 2
