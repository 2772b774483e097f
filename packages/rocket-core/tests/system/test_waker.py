"""The interruption of a thread that waits for descriptors."""

from __future__ import annotations

import os
import select
import socket
import stat
import threading
from typing import TYPE_CHECKING, Any

from rocket_core._system.waker import Waker
from rocket_core.testing import PATIENCE

if TYPE_CHECKING:
    import pytest


def is_readable(descriptor: int) -> bool:
    return bool(select.select([descriptor], [], [], 0)[0])


def is_socket(descriptor: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(descriptor).st_mode)
    except OSError:
        return False


def test_descriptor_is_readable_until_it_is_cleared() -> None:
    waker = Waker()
    assert not is_readable(waker.descriptor)
    for _ in range(3):
        waker.set()
    assert is_readable(waker.descriptor)
    waker.clear()
    assert not is_readable(waker.descriptor)
    waker.clear()
    waker.close()


def test_setting_often_never_waits() -> None:
    waker = Waker()
    for _ in range(10_000):  # more than the socket holds
        waker.set()
    assert is_readable(waker.descriptor)
    while is_readable(waker.descriptor):
        waker.clear()
    waker.set()
    assert is_readable(waker.descriptor)
    waker.close()


def test_closing_closes_both_descriptors_at_once() -> None:
    waker = Waker()
    waker.close()
    assert not is_socket(waker.descriptor)
    assert not is_socket(waker.writer)
    waker.set()
    waker.clear()
    waker.close()


def test_closing_does_not_take_the_descriptor_from_a_thread_that_sets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The number of a closed descriptor would be that of another file when the thread writes."""
    waker = Waker()
    writes, go_on = threading.Event(), threading.Event()
    real = socket.socket.send
    seen: list[bool] = []

    def send(sock: socket.socket, *arguments: Any) -> int:
        writes.set()
        assert go_on.wait(PATIENCE)
        seen.append(sock.fileno() == waker.writer and is_socket(waker.writer))
        return real(sock, *arguments)

    monkeypatch.setattr("rocket_core._system.waker.socket.socket.send", send, raising=False)
    thread = threading.Thread(target=waker.set)
    thread.start()
    assert writes.wait(PATIENCE)
    waker.close()
    go_on.set()
    thread.join(PATIENCE)
    assert seen == [True]
    assert not is_socket(waker.descriptor)
    assert not is_socket(waker.writer)
