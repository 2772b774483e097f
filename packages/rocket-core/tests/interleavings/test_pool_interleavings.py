"""Work that is queued while workers begin to poll, return from it, sleep, oversleep and leave."""

from __future__ import annotations

from math import inf
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from explorer import DEPTH, Marks, Stage, expect_found, expect_none
from explorer.mutation import Mutation
from explorer.sockets import ModelConnection, as_any
from explorer.standins import ModelFaults, ModelPoller, put_into

from coresupport import skip_if_compiled
from rocket_core import State
from rocket_core._connection.turn_taker import TurnTaker
from rocket_core._engine import deadlines, monitor
from rocket_core._engine.counters import Counters
from rocket_core._engine.monitor import Monitor
from rocket_core._engine.seat import Seat
from rocket_core._pool import pool_thread, thread_pool
from rocket_core._pool.demand import Demand, Usage
from rocket_core._pool.pool_thread import PoolThread
from rocket_core._pool.staffing import Staffing
from rocket_core._pool.thread_pool import ThreadPool
from rocket_core._server import monitor_thread
from rocket_core._server.monitor_thread import MonitorThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from explorer import Model

# What else is changed is changed with the lock, and read without it by none of these models.
MARKS = Marks(
    [thread_pool, pool_thread],
    values=["guarded"],
    shared=["ready"],
    aliases={"ready": "ready"},
) | Marks([pool_thread], values=["dismissing"])


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    skip_if_compiled("there are no points between the instructions")
    stage = Stage(MARKS)
    modules = (monitor, deadlines, thread_pool, pool_thread, monitor_thread)
    put_into(monkeypatch, stage, *modules, early=True)
    monkeypatch.setattr(pool_thread, "_faults", ModelFaults(stage))
    monkeypatch.setattr(monitor_thread, "_faults", ModelFaults(stage))
    monkeypatch.setattr(monitor_thread, "_QUIET_LOOKS", 1)
    yield stage
    stage.close()


