"""What is noted on a shared connection, and a drain, while the owner is about to park."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from explorer import DEPTH, Marks, Stage, expect_found, expect_none
from explorer.mutation import Mutation
from explorer.sockets import as_any
from explorer.standins import ModelFaults, ModelPoller, put_into

from coresupport import skip_if_compiled
from rocket_core import Connection, SharedProtocol, State, Timeouts
from rocket_core._connection import (
    shared_connection,
    shared_turns,
    turn_taker,
)
from rocket_core._connection.server_state import ServerState
from rocket_core._connection.shared_connection import SharedConnection
from rocket_core._connection.turn_taker import TurnTaker
from rocket_core._engine import deadlines, engine, monitor
from rocket_core._engine.counters import Counters
from rocket_core._engine.engine import Engine
from rocket_core._engine.monitor import Monitor
from rocket_core._engine.registry import Registry
from rocket_core._engine.seat import Seat
from rocket_core._network.address import Peer
from rocket_core._system.poller import READ, WRITE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from explorer import Model

MARKS = Marks(
    [engine, shared_connection, shared_turns, turn_taker],
    values=["noted", "urgent", "blocked", "draining", "unqueued"],
) | Marks([monitor], shared=["_parked", "_missed"], aliases={"pop": "_parked"})


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    skip_if_compiled("there are no points between the instructions")
    stage = Stage(MARKS)
    put_into(monkeypatch, stage, monitor, deadlines, engine, turn_taker)
    yield stage
    stage.close()


class Socket:
    """What a connection has instead of a socket, in this process alone."""

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""

    def fileno(self) -> int:
        return 7


class Carried(Connection):
    """A connection whose client takes ``room`` bytes at once, until it makes more room.

    Attributes:
        arrived: what the client has sent, and the connection has not received.
        sent: what the client has taken.
        closed: whether the owner has closed it.
        ended: whether the client was told that nothing follows.
    """

    def __init__(self, stage: Stage, poller: ModelPoller, room: int = 1 << 20) -> None:
        super().__init__(as_any(Socket()), Peer("::1", 1), Peer("::1", 2))
        self.stage = stage
        self.poller = poller
        self.room = room
        self.arrived = b""
        self.sent = b""
        self.ended = self.closed = False

    def receive_now(self, size: int) -> bytes:
        self.stage.point("socket")
        data, self.arrived = self.arrived, b""
        if not data:
            raise BlockingIOError
        self.drained = True
        self.poller.used_up(self.descriptor, READ)
        return data

    def send_now(self, data: Any) -> int | None:
        self.stage.point("socket")
        count = min(len(data), self.room)
        self.sent += bytes(data[:count])
        self.room -= count
        if not self.room:
            self.poller.used_up(self.descriptor, WRITE)
        return count or None

    def shut_down(self) -> None:
        self.ended = True

    def close(self) -> None:
        self.stage.point("socket")
        self.ended = self.closed = True

    def abort(self) -> None:
        self.stage.point("socket")
        assert not self.closed, "a descriptor is used that may be another client's"

    def begin_transfer(self, now: float, *, sending: bool = False) -> None:
        """Give the client all the time that it wants."""

    def transferred(self, count: int, *, sending: bool = False) -> None:
        """Give it more."""

    def send(self, data: bytes) -> None:
        """The client sends."""
        self.stage.point("socket")
        self.arrived += data
        self.poller.become(self.descriptor, READ)

    def make_room(self, room: int) -> None:
        """The client takes what there is."""
        self.stage.point("socket")
        self.room += room
        self.poller.become(self.descriptor, WRITE)


class Queue:
    """The queue of the pool, whose worker is an actor of its own."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.turns: list[TurnTaker] = []

    def submit(self, connection: Connection) -> None:
        self.world.engine.advance(connection, self.world.seat)

    def submit_turn(self, taker: TurnTaker) -> None:
        self.world.stage.point("queue")
        self.turns.append(taker)

    leave_turn = submit_turn


