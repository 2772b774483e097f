"""Models that are small enough for all of their schedules: leases, lines, room, and registries."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from explorer import Marks, Stage, expect_found, expect_none
from explorer.mutation import Mutation
from explorer.sockets import as_any
from explorer.standins import put_into

import rocket_core._lease as lease_module
from coresupport import skip_if_compiled
from rocket_core import ClientGone
from rocket_core._connection import corks
from rocket_core._connection.corks import Corks
from rocket_core._engine import registry
from rocket_core._engine.registry import Registry
from rocket_core._lease import Hold, Lease
from rocket_core._pool import client_lines
from rocket_core._pool.client_lines import ClientLines, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from explorer import Model

MARKS = (
    Marks([lease_module], values=["_hold", "_claims", "began"])
    | Marks([client_lines], values=["places", "_waiting"], shared=["_clients", "_called", "line"])
    | Marks([registry], values=["_waiting"], shared=["_open", "_leaving"])
    | Marks([corks], values=["left"], shared=["_left"])
)


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    skip_if_compiled("there are no points between the instructions")
    stage = Stage(MARKS)
    put_into(monkeypatch, stage, lease_module, client_lines)
    yield stage
    stage.close()


class Used:
    """What a lease is for: two threads must not use it at once."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.users: set[str] = set()
        self.parked = False

    def use(self, name: str) -> None:
        self.stage.point("connection")
        self.users.add(name)
        self.stage.point("connection")
        assert self.users == {name}, "two threads use the connection"
        self.users.discard(name)

    def abort(self) -> None:
        self.stage.point("connection")
        assert not self.parked, "a connection that waits for its next request is aborted"


def leasing(stage: Stage) -> Callable[[], None]:
    """A worker begins its response, while the Monitor's thread finds that the time is up."""
    lease = Lease(0.0)
    lease.offer(None)
    used = Used(stage)
    answered: list[str] = []

    def respond() -> None:
        try:
            lease.claim()
        except ClientGone:
            return
        used.use("worker")
        answered.append("worker")
        if lease.finish() is Hold.OVER:
            stage.point("connection")
            used.parked = True

    def overtake() -> None:
        if lease.overtake(1.0, used.abort) is Hold.OVERTAKEN:
            used.use("monitor")
            answered.append("monitor")

    stage.spawn("worker", respond)
    stage.spawn("monitor", overtake)

    def at_rest() -> None:
        assert len(answered) == 1, f"the request was answered by {answered}"

    return at_rest


def two_claims(stage: Stage) -> Callable[[], None]:
    """Two threads of an application use the connection, while the time is up."""
    lease = Lease(0.0)
    lease.offer(None)
    used = Used(stage)
    using: list[str] = []

    def use() -> None:
        try:
            with lease.use():
                stage.point("connection")
                using.append("worker")
                stage.point("connection")
                assert lease.hold is not Hold.OVERTAKEN, "the connection was taken from its user"
        except ClientGone:
            return

    stage.spawn("one", use)
    stage.spawn("two", use)
    stage.spawn("monitor", lambda: lease.overtake(1.0, used.abort))
    return lambda: None


def lining(stage: Stage) -> Callable[[], None]:
    """A request lines up, while the last request of its client ends."""
    lines = ClientLines(1, 9)
    first, second = object(), object()
    assert lines.enter(as_any(first), "client")
    served: list[object] = [first]

    def leave() -> None:
        following = lines.leave("client")
        if following is not None:
            serve(following)

    def serve(request: object) -> None:
        served.append(request)
        assert lines.enter(as_any(request), "client")
        leave()

    def arrive() -> None:
        if (
            lines.enter(as_any(second), "client")
            or lines.line_up(as_any(second), "client") is Place.GRANTED
        ):
            served.append(second)
            leave()

    stage.spawn("ending", leave)
    stage.spawn("arriving", arrive)

    def at_rest() -> None:
        assert served == [first, second], "a request waits in a line that nothing looks at"
        assert not lines.clients
        assert not lines.waiting

    return at_rest


def full(stage: Stage) -> Callable[[], None]:
    """A listener finds the server full, while the last connection ends."""
    told: list[str] = []
    connections = Registry(1, lambda: told.append("room"))
    connection = as_any(object())
    connections.add(connection)
    found: list[bool] = []
    stage.spawn("listener", lambda: found.append(connections.full()))
    stage.spawn("ending", lambda: connections.remove(connection))

    def at_rest() -> None:
        assert found == [False] or told, "the listener waits, and is not told of the room"

    return at_rest


