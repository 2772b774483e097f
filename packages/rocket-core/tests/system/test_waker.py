from __future__ import annotations

import select
import sys

import pytest

from rocket_core._system.waker import Waker


@pytest.mark.skipif(sys.platform == "win32", reason="has no poll")
def test_waker_is_readable_until_it_is_cleared() -> None:
    signal = Waker()
    poll = select.poll()
    poll.register(signal.descriptor, select.POLLIN)
    assert not poll.poll(0)
    for _ in range(100_000):  # more than the socket holds: setting never waits
        signal.set()
    assert poll.poll(0)
    while poll.poll(0):
        signal.clear()
    signal.clear()
    signal.set()
    assert poll.poll(0)
    signal.close()
    signal.set()  # no thread waits any more, and nothing happens