class Protocol(SharedProtocol):
    """Notes what it is told, and supplies what there is."""

    kind = "model"

    def __init__(self, stage: Stage, *, supplies: bool = False) -> None:
        self.stage = stage
        self.supplies = supplies
        self.received_bytes = b""
        self.supply = b""
        self.wanted = 0
        self.seen = 0
        self.losses = 0

    def received(self, connection: Connection) -> None:
        self.received_bytes += connection.take()

    def output(self) -> bytes:
        self.stage.point("supply")
        data, self.supply = self.supply, b""
        return data

    def want(self, data: bytes) -> None:
        self.stage.point("supply")
        self.supply += data

    def turn(self) -> bool:
        self.stage.point("turn")
        self.seen = self.wanted
        return False

    def lost(self) -> None:
        self.losses += 1

    def draining(self, shared: SharedConnection) -> None:
        """Stay open."""


class World:
    """An engine with one connection, which is shared and parked."""

    def __init__(self, stage: Stage, *, room: int = 1 << 20, supplies: bool = False) -> None:
        self.stage = stage
        self.poller = ModelPoller(stage)
        self.monitor = Monitor(self.poller)
        self.server = ServerState(faults=as_any(ModelFaults(stage)))
        self.queue = Queue(self)
        self.engine = Engine(
            self.monitor, Registry(9), Timeouts(), self.server, queue=as_any(self.queue)
        )
        self.seat = Seat(as_any(SimpleNamespace(closed=lambda _: None)), Counters())
        self.connection = Carried(stage, self.poller, room)
        self.connection.server = self.server
        self.protocol = Protocol(stage, supplies=supplies)

    def share(self) -> SharedConnection:
        """Share the connection, and park it."""
        shared = self.connection.share(self.protocol)
        self.connection.state = State.SHARED
        shared.attach(self.engine.flush)
        self.engine._park_shared(self.connection, shared)
        return shared

    def work(self) -> None:
        """Do as a worker that polls."""
        while True:
            for connection in self.monitor.poll(None):
                self.engine.advance(connection, self.seat)

    def expect_sent(self, *pieces: bytes) -> None:
        """The client has got all of ``pieces``, in some order."""
        shared = self.connection.shared
        assert shared is not None
        assert self.connection in self.monitor.parked(), "the connection is not parked"
        assert sorted(self.connection.sent) == sorted(b"".join(pieces)), "something is not sent"
        assert not shared.noted
        assert not shared.pending


def pushing(stage: Stage) -> Callable[[], None]:
    """Two threads push: the one that cannot claim the connection leaves it to the other one."""
    world = World(stage)
    shared = world.share()
    stage.spawn("one", lambda: shared.push(b"a"))
    stage.spawn("two", lambda: shared.push(b"b"))
    return lambda: world.expect_sent(b"a", b"b")


def receiving(stage: Stage) -> Callable[[], None]:
    """A worker receives, while another thread pushes."""
    world = World(stage)
    shared = world.share()
    world.connection.send(b"x")
    stage.spawn("worker", world.work)
    stage.spawn("pushing", lambda: shared.push(b"a"))

    def at_rest() -> None:
        assert world.protocol.received_bytes == b"x"
        world.expect_sent(b"a")

    return at_rest


def blocking(stage: Stage) -> Callable[[], None]:
    """A client takes no more, while another thread pushes."""
    world = World(stage, room=1)
    shared = world.share()

    def push() -> None:
        shared.push(b"ab")
        world.connection.make_room(2)

    stage.spawn("pushing", push)
    stage.spawn("other", lambda: shared.push(b"c"))
    stage.spawn("worker", world.work)
    return lambda: world.expect_sent(b"ab", b"c")


def supplying(stage: Stage) -> Callable[[], None]:
    """Two threads give a protocol something that supplies it when it is asked."""
    world = World(stage, supplies=True)
    shared = world.share()

    def give(data: bytes) -> None:
        world.protocol.want(data)
        shared.supply()
        shared.flush()

    stage.spawn("one", lambda: give(b"a"))
    stage.spawn("two", lambda: give(b"b"))
    return lambda: world.expect_sent(b"a", b"b")


