"""What each thread that deals with connections has for itself.

Theory of operation
-------------------
Only the thread of a seat writes to it, and any thread may read what the seat notes: which exchange
the thread is busy with. The state of that exchange, and what is done for it, are those of its
present owner. They describe the thread only while it is the owner, so a note must not outlast the
ownership:

- A thread erases its note *before* it parks the exchange, queues it, or ends its turn. From then on
  another thread may own the exchange, and serve it, before this one gets any further.
- A thread that reads looks at the note once more *after* it has read the rest; the interleaving is
  at `Seat.activity`.

An exchange that was closed, or answered by the Monitor's thread, has no other owner any more; the
thread erases that note when it looks for other work.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from rocket_core._connection.turn_taker import TurnTaker
from rocket_core._engine.counters import Counters, Tally
from rocket_core._engine.statistics import Activity
from rocket_core._engine.worker import Worker, retire
from rocket_core._state import OWNERS, Owner

if TYPE_CHECKING:
    from rocket_core._exchange import Exchange


class Seat:
    """The worker, the counters and the clock of one thread, and a note of what it does.

    Each thread of the pool has a seat, and so have each urgent lane and the Monitor's thread. Only
    that thread writes to its seat, so a seat has no lock. Other threads may read ``busy`` and
    ``thread``, for statistics: what they read may be over already.

    Attributes:
        worker: the instance of the protocol that this thread alone uses.
        counters: the counts that this thread alone writes.
        now: when the thread last looked at the clock, by `time.monotonic`. It is set by
            `Engine.serve` as well, so that the end of a request and the beginning of the next one
            share a look: a look costs as much as all that is counted for a request.
        busy: the exchange that the thread receives or serves, and since when, by `time.monotonic`;
            None: it has nothing to do, or is about to give away what it had.
        turn: what the thread has received for, and serves next where it is of the pool, as it knows
            of it first; otherwise None.
        pooled: whether the thread serves turns: it is of the pool.
        thread: the thread itself; None: it has not been made yet.
    """

    __slots__ = ("busy", "counters", "now", "pooled", "thread", "turn", "worker")

    def __init__(self, worker: Worker, counters: Counters) -> None:
        self.worker = worker
        self.counters = counters
        self.now = 0.0
        self.busy: tuple[Exchange, float] | None = None
        self.turn: TurnTaker | None = None
        self.pooled = False
        self.thread: threading.Thread | None = None

    def activity(self) -> Activity | None:
        """Return what the thread does now; None: there is no thread. Any thread may call this."""
        thread = self.thread
        if thread is None:
            return None
        name, ident, native_id = thread.name, thread.ident, thread.native_id
        while (busy := self.busy) is not None:
            exchange, since = busy
            connection = exchange.connection
            state = connection.state
            if isinstance(exchange, TurnTaker):
                doing = exchange.doing()
            else:
                doing = self.worker.doing() if _is_served(exchange) else ""
            # 1. The calling thread has read that this one is busy with a connection. 2. This one
            # receives nothing, erases its note, and parks the connection. 3. The request comes, and
            # another worker serves it. 4. The calling thread finds the connection active, and asks
            # a worker that does not serve it. 5. It finds that note no more, and begins again.
            if self.busy == busy:
                return Activity(name, ident, native_id, connection.peer, since, state, doing)
        return Activity(name, ident, native_id, None, 0.0, None, "")


def _is_served(exchange: Exchange) -> bool:
    """Return whether the application runs for ``exchange``, which a thread is busy with.

    It still runs when the server has answered for it, as the lease tells. Before it runs, the
    thread receives what the client sends.
    """
    return OWNERS[exchange.connection.state] is Owner.WORKER or exchange.lease is not None


class Seats:
    """Makes the seats of a server's threads. Any thread may call any method.

    A thread of the pool or an urgent lane calls `begin` when it starts to run, and `end` as the
    last thing that it does. A seat whose thread could not be started is simply dropped.
    """

    def __init__(self, factory: Callable[[], Worker], tally: Tally) -> None:
        """Make the workers with ``factory``, and have ``tally`` add up what the threads count."""
        self._factory = factory
        self._tally = tally

    def make(self) -> Seat:
        """Make a seat, with a worker and counters of its own. Raises what the factory raises."""
        worker = self._factory()
        return Seat(worker, Counters(worker.responses))

    def begin(self, seat: Seat) -> None:
        """Have what the calling thread counts included in the tally from now on."""
        self._tally.add(seat.counters)

    def end(self, seat: Seat) -> None:
        """Keep what the calling thread has counted, and tell its worker that the thread ends."""
        self._tally.close(seat.counters)
        retire(seat.worker)