class Mail:
    """A `Mailbox` in which only alerts are."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.alerts = 0
        self._taken = 0

    def alert(self) -> None:
        self._stage.point("mail")
        self.alerts += 1

    def take(self, timeout: float) -> None:
        until = self._stage.now + max(timeout, 0)
        if self._stage.wait("mail", lambda: self.alerts > self._taken, until):
            self._taken += 1


class Pool:
    """A `ThreadPool` whose application holds some requests, and others not at all.

    Attributes:
        seconds: how long the application holds those that it holds.
        served: when the application has got the request of each connection.
    """

    def __init__(
        self, stage: Stage, *, threads: int, pollers: int = 1, least: int | None = None
    ) -> None:
        self.stage = stage
        self.poller = ModelPoller(stage)
        self.monitor = Monitor(self.poller)
        self.mail = Mail(stage)
        self.served: dict[Any, float] = {}
        self.held: set[Any] = set()
        self.seconds = inf
        self.pool = ThreadPool(
            self.monitor,
            self.hire,
            min_threads=threads if least is None else least,
            max_threads=threads,
            alert=self.mail.alert,
        )
        self.pool._pollers = pollers
        # The application computes nothing, in the time of the model.
        demand = Demand(lambda: Usage(stage.now, 0.0, 0, 0))
        self.pool._staffing = Staffing(pollers, demand)

    def hire(self, name: str) -> PoolThread:
        engine = SimpleNamespace(
            advance=lambda exchange, seat: not isinstance(exchange, TurnTaker),
            serve=self.serve,
            serve_turn=self.serve,
            expire_all=lambda seat: None,
        )
        seats = SimpleNamespace(
            make=lambda: Seat(as_any(None), Counters()),
            begin=lambda seat: None,
            end=lambda seat: None,
        )
        return PoolThread(self.pool, as_any(engine), as_any(seats), name)

    def serve(self, connection: Any, seat: Seat) -> bool:
        del seat
        self.served[connection] = self.stage.now
        if connection in self.held:
            self.stage.wait("application", lambda: False, self.stage.now + self.seconds)
        return False

    def connection(self, *, held: bool = False) -> ModelConnection:
        """Return a connection whose request is there, and is held by the application or not."""
        connection = ModelConnection(self.stage, self.poller, 7 + len(self.held))
        connection.state = State.READY
        connection.claimed_at = self.stage.now
        if held:
            self.held.add(connection)
        return connection

    def submit(self, connection: ModelConnection) -> None:
        self.pool.submit(as_any(connection))

    def at_rest(self) -> None:
        """What is in the queue, and what clients send next, is seen by some thread."""
        told = self.mail.alerts > 0 or self.pool.guarded
        assert told or not self.pool.ready, "nothing looks at what is in the queue"
        assert told or self.pool.polling, "nothing polls, and the Monitor's thread does not know"


def returning(stage: Stage) -> Callable[[], None]:
    """The only worker that polls returns with nothing, while a request is queued."""
    pool = Pool(stage, threads=1)
    pool.pool.start()
    stage.spawn("submitting", lambda: pool.submit(pool.connection(held=True)))
    stage.spawn("waking", pool.monitor.wake)
    return pool.at_rest


def two_wake_ups(stage: Stage) -> Callable[[], None]:
    """Two workers poll, and two requests are queued, each with a wake-up."""
    pool = Pool(stage, threads=2, pollers=2)
    pool.pool.start()

    def submit_two() -> None:
        pool.submit(pool.connection(held=True))
        pool.submit(pool.connection(held=True))

    stage.spawn("submitting", submit_two)
    return pool.at_rest


def falling_asleep(stage: Stage) -> Callable[[], None]:
    """One polls, and another is about to poll or sleep, while a request is queued."""
    pool = Pool(stage, threads=2)
    pool.pool.start()
    stage.spawn("submitting", lambda: pool.submit(pool.connection(held=True)))
    return pool.at_rest


def one_too_many(stage: Stage) -> Callable[[], None]:
    """A worker that is one too many queues something, and would have looked at it."""
    pool = Pool(stage, threads=1)
    pool.pool.start()
    spare = pool.hire("spare")

    def come_back() -> None:
        with pool.pool._lock:
            pool.pool._members.add(spare)  # as it was replaced while it was away
        pool.pool.call_from_line(as_any(pool.connection()))
        spare.run()  # which asks for a role

    stage.spawn("spare", come_back)
    return pool.at_rest


def dismissed(stage: Stage) -> Callable[[], None]:
    """A worker is dismissed as another comes back, which then ends."""
    pool = Pool(stage, threads=1)
    pool.pool.start()
    other = pool.hire("other")

    def come_back() -> None:
        with pool.pool._lock:
            pool.pool._members.add(other)
            pool.pool._take_in()
        pool.pool.replace_dead(other)

    stage.spawn("coming back", come_back)
    stage.spawn("waking", pool.monitor.wake)
    return pool.at_rest


def overslept(stage: Stage) -> Callable[[], None]:
    """The time of a worker that sleeps is up, while it is woken for a request."""
    pool = Pool(stage, threads=2, least=1)
    pool.pool.start()
    pool.pool._grow()
    stage.spawn("submitting", lambda: pool.submit(pool.connection(held=True)))
    return pool.at_rest


def abandoned(stage: Stage) -> Callable[[], None]:
    """A turn is queued, while the Monitor's thread takes connections out, and puts it back."""
    pool = Pool(stage, threads=1)
    pool.pool.start()
    turn = TurnTaker()
    stage.spawn("submitting", lambda: pool.pool.submit_turn(turn))
    stage.spawn("stopping", pool.pool.abandoned)

    def at_rest() -> None:
        pool.at_rest()
        assert turn in pool.served or turn in pool.pool.ready, "the turn is lost"

    return at_rest


class Guarded(Pool):
    """A pool with the Monitor's thread, which tends it for one look after each alert.

    Attributes:
        begun: whether something has begun that the thread is to watch.
        watched: whether the thread has seen that.
    """

    def __init__(self, stage: Stage, *, threads: int) -> None:
        super().__init__(stage, threads=threads, least=1)
        self.begun = self.watched = False
        self.guardian = MonitorThread(
            as_any(self.mail),
            self.pool,
            as_any(SimpleNamespace(tend=lambda: False)),
            as_any(SimpleNamespace(work=self.mail.take)),
            Seat(as_any(None), Counters()),
            watchers=[self],
        )
        self.pool.start()
        self.guardian.start()

    def look(self) -> float:
        self.stage.point("begun")
        self.watched = self.watched or self.begun
        return inf