def ending(stage: Stage) -> Callable[[], None]:
    """One thread sends, while another gives the protocol something more, and ends."""
    world = World(stage, supplies=True)
    shared = world.share()
    shared.look_again()  # so that the owner looks at everything, not only at what is supplied

    def give(data: bytes) -> None:
        world.protocol.want(data)
        shared.supply()
        shared.flush()

    def end() -> None:
        world.protocol.want(b"b")
        shared.supply()
        shared.end()
        shared.flush()

    stage.spawn("one", lambda: give(b"a"))
    stage.spawn("two", end)

    def at_rest() -> None:
        assert world.connection.ended, "the connection does not end"
        # What is given after the end is not sent.
        assert b"b" in world.connection.sent, "the connection has ended before all was sent"

    return at_rest


def wanting(stage: Stage) -> Callable[[], None]:
    """A worker ends a turn, while another thread wants one more."""
    world = World(stage)
    shared = world.share()
    protocol = world.protocol

    def want_two() -> None:
        for _ in range(2):
            stage.point("turn")
            protocol.wanted += 1
            shared.call()
            shared.flush()

    def serve() -> None:
        turns = world.queue.turns
        while stage.wait("queue", lambda: bool(turns)):
            taker = turns.pop()
            if world.engine.serve_turn(taker, world.seat):
                world.queue.submit_turn(taker)

    stage.spawn("worker", serve)
    stage.spawn("wanting", want_two)

    def at_rest() -> None:
        assert protocol.seen == 2, "the protocol has no turn for what is wanted"
        assert not world.queue.turns

    return at_rest


def draining(stage: Stage) -> Callable[[], None]:
    """A worker parks an idle connection, while a drain begins."""
    world = World(stage)
    connection, engine = world.connection, world.engine
    connection.state = State.IDLE

    def park() -> None:
        engine._park(connection, State.IDLE, world.seat)

    stage.spawn("worker", park)
    stage.spawn("draining", lambda: drain(world))

    def at_rest() -> None:
        assert connection.last_request >= 0, "the drain does not know the connection"
        assert connection in world.monitor.parked()

    return at_rest


def draining_shared(stage: Stage) -> Callable[[], None]:
    """A thread pushes, and parks a shared connection, while a drain begins."""
    world = World(stage)
    shared = world.share()
    stage.spawn("pushing", lambda: shared.push(b"a"))
    stage.spawn("draining", lambda: drain(world))

    def at_rest() -> None:
        assert shared.drain_at <= stage.now + 1, "the drain does not know the connection"
        world.expect_sent(b"a")

    return at_rest


def beginning(stage: Stage) -> Callable[[], None]:
    """A worker shares its connection, while another thread pushes already."""
    world = World(stage)
    connection = world.connection
    connection.state = State.ACTIVE
    shared = connection.share(world.protocol)
    stage.spawn("worker", lambda: world.engine._begin_sharing(connection, world.seat))
    stage.spawn("pushing", lambda: shared.push(b"a"))
    return lambda: world.expect_sent(b"a")


def sharing_no_more(stage: Stage) -> Callable[[], None]:
    """A thread flushes, while the connection ends to be shared, and waits for a request again."""
    world = World(stage)
    shared = world.share()

    def submit(connection: Connection) -> None:
        connection.shared = None
        world.monitor.park(connection)

    world.queue.submit = submit  # type: ignore[method-assign]

    def end() -> None:
        shared.end(State.IDLE)
        shared.flush()

    def call() -> None:
        shared.call_at(stage.now)
        shared.flush()

    stage.spawn("ending", end)
    stage.spawn("calling", call)

    def at_rest() -> None:
        assert world.protocol.losses == 1, "the end is told more than once"
        assert world.connection in world.monitor.parked(), "the connection is not parked"

    return at_rest


def cutting(stage: Stage) -> Callable[[], None]:
    """A thread cuts a connection, while its owner closes it."""
    world = World(stage)
    shared = world.share()
    assert world.monitor.claim(world.connection)
    stage.spawn("owner", lambda: world.engine.close(world.connection, world.seat))
    stage.spawn("cutting", shared.cut)
    return lambda: None


def sending(stage: Stage) -> Callable[[], None]:
    """A thread cuts a connection, while another sends on it."""
    world = World(stage)
    shared = world.share()
    stage.spawn("pushing", lambda: shared.push(b"a" * 10))
    stage.spawn("cutting", shared.cut)

    def at_rest() -> None:
        held = world.server.pushed.held
        assert held == 0, f"{held} bytes of the budget are held for nothing"

    return at_rest


