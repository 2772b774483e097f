"""A protocol for shared connections that records what it is told, and does what a test wants."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from coresupport import connect, serving
from rocket_core import (
    CloseReason,
    Connection,
    Server,
    SharedConnection,
    SharedProtocol,
    State,
    Worker,
)
from rocket_core.testing import PATIENCE, Client, NarrowListener, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


class Recorder(SharedProtocol):
    """Records what it is told, with the kind of thread that tells it.

    Attributes:
        told: the names of the methods that were called, in their order.
        threads: the names of the threads that have called each of them last.
        does: what a test has a method do as well, by its name.
        lines: the lines that were received, until they are taken by `turn`, where a test says so.
        reason: the reason for the end.
        requests: how many requests of the client it says are open.
    """

    kind = "recorder"

    def __init__(self) -> None:
        self.shared: SharedConnection
        self.told: list[str] = []
        self.threads: dict[str, str] = {}
        self.does: dict[str, Callable[[], object]] = {}
        self.lines: list[bytes] = []
        self.reason: CloseReason | None = None
        self.requests: int | None = None

    def _note(self, name: str) -> object:
        self.threads[name] = threading.current_thread().name
        self.told.append(name)
        does = self.does.get(name)
        return does() if does is not None else None

    def received(self, connection: Connection) -> None:
        while (line := connection.take_through(b"\n")) is not None:
            self.lines.append(line)
        self._note("received")

    def streams(self) -> int | None:
        return self.requests

    def stream_kinds(self) -> dict[str, int]:
        return {} if self.requests is None else {"asked": self.requests}

    def busy(self) -> bool:
        return bool(self.requests)

    def due(self, now: float) -> None:
        del now
        self._note("due")

    def draining(self, shared: SharedConnection) -> None:
        self._note("draining")
        if "draining" not in self.does:
            super().draining(shared)

    def turn(self) -> bool:
        return bool(self._note("turn"))

    def drained(self) -> None:
        self._note("drained")

    def ended(self, reason: CloseReason | None) -> None:
        self.reason = reason
        self._note("ended")

    def overdue(self, shared: SharedConnection) -> None:
        self._note("overdue")
        if "overdue" not in self.does:
            super().overdue(shared)

    def doing(self) -> str:
        return "recording"

    def wait_for(self, name: str, count: int = 1) -> None:
        """Return when the method ``name`` has been called ``count`` times."""
        eventually(lambda: self.told.count(name) >= count, f"for {count} calls of {name}")


class RecordedWorker(Worker):
    """Answers each line with itself, but shares the connection at a line that begins with share.

    Attributes:
        protocols: those of the connections that were shared, in their order.
        word: what is sent to the client of such a connection.
    """

    def __init__(self, limit: int = 256 * 1024) -> None:
        self.limit = limit
        self.protocols: list[Recorder] = []
        self.word = b"shared\n"
        self.before: Callable[[], None] = lambda: None
        self.prepare: Callable[[Recorder], None] = lambda _: None

    def receive(self, connection: Connection) -> State:
        while connection.find(b"\n") < 0:
            count = connection.fill()
            if count is None:
                return State.HEAD if connection.buffered else State.IDLE
            if not count:
                return State.CLOSED
        return State.READY

    def serve(self, connection: Connection) -> State:
        line = connection.take_through(b"\n") or b""
        if not line.startswith(b"share"):
            connection.write(line + b"\n")
            return State.IDLE
        self.before()
        protocol = Recorder()
        protocol.shared = connection.share(protocol, limit=self.limit)
        self.prepare(protocol)
        if self.word:
            connection.write(self.word)
        self.protocols.append(protocol)
        return State.SHARED


def share(client: Client, worker: RecordedWorker) -> Recorder:
    """Have the connection of ``client`` shared and parked; return its protocol."""
    count = len(worker.protocols)
    client.send(b"share\n")
    assert client.read_line() == b"shared\n"
    return found(worker, count)


def found(worker: RecordedWorker, number: int) -> Recorder:
    """Return the protocol of the connection that was shared after ``number`` others."""
    eventually(lambda: len(worker.protocols) > number)
    protocol = worker.protocols[number]
    eventually(lambda: protocol.shared.connection.state is not State.ACTIVE)
    return protocol


@contextmanager
def sharing(*, limit: int = 256 * 1024, **options: Any) -> Iterator[tuple[Server, RecordedWorker]]:
    """Run a server whose system buffers are narrow, and which leaves no bytes held at its end."""
    worker = RecordedWorker(limit)
    options.setdefault("listener", NarrowListener("127.0.0.1:0"))
    with serving(lambda: worker, **options) as server:
        yield server, worker
    state = server._server_state
    assert (state.pushed.held, state.room.held, len(state.pushing)) == (0, 0, 0)


@contextmanager
def shared_with(
    server: Server, worker: RecordedWorker, **options: Any
) -> Iterator[tuple[Client, Recorder]]:
    """Connect a client, and have its connection shared."""
    with connect(server, **options) as client:
        yield client, share(client, worker)


def block(shared: SharedConnection) -> int:
    """Queue more than the system takes; return how many bytes the client gets.

    The owner of the connection may have been interrupted while it sends: then enough waits already.
    """
    total = 0
    while not shared.blocked:
        if shared.push(bytes(50_000)):
            total += 50_000
    return total


def own(server: Server, shared: SharedConnection) -> None:
    """Have the calling thread own a connection, as a thread does that receives from it."""
    eventually(lambda: server._monitor.claim(shared.connection), "for the connection to be parked")


def give_away(server: Server, shared: SharedConnection) -> None:
    """End `own`."""
    server._engine._park_shared(shared.connection, shared)


@contextmanager
def busy_workers(server: Server, worker: RecordedWorker, count: int) -> Iterator[threading.Event]:
    """Keep ``count`` threads of the pool in turns until the event is set, or to the end."""
    go_on = threading.Event()
    with ExitStack() as stack:
        stack.callback(go_on.set)
        for _ in range(count):
            _, protocol = stack.enter_context(shared_with(server, worker))
            protocol.does["turn"] = lambda: go_on.wait(PATIENCE) and None
            protocol.shared.call()
            protocol.shared.flush()
            protocol.wait_for("turn")
        yield go_on
        go_on.set()
