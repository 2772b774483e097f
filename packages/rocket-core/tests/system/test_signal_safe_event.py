from __future__ import annotations

import selectors
import signal
import socket
import threading
from collections.abc import Iterator

import pytest

from coresupport import wait_for
from rocket_core._system.signal_safe_event import SignalSafeEvent
from rocket_core.testing import PATIENCE


@pytest.fixture(autouse=True)
def wakeup() -> Iterator[None]:
    """Waiting leaves the interpreter's descriptor for signals as it was."""
    yield
    assert signal.set_wakeup_fd(-1) == -1


def test_time_out() -> None:
    assert not SignalSafeEvent().wait(0)
    assert not SignalSafeEvent().wait(0.01)


@pytest.mark.parametrize("timeout", [None, PATIENCE])
def test_end_that_another_thread_brings_about(timeout: float | None) -> None:
    end = SignalSafeEvent()
    threading.Timer(0.01, end.set).start()
    assert end.wait(timeout)
    assert end.wait(0)


def test_waiting_on_another_thread() -> None:
    end = SignalSafeEvent()
    results: list[bool] = []
    thread = threading.Thread(target=lambda: results.append(end.wait(PATIENCE)))
    thread.start()
    end.set()
    thread.join(PATIENCE)
    assert results == [True]


def test_handler_that_raises_ends_the_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    waits = threading.Event()

    class Selector(selectors.DefaultSelector):
        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            waits.set()
            return super().select(timeout)

    def handler(number: int, frame: object) -> None:
        raise LookupError

    def interrupt() -> None:
        wait_for(waits)
        signal.raise_signal(signal.SIGUSR1)

    monkeypatch.setattr(selectors, "DefaultSelector", Selector)
    before = signal.signal(signal.SIGUSR1, handler)
    try:
        threading.Thread(target=interrupt).start()
        with pytest.raises(LookupError):
            SignalSafeEvent().wait(PATIENCE)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_descriptor_of_the_application_is_left_alone() -> None:
    reader, writer = socket.socketpair()
    with reader, writer:
        writer.setblocking(False)
        signal.set_wakeup_fd(writer.fileno())
        end = SignalSafeEvent()
        threading.Timer(0.01, end.set).start()
        assert end.wait(PATIENCE)
        assert signal.set_wakeup_fd(-1) == writer.fileno()
