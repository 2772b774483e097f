"""Events that come while a thread owns the connection, or is about to park it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from explorer import Marks, Stage, expect_found, expect_none
from explorer.mutation import Mutation
from explorer.sockets import ModelConnection, as_any
from explorer.standins import ModelPoller, put_into

from coresupport import skip_if_compiled
from rocket_core._engine import deadlines, monitor
from rocket_core._engine.monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from explorer import Model

MARKS = Marks([monitor], shared=["_missed", "_parked"], aliases={"pop": "_parked"})


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    skip_if_compiled("there are no points between the instructions")
    stage = Stage(MARKS)
    put_into(monkeypatch, stage, monitor, deadlines)
    yield stage
    stage.close()


def serve_all(monitor: Monitor, connection: ModelConnection) -> None:
    """Do as a worker does: poll, receive, and park again."""
    while True:
        for claimed in monitor.poll(None):
            assert claimed is as_any(connection), "another connection was claimed"
            as_any(claimed).receive()
            monitor.park(claimed)


def arriving(stage: Stage) -> Callable[[], None]:
    """An owner receives and parks, while its client sends, and another thread polls."""
    poller = ModelPoller(stage)
    monitor = Monitor(poller)
    connection = ModelConnection(stage, poller, 7)
    monitor.park(as_any(connection))
    assert monitor.claim(as_any(connection))

    def owner() -> None:
        connection.receive()
        monitor.park(as_any(connection))

    stage.spawn("owner", owner)
    stage.spawn("worker", lambda: serve_all(monitor, connection))
    stage.spawn("client", connection.send)

    def at_rest() -> None:
        assert connection.received == 1, "the connection is parked, and what has come is not seen"

    return at_rest


def beginning(stage: Stage) -> Callable[[], None]:
    """A new connection is parked for the first time, while its client sends."""
    poller = ModelPoller(stage)
    monitor = Monitor(poller)
    connection = ModelConnection(stage, poller, 7)
    stage.spawn("owner", lambda: monitor.park(as_any(connection)))
    stage.spawn("worker", lambda: serve_all(monitor, connection))
    stage.spawn("client", connection.send)

    def at_rest() -> None:
        assert connection.received == 1, "the connection is parked, and what has come is not seen"

    return at_rest


def replaced(stage: Stage) -> Callable[[], None]:
    """A thread claims a connection, while another closes it and its descriptor is used again."""
    poller = ModelPoller(stage)
    monitor = Monitor(poller)
    old = ModelConnection(stage, poller, 7)
    new = ModelConnection(stage, poller, 7)
    monitor.park(as_any(old))
    claims: list[str] = []

    def close() -> None:
        if monitor.claim(as_any(old)):
            claims.append("closed")
            monitor.forget(as_any(old))
            new.send()
            monitor.park(as_any(new))

    def claim() -> None:
        if monitor.claim(as_any(old)):
            claims.append("claimed")

    stage.spawn("closing", close)
    stage.spawn("claiming", claim)
    stage.spawn("worker", lambda: serve_all(monitor, new))

    def at_rest() -> None:
        assert len(claims) == 1, f"the connection was claimed as {claims}"
        if claims == ["closed"]:
            assert new.received == 1, "the new connection is lost"

    return at_rest


@pytest.mark.parametrize("model", [arriving, beginning, replaced])
def test_no_event_is_missed(stage: Stage, model: Model) -> None:
    expect_none(stage, model, least=40)


BROKEN = {
    "the thread that misses does not look again": (
        arriving,
        Mutation(Monitor, "_miss", "return self._parked.pop(descriptor, None)", "return None"),
    ),
    "the thread that misses looks before it leaves word": (
        arriving,
        Mutation(
            Monitor,
            "_miss",
            "self._missed.add(descriptor)\n    return self._parked.pop(descriptor, None)",
            "found = self._parked.pop(descriptor, None)\n"
            "    self._missed.add(descriptor)\n    return found",
        ),
    ),
    "the owner does not look for word": (
        arriving,
        Mutation(Monitor, "park", "while descriptor in self._missed", "while False"),
    ),
    "the owner looks for word before it parks": (
        arriving,
        Mutation(
            Monitor,
            "park",
            "    self._parked[descriptor] = connection\n    # Looked at after parking",
            "    missed = descriptor in self._missed\n"
            "    self._parked[descriptor] = connection\n"
            "    self._missed = {descriptor} if missed else set()\n    # Looked at after parking",
        ),
    ),
    "a claim keeps what it has taken of another connection": (
        replaced,
        Mutation(Monitor, "claim", "self.park(parked)", "pass"),
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_missed_event_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    model, mutation = BROKEN[case]
    mutation.apply(monkeypatch)
    expect_found(stage, model)
