"""Deadlines that change while threads begin to poll, return, and look for what is due."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import pytest
from explorer import DEPTH, Marks, Stage, expect_found, expect_none
from explorer.mutation import Mutation
from explorer.sockets import ModelConnection, as_any
from explorer.standins import ModelPoller, put_into

from coresupport import skip_if_compiled
from rocket_core import State
from rocket_core._engine import deadlines, monitor
from rocket_core._engine.deadlines import TICK, Deadlines
from rocket_core._engine.monitor import Monitor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from explorer import Model

MARKS = Marks(
    [monitor],
    values=["next", "deadline", "watched_at"],
    shared=["_returns", "_parked"],
    aliases={"returns": "_returns", "pop": "_parked"},
) | Marks([deadlines], values=["next"])  # the rest is changed with the lock


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    skip_if_compiled("there are no points between the instructions")
    stage = Stage(MARKS)
    put_into(monkeypatch, stage, monitor, deadlines)
    yield stage
    stage.close()


class World:
    """A Monitor, some connections, and the times at which their deadlines were noticed."""

    def __init__(self, stage: Stage, *, connections: int = 1) -> None:
        self.stage = stage
        self.poller = ModelPoller(stage)
        self.monitor = Monitor(self.poller)
        self.connections = [
            ModelConnection(stage, self.poller, 7 + number) for number in range(connections)
        ]
        self.noticed: dict[ModelConnection, float] = {}

    def look(self) -> None:
        """Do as `Engine.expire_all` does."""
        for connection in self.monitor.expired():
            self.noticed[as_any(connection)] = self.stage.now
            connection.state = State.CLOSED
            self.monitor.forget(connection)

    def poll_on(self) -> None:
        """Poll and look, as a worker without requests."""
        while True:
            self.monitor.poll(None)
            self.look()

    def poll_and_leave(self) -> None:
        """Poll once, look, and go away: to serve, or to sleep."""
        self.monitor.poll(None)
        self.look()

    def park(self, connection: ModelConnection, deadline: float) -> None:
        """Park a connection whose client has time until then."""
        connection.deadline = deadline
        self.monitor.park(as_any(connection))

    def expect_noticed(self, most: float = TICK) -> None:
        """Each deadline was noticed, and no more than ``most`` seconds late."""
        for connection in self.connections:
            at = self.noticed.get(connection, inf)
            assert at < inf, f"nothing looks at the deadline of {connection}"
            assert connection.deadline <= at, f"{connection} was ended too early"
            late = at - connection.deadline
            assert late <= most, f"the deadline of {connection} was noticed {late} s late"


def first(stage: Stage) -> Callable[[], None]:
    """A thread begins to poll without limit, while another one brings the first deadline."""
    world = World(stage)
    stage.spawn("worker", world.poll_on)
    stage.spawn("parking", lambda: world.park(world.connections[0], stage.now + 9))
    return world.expect_noticed


def woken(stage: Stage) -> Callable[[], None]:
    """Two poll, and the one that a deadline wakes goes away instead of polling again."""
    world = World(stage)
    stage.spawn("leaving", world.poll_and_leave)
    stage.spawn("worker", world.poll_on)
    stage.spawn("parking", lambda: world.park(world.connections[0], stage.now + 9))
    return world.expect_noticed


def claiming(stage: Stage) -> Callable[[], None]:
    """Two poll, and the one that knows the deadline goes away with a request."""
    world = World(stage, connections=2)
    busy, resting = world.connections
    world.park(busy, inf)

    def poll_twice() -> None:
        world.poll_and_leave()
        world.poll_and_leave()

    def meanwhile() -> None:
        world.park(resting, stage.now + 9)
        busy.send()

    stage.spawn("leaving", poll_twice)
    stage.spawn("worker", world.poll_on)
    stage.spawn("parking", meanwhile)

    def at_rest() -> None:
        assert resting in world.noticed, "nothing looks at the deadline of the other connection"

    return at_rest


def briefly(stage: Stage) -> Callable[[], None]:
    """One polls without limit, and another for a moment only, while the first deadline comes."""
    world = World(stage)
    stage.spawn("worker", world.poll_on)
    stage.spawn("brief", lambda: world.monitor.poll(1.0))
    stage.spawn("parking", lambda: world.park(world.connections[0], stage.now + 9))
    return world.expect_noticed


def moved(stage: Stage) -> Callable[[], None]:
    """One takes the only bucket, for a deadline that has moved; another begins to poll."""
    world = World(stage)
    connection = world.connections[0]
    world.park(connection, stage.now)
    connection.deadline = stage.now + 9  # as a request moves it, which tells nobody
    stage.now += TICK
    stage.spawn("looking", world.look)
    stage.spawn("worker", world.poll_on)
    return world.expect_noticed


def owned(stage: Stage) -> Callable[[], None]:
    """One looks at what is due, while the owner parks with a deadline that comes a bit later."""
    world = World(stage)
    connection = world.connections[0]
    world.park(connection, stage.now)
    assert world.monitor.claim(as_any(connection))
    stage.now += TICK
    stage.spawn("owner", lambda: world.park(connection, stage.now + 1))
    stage.spawn("worker", world.poll_on)
    return world.expect_noticed


def late(stage: Stage) -> Callable[[], None]:
    """One looks at what is due, while the owner parks without having moved the deadline."""
    world = World(stage)
    connection = world.connections[0]
    world.park(connection, stage.now)
    assert world.monitor.claim(as_any(connection))
    stage.now += TICK
    stage.spawn("owner", lambda: world.monitor.park(as_any(connection)))
    stage.spawn("worker", world.poll_on)
    return lambda: world.expect_noticed(monitor._RECHECK + 2 * TICK)


MODELS: dict[Model, int] = {
    first: DEPTH,
    woken: DEPTH - 1,
    claiming: DEPTH - 1,
    briefly: DEPTH - 1,
    moved: DEPTH,
    owned: DEPTH,
    late: DEPTH,
}


@pytest.mark.parametrize("model", MODELS)
def test_no_deadline_is_lost(stage: Stage, model: Model) -> None:
    expect_none(stage, model, least=20, depth=MODELS[model])


BROKEN = {
    "a thread that begins to poll does not look again": (
        first,
        Mutation(Monitor, "_poll_on", "while self._deadlines.next < due:", "while False:"),
    ),
    "a thread that begins to poll looks before it leaves word": (
        first,
        Mutation(
            Monitor,
            "_poll_on",
            "    returns.append(due)\n    # 1.",
            "    due = self._deadlines.next\n    returns.append(due)\n    return self._poller.poll("
            "None if due == inf else _until(due), BATCH)\n    # 1.",
        ),
    ),
    "no thread is woken for the first deadline": (
        first,
        Mutation(Monitor, "park", "self._announce()", "pass"),
    ),
    "a wake-up alone is not handed on": (
        woken,
        Mutation(Monitor, "_poll_on", "(events or time.monotonic() < due)", "events"),
    ),
    "a thread that goes away with a request hands nothing on": (
        claiming,
        Mutation(
            Monitor, "_poll_on", "        returns\n        and (events", "False\n and (events"
        ),
    ),
    "a thread that polls for a moment does not hand a wake-up on": (
        briefly,
        Mutation(Monitor, "poll", "self._announce()", "pass"),
    ),
    "what is watched again is not announced": (
        moved,
        Mutation(Monitor, "expired", "    self._announce()\n", "    pass\n"),
    ),
    "a deadline that has moved is not watched again": (
        moved,
        Mutation(Monitor, "expired", "self._deadlines.watch(connection, connection.deadline)", "0"),
    ),
    "what a worker owns is not watched again": (
        late,
        Mutation(Monitor, "expired", "self._deadlines.watch(connection, now + _RECHECK)", "0"),
    ),
    "the second look replaces an earlier one": (
        owned,
        Mutation(Deadlines, "watch", "watched_at <= due - TICK", "watched_at == due - TICK"),
    ),
    "what was parked between the look and the claim is ended": (
        owned,
        Mutation(
            Monitor,
            "expired",
            "if connection.deadline > now:\n                # A",
            "if False:\n                # A",
        ),
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_lost_deadline_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    model, mutation = BROKEN[case]
    mutation.apply(monkeypatch)
    expect_found(stage, model)