def empty(stage: Stage) -> Callable[[], None]:
    """The last connection is closed, while the last protocol is told of its end."""
    told: list[bool] = []
    connections = Registry(1, on_empty=lambda: told.append(connections.empty))
    connection = as_any(object())
    connections.add(connection)
    connections.begin_leaving(connection)
    stage.spawn("closing", lambda: connections.remove(connection))
    stage.spawn("telling", lambda: connections.end_leaving(connection))

    def at_rest() -> None:
        assert True in told, "nothing is told that the server is empty"

    return at_rest


class Left:
    """Output that workers leave for a moment, under a lock of its own."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.left = False
        self.output = 0
        self.sent = 0

    def flush(self) -> None:
        self.stage.point("output")
        self.sent, self.output = self.sent + self.output, 0


def corking(stage: Stage) -> Callable[[], None]:
    """Two workers leave their output, while the Monitor's thread sends what was left."""
    left, corks = Left(stage), Corks()

    def leave() -> None:
        stage.point("output")
        left.output += 1
        stage.point("left", writes=False)
        if not left.left:
            corks.leave(left)

    stage.spawn("one", leave)
    stage.spawn("two", leave)
    stage.spawn("monitor", corks.look)

    def at_rest() -> None:
        corks.look()  # as the caller of `leave` rouses the Monitor's thread
        assert left.sent == 2, "output that was left is not sent"

    return at_rest


MODELS = [leasing, two_claims, lining, full, empty, corking]


@pytest.mark.parametrize("model", MODELS)
def test_all_schedules_are_right(stage: Stage, model: Model) -> None:
    expect_none(stage, model, depth=None)


BROKEN = {
    "a claim does not look whether the lease was overtaken": (
        leasing,
        Mutation(Lease, "claim", "if self._hold is Hold.OVERTAKEN:", "if False:"),
    ),
    "a claim looks before it has the lock": (
        leasing,
        Mutation(
            Lease,
            "claim",
            "    with self._lock:\n",
            "    held = self._hold\n    if held is Hold.OVERTAKEN:\n"
            "        raise ClientGone('')\n    self._claims += 1\n    self._hold = Hold.HELD\n"
            "    return\n    with self._lock:\n",
        ),
    ),
    "a connection is cut without the lock": (
        leasing,
        Mutation(
            Lease,
            "overtake",
            "    with self._lock:\n",
            "    if self.overdue(due) and self._hold is Hold.HELD:\n"
            "        abort()\n        return Hold.CUT\n    with self._lock:\n",
        ),
    ),
    "a release does not count the other claims": (
        two_claims,
        Mutation(Lease, "release", "not self._claims and ", ""),
    ),
    "a request lines up without another look": (
        lining,
        Mutation(
            ClientLines,
            "line_up",
            "if self._take_place(origin):",
            "if origin not in self._clients:\n"
            "            self._clients[origin] = _Client()\n        if False:",
        ),
    ),
    "a listener does not look again": (
        full,
        Mutation(Registry, "full", "return len(self._open) >= self._limit", "return True"),
    ),
    "a listener leaves word too late": (
        full,
        Mutation(
            Registry,
            "full",
            "self._waiting = True\n",
            "found = len(self._open) >= self._limit\n    self._waiting = True\n    return found\n",
        ),
    ),
    "a thread looks before it has taken its part out": (
        empty,
        Mutation(
            Registry,
            "remove",
            "self._open.discard(connection)\n",
            "leaving = bool(self._leaving)\n    self._open.discard(connection)\n"
            "    if leaving:\n        return\n",
        ),
    ),
    "what is left is marked after it can be found": (
        corking,
        Mutation(
            Corks,
            "leave",
            "shared.left = True  # before another thread can find it here\n"
            "    self._left.add(shared)",
            "self._left.add(shared)\n    shared.left = True",
        ),
    ),
    "what was left is sent before it is marked": (
        corking,
        Mutation(
            Corks,
            "look",
            "shared.left = False\n        shared.flush()",
            "shared.flush()\n        shared.left = False",
        ),
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_variant_is_found(stage: Stage, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    model, mutation = BROKEN[case]
    mutation.apply(monkeypatch)
    expect_found(stage, model, most=3)