def drain(world: World) -> None:
    """Do as the Monitor's thread does at the beginning of a drain."""
    world.server.draining = True
    world.stage.touch("draining")
    for connection in world.monitor.claim_all():
        if connection.state is State.SHARED:
            assert connection.shared is not None
            world.engine._park_shared(connection, connection.shared)
        else:
            assert not world.engine._ends(connection)
            world.monitor.park(connection)


MODELS: dict[Model, int] = {
    pushing: DEPTH,
    receiving: DEPTH - 1,
    blocking: DEPTH - 1,
    supplying: DEPTH,
    ending: DEPTH - 1,
    wanting: DEPTH,
    draining: DEPTH,
    draining_shared: DEPTH - 1,
    beginning: DEPTH,
    sharing_no_more: DEPTH - 1,
    cutting: DEPTH,
    sending: DEPTH,
}


@pytest.mark.parametrize("model", MODELS)
def test_what_is_noted_is_carried_out(stage: Stage, model: Model) -> None:
    expect_none(stage, model, least=20, depth=MODELS[model])


OWNED = "owned = ("
BROKEN = {
    "the owner does not look after parking": (
        pushing,
        Mutation(Engine, "_park_shared", OWNED, "owned = False and ("),
    ),
    "a worker that receives does not look after parking": (
        receiving,
        Mutation(Engine, "_park_shared", OWNED, "owned = False and ("),
    ),
    "the owner looks before parking": (
        pushing,
        Mutation(
            Engine,
            "_park_shared",
            "self._monitor.park(connection)\n",
            "noted = shared.noted\n        self._monitor.park(connection)\n"
            "        if not noted:\n            return\n",
        ),
    ),
    "what is noted is erased after the protocol was asked": (
        supplying,
        Mutation(
            SharedConnection,
            "send_usual",
            "self.noted = False  # before the protocol is asked: see `_send_supply`\n"
            "    protocol = self.protocol\n    data = protocol.output()\n",
            "protocol = self.protocol\n    data = protocol.output()\n    self.noted = False\n",
        ),
    ),
    "the connection ends although something is noted": (
        ending,
        Mutation(
            SharedConnection,
            "_send_supply",
            "self.phase is _ENDING and not self.noted",
            "self.phase is _ENDING",
        ),
    ),
    "a turn that is wanted while one runs is forgotten": (
        wanting,
        Mutation(TurnTaker, "end_turn", "again or self.turn_state is _CALLED", "again"),
    ),
    "the turn is looked at before the lock is taken": (
        wanting,
        Mutation(
            TurnTaker,
            "end_turn",
            "with self._lock:\n        queued = again or self.turn_state is _CALLED\n",
            "queued = again or self.turn_state is _CALLED\n    with self._lock:\n",
        ),
    ),
    "a connection that is shared can be flushed only after it is parked": (
        beginning,
        Mutation(
            Engine,
            "_begin_sharing",
            "shared.attach(self.flush)\n",
            "self._park_shared(connection, shared)\n    shared.attach(self.flush)\n    return\n",
        ),
    ),
    "a connection that is not shared any more is taken for the shared one": (
        sharing_no_more,
        Mutation(Engine, "_claim_shared", "if connection.shared is shared:", "if True:"),
    ),
    "a connection is cut without the lock": (
        cutting,
        Mutation(
            SharedConnection,
            "cut",
            "    with self._lock:\n",
            "    if self.phase is not _OVER:\n        self._connection.abort()\n        return\n"
            "    with self._lock:\n",
        ),
    ),
    "what was sent is given back once more": (
        sending,
        Mutation(SharedConnection, "_count_sent", "count = min(count, self.pending)", "pass"),
    ),
    "a worker does not look for a drain after parking": (
        draining,
        Mutation(Engine, "_park", "if self._server.draining and", "if False and"),
    ),
    "the owner of a shared connection does not look for a drain": (
        draining_shared,
        Mutation(
            Engine, "_park_shared", "(self._server.draining and shared.drain_at == inf)", "False"
        ),
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_not_carried_out_is_found(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    model, mutation = BROKEN[case]
    mutation.apply(monkeypatch)
    expect_found(stage, model)