def ceasing(stage: Stage) -> Callable[[], None]:
    """The Monitor's thread ceases to tend, while the last worker that polls goes away."""
    pool = Guarded(stage, threads=2)
    pool.seconds = 1.0
    pool.mail.alert()
    held, other = pool.connection(held=True), pool.connection()
    for connection in (held, other):
        connection.state = State.IDLE
        pool.monitor.park(as_any(connection))
    began = stage.now

    def send() -> None:
        held.send()
        other.send()

    stage.spawn("client", send)

    def at_rest() -> None:
        late = pool.served.get(other, inf) - began
        assert late < pool.seconds, f"a request is seen after {late} s, when a worker came back"

    return at_rest


def rousing(stage: Stage) -> Callable[[], None]:
    """The Monitor's thread falls asleep, while something begins that it is to watch."""
    pool = Guarded(stage, threads=1)
    pool.mail.alert()

    def begin() -> None:
        stage.point("begun")
        pool.begun = True
        pool.pool.rouse()

    stage.spawn("beginning", begin)

    def at_rest() -> None:
        assert pool.watched, "the Monitor's thread sleeps, and does not watch what has begun"

    return at_rest


MODELS: dict[Model, int] = {
    returning: DEPTH,
    two_wake_ups: DEPTH - 1,
    falling_asleep: DEPTH,
    one_too_many: DEPTH,
    dismissed: DEPTH,
    overslept: DEPTH,
    abandoned: DEPTH,
    ceasing: DEPTH - 1,
    rousing: DEPTH,
}


@pytest.mark.parametrize("model", MODELS)
def test_what_is_queued_is_seen(stage: Stage, model: Model) -> None:
    expect_none(stage, model, least=20, depth=MODELS[model])


BROKEN = {
    "a request queued for a worker that is away is not announced": (
        returning,
        Mutation(ThreadPool, "_bring_worker", "alert = not woken and", "alert = False and"),
    ),
    "a worker that goes away with what was queued is not missed": (
        two_wake_ups,
        Mutation(
            ThreadPool, "poll", "len(ready) > 1 or (ready and", "len(claimed) > 1 or (claimed and"
        ),
    ),
    "a request is queued after the look for a worker": (
        falling_asleep,
        Mutation(
            ThreadPool,
            "submit",
            "self.ready.append(connection)\n    self._bring_worker()",
            "self._bring_worker()\n    self.ready.append(connection)",
        ),
    ),
    "a worker that is one too many leaves nothing to the others": (
        one_too_many,
        Mutation(ThreadPool, "_choose_role", "self._leave_to_others()", "pass"),
    ),
    "a worker that was woken ends": (
        overslept,
        Mutation(
            ThreadPool,
            "oversleep",
            "return None\n        self._sleepers.remove(member)",
            "self._leave(member)\n            return Role.LEAVE\n"
            "        self._sleepers.remove(member)",
        ),
    ),
}


BROKEN |= {
    "a worker is dismissed although the pool is not tended": (
        dismissed,
        Mutation(
            ThreadPool, "_choose_role", "(self.dismissing and self.guarded)", "self.dismissing"
        ),
    ),
    "a turn that is put back brings no worker": (
        abandoned,
        Mutation(ThreadPool, "abandoned", "self._bring_worker()", "pass"),
    ),
    "the Monitor's thread ceases to tend while no worker polls": (
        ceasing,
        Mutation(ThreadPool, "guard", "not on and (not self.polling or self.ready)", "False"),
    ),
    "the Monitor's thread does not look before it sleeps": (
        rousing,
        Mutation(MonitorThread, "_run", "self._sleep(self._watch())", "self._sleep(inf)"),
    ),
    "the Monitor's thread is not told while it does not tend": (
        rousing,
        Mutation(ThreadPool, "rouse", "if not self.guarded:", "if False:"),
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_not_seen_is_found(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    model, mutation = BROKEN[case]
    mutation.apply(monkeypatch)
    expect_found(stage, model)
