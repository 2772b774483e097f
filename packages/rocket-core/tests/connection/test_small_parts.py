"""The small parts keep their rules: time-outs, counters, the registry and the waker."""

from __future__ import annotations

import resource
import select
import sys
from dataclasses import fields
from math import nan
from typing import TYPE_CHECKING

import pytest

from rocket_core import CloseReason, Timeouts
from rocket_core._engine.counters import Counters, Tally
from rocket_core._engine.registry import Registry
from rocket_core._system.descriptor_limit import default_max_connections
from rocket_core._system.waker import Waker

if TYPE_CHECKING:
    import socket

    from rocket_core import Connection


@pytest.mark.parametrize("name", [field.name for field in fields(Timeouts)])
@pytest.mark.parametrize("value", [0, -1.5, nan])
def test_time_outs_must_be_positive(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"time-out {name} must be greater than 0"):
        Timeouts(**{name: value})


def test_tally_counts_running_and_ended_threads() -> None:
    tally = Tally()
    first, second = tally.open(), tally.open()
    first.accepted = 2
    first.requests = 3
    first.closes[CloseReason.CLIENT] = 4
    second.closes[CloseReason.CLIENT] = 1
    second.closes[CloseReason.RESET] = 1
    tally.close(first)
    expected = Counters(2, 3, {CloseReason.CLIENT: 5, CloseReason.RESET: 1})
    assert tally.total() == expected
    tally.close(second)
    assert tally.total() == expected


def test_registry_tells_of_room_only_after_it_was_full(
    pair: tuple[Connection, socket.socket],
) -> None:
    connection, _ = pair
    told: list[str] = []
    registry = Registry(1, lambda: told.append("room"), lambda: told.append("empty"))
    registry.add(connection)
    registry.remove(connection)
    assert told == ["empty"]
    registry.add(connection)
    assert registry.full()
    assert registry.snapshot() == [connection]
    registry.remove(connection)
    assert told == ["empty", "room", "empty"]
    assert not registry.full()
    assert len(registry) == 0


def test_default_maximum_of_connections_leaves_descriptors_free() -> None:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        assert default_max_connections() > 0
    else:
        assert 0 < default_max_connections() < soft


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
