"""The server: makes the parts, starts them, drains and stops them."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final, Self

from rocket_core._connection.budget import TOTAL_OUTPUT, Budget
from rocket_core._connection.client_connections import ClientConnections
from rocket_core._connection.connection import Connection
from rocket_core._connection.disk_budget import TOTAL_SPOOLED, DiskBudget
from rocket_core._connection.server_state import ServerState
from rocket_core._connection.shared_tally import counts_of
from rocket_core._connection.shared_turns import SharedTurns
from rocket_core._connection.timeouts import Timeouts
from rocket_core._connection.turn_taker import TurnState, TurnTaker
from rocket_core._engine.counters import Counters, Tally
from rocket_core._engine.engine import Engine
from rocket_core._engine.monitor import Monitor
from rocket_core._engine.registry import Registry
from rocket_core._engine.request_limit import RequestLimit
from rocket_core._engine.seat import Seat, Seats
from rocket_core._engine.statistics import Activity, ConnectionInfo, SharedCounts, Statistics
from rocket_core._engine.worker import Worker
from rocket_core._errors import LifecycleError
from rocket_core._network.networks import Networks
from rocket_core._pool.absences import MAX_STALLED, MAX_UPGRADED
from rocket_core._pool.client_lines import ClientLines
from rocket_core._pool.pool_thread import PoolThread
from rocket_core._pool.stand_in import StandIn
from rocket_core._pool.thread_pool import MAX_QUEUE, QUEUE_TIMEOUT, ThreadPool
from rocket_core._pool.urgent_lanes import UrgentLanes
from rocket_core._server.cut_watch import CutWatch
from rocket_core._server.eviction import Eviction
from rocket_core._server.line_watch import LineWatch
from rocket_core._server.listener import Listener, Pollers
from rocket_core._server.mailbox import Mailbox
from rocket_core._server.monitor_thread import MonitorThread, Watcher
from rocket_core._server.overdue_watch import OverdueWatch
from rocket_core._server.saturation_watch import SaturationWatch
from rocket_core._server.silent_upgrades import SilentUpgrades
from rocket_core._server.watchdog import WATCHDOG, Watchdog
from rocket_core._state import OWNERS, CloseReason, Owner, State
from rocket_core._system.descriptor_limit import default_max_connections
from rocket_core._system.forks import hold, release
from rocket_core._system.signal_safe_event import SignalSafeEvent

_log = logging.getLogger("rocket_core.server")

_STOP_PATIENCE: Final = 2.0
"""Seconds that a stop waits for threads that are still in the application."""

_END: Final = 0.5
"""Seconds that it waits for idle threads to end, if that time is over already."""

_PUSH: Final = 0.001
"""Seconds between looks for connections on which threads of the application push at a stop."""

_SPACING: Final = 0.01
"""Seconds between shared connections that are told of a drain, on average."""

_SPREAD: Final = 0.5
"""The part of a drain's time in which all of them are told, at most."""

_LONGEST_SPREAD: Final = 15.0
"""Seconds in which all of them are told where a drain has no limit."""

_HELD: Final = 0.1
"""Seconds with one client after which the Monitor's thread is among the `Server.activities`."""


class Lifecycle(Enum):
    """The life of a server."""

    NEW = "new"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"


_UNFINISHED: Final = {
    State.HANDSHAKE: "had not finished the handshake",
    State.IDLE: "had sent no request",
    State.HEAD: "had not finished sending a request",
    State.BODY: "had not finished sending a request",
    State.READY: "had a request that waited for a thread",
    State.ACTIVE: "had a request in the application",
    State.UPGRADED: "had been taken over by the application",
    State.SHARED: "were shared by threads of the application",
    State.SENDING: "had not received a whole response",
    State.LINGER: "had not closed after the last response",
    State.CLOSED: "had just been closed",
}
"""What to log of a connection that is left at the end of a drain."""

_STARTABLE: Final = frozenset({Lifecycle.NEW, Lifecycle.STOPPED})


class Server:
    """Serves the clients of several listeners with one pool of workers.

    As a context manager it starts on entry, and stops and waits on exit. A stopped server may be
    started again.
    """

    def __init__(
        self,
        worker: Callable[[], Worker],
        listeners: Iterable[Listener],
        *,
        min_threads: int = 8,
        max_threads: int = 8,
        max_stalled: int = MAX_STALLED,
        max_upgraded: int = MAX_UPGRADED,
        max_connections: int | None = None,
        evict_shared: bool = False,
        max_queue: int = MAX_QUEUE,
        queue_timeout: float = QUEUE_TIMEOUT,
        max_output: int = TOTAL_OUTPUT,
        max_spool: int = TOTAL_SPOOLED,
        spool_free: int | None = None,
        watchdog: float | None = WATCHDOG,
        request_timeout: float | None = None,
        max_running_per_client: int | None = None,
        max_connections_per_client: int | None = None,
        connection_rate_per_client: float | None = None,
        free_peers: Iterable[str] = (),
        timeouts: Timeouts | None = None,
    ) -> None:
        """Compose a server; nothing is bound or started yet.

        Args:
            worker: makes a `Worker`, one for each thread.
            listeners: where to listen.
            min_threads: threads that are always there.
            max_threads: threads there may be, besides threads that wait for a client.
            max_stalled: threads that wait for a client and are replaced meanwhile, at most. One
                address may have no more of them than are left for all others; beyond that, its
                slowest connection is cut.
            max_upgraded: connections that the application has taken over, at most. Each has a
                thread, which is replaced meanwhile.
            max_connections: maximum number of open connections. At the limit, idle ones are closed
                for clients that wait, the longest idle first. Default: half of the file descriptors
                that the process may open.
            evict_shared: close shared connections, too, to make room for clients that wait; those
                for which a worker does something are spared.
            max_queue: requests that wait while all threads are busy, before others are refused.
            queue_timeout: seconds a request waits while all threads are busy, before it is refused.
            max_output: bytes held for clients that do not take them, over all connections, without
                the first 16 KiB of each.
            max_spool: bytes of large request bodies kept in files, over all connections; beyond
                it the slowest of the large uploads are ended.
            spool_free: bytes of the file system of these files that stay free, likewise. None: a
                tenth of the file system, at most 1 GiB.
            watchdog: seconds after which the stack of a thread that is still busy with the same
                request is logged, once; None: never.
            request_timeout: seconds that one request may take, not counting the time in which its
                client was waited for. Then the server answers instead (`Worker.overdue`) or, where
                it cannot, cuts the connection; the stack of the thread is logged, and another takes
                its place, up to ``max_stalled``, until it is done. None: no limit.
            max_running_per_client: requests of one client that are served at once. Its others wait
                in a line of their own, and up to ``max_queue`` of all clients; they count in
                ``queue_timeout``. A client is an IPv4 address, or the /64 network of an IPv6
                address; behind a trusted proxy it is what that tells. None: no limit.
            max_connections_per_client: connections that one client may have open. Further ones are
                closed at once. None: no limit.
            connection_rate_per_client: connections that it may open in a second, on average over
                ten seconds. None: no limit.
            free_peers: networks to which the two do not apply, in the form of `Networks`: those of
                proxies, and of load balancers. Unix sockets are free.
            timeouts: how long to wait for clients.

        Raises:
            AddressError, TypeError: ``free_peers`` are not networks.
            ValueError: a number is out of range.
        """
        _check_threads(min_threads, max_threads)
        if max_connections is not None and max_connections < 1:
            raise ValueError("max_connections must be at least 1")
        if max_stalled < 0 or max_upgraded < 0:
            raise ValueError("max_stalled and max_upgraded must not be negative")
        if max_output < 0 or max_queue < 0:
            raise ValueError("max_output and max_queue must not be negative")
        if max_spool < 0 or (spool_free is not None and spool_free < 0):
            raise ValueError("max_spool and spool_free must not be negative")
        if not queue_timeout > 0:
            raise ValueError("queue_timeout must be greater than 0")
        if watchdog is not None and not watchdog > 0:
            raise ValueError("watchdog must be greater than 0")
        if request_timeout is not None and not request_timeout > 0:
            raise ValueError("request_timeout must be greater than 0")
        _check_client_limits(
            max_running_per_client, max_connections_per_client, connection_rate_per_client
        )
        self.listeners: Final = list(listeners)
        if not self.listeners:
            raise ValueError("a server needs at least one listener")
        self._factory = worker
        self._min_threads = min_threads
        self._max_threads = max_threads
        self._max_stalled = max_stalled
        self._max_upgraded = max_upgraded
        self._max_connections = max_connections
        self._evict_shared = evict_shared
        self._max_queue = max_queue
        self._queue_timeout = queue_timeout
        self._max_output = max_output
        self._max_spool = max_spool
        self._spool_free = spool_free
        self._watchdog = watchdog
        self._request_timeout = request_timeout
        self._max_running_per_client = max_running_per_client
        self._max_connections_per_client = max_connections_per_client
        self._connection_rate_per_client = connection_rate_per_client
        self._free_peers = Networks(free_peers)
        self._timeouts = timeouts if timeouts is not None else Timeouts()
        # _lock guards _lifecycle.
        self._lock = threading.Lock()
        self._lifecycle = Lifecycle.NEW
        self._ended = SignalSafeEvent()
        self._begun = threading.Event()
        """Whether all threads were started, or the server was stopped before."""
        self._fault: BaseException | None = None
        self._closed = threading.Event()
        """Set when no client is accepted any more."""

    @property
    def lifecycle(self) -> Lifecycle:
        """Where in its life the server is now."""
        return self._lifecycle

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
        self.wait()

    # -- start ---------------------------------------------------------------------------------

    def start(self, *, accept: bool = True) -> None:
        """Bind every listener, then start all threads; returns when clients are served.

        Without ``accept`` no client is accepted before `accept` is called, and only connections
        given to `handle` are served.

        Raises `LifecycleError` when the server runs already, `BindError` when an address cannot be
        listened on; then nothing is left bound.
        """
        with self._lock:
            if self._lifecycle not in _STARTABLE:
                raise LifecycleError(f"cannot start a server that is {self._lifecycle.value}")
            worker = self._factory()
            self._bind()
            try:
                worker.started()
            except BaseException:
                self._unbind(self.listeners)
                raise
            self._compose(worker)
            self._closed.clear()
            # 1. The lifecycle becomes RUNNING. 2. A signal handler interrupts this thread, orders
            # a stop, and waits for it. 3. The Monitor's thread carries it out, so it must run by
            # now; and it starts all other threads by an order of its own, which comes as a whole
            # before or after the stop.
            self._monitor_thread.start()
            begun = threading.Event()
            ended = SignalSafeEvent()
            self._begun = begun
            self._ended = ended
            self._lifecycle = Lifecycle.RUNNING
            hold(self._let_go)
        self._mailbox.post(lambda: self._begin(accept=accept))
        begun.wait()
        fault, self._fault = self._fault, None
        if fault is not None:
            self.stop()
            self.wait()
            raise fault

    def _begin(self, *, accept: bool) -> None:
        """On the Monitor's thread: start all others."""
        try:
            self._pool.start()
            if accept:
                self._start_listeners()
        except BaseException as error:  # noqa: BLE001 - raised again where the server was started
            self._fault = error
        finally:
            self._begun.set()

    def accept(self) -> None:
        """Accept clients, in a server that was started without. Returns at once."""
        self._mailbox.post(self._accept)

    def _accept(self) -> None:
        """On the Monitor's thread."""
        if self._lifecycle is Lifecycle.RUNNING:
            self._start_listeners()

    def pause(self) -> None:
        """Accept no clients until `resume`, in a server that accepts. Returns at once.

        The present clients are served as before. New ones wait, unless another process accepts from
        the same sockets; if a client has woken this process alone, it is still accepted here.
        """
        self._mailbox.post(self._pause)

    def _pause(self) -> None:
        """On the Monitor's thread."""
        if self._lifecycle is Lifecycle.RUNNING:
            for listener in self.listeners:
                listener.pause()

    def resume(self) -> None:
        """End a pause. Returns at once."""
        self._mailbox.post(self._resume)

    def _resume(self) -> None:
        """On the Monitor's thread."""
        if self._lifecycle is Lifecycle.RUNNING:
            for listener in self.listeners:
                listener.resume()

    def _start_listeners(self) -> None:
        for listener in self.listeners:
            counters = self._tally.open()
            listener.pollers = self._pollers(counters)
            listener.clients = self._server_state.clients
            listener.start(
                self._accept_into(counters),
                self._registry.full,
                self._timeouts,
                self._order_eviction,
                self._listener_ended,
            )

    def handle(self, sock: socket.socket) -> None:
        """Serve the connected socket ``sock``, which it takes, as one that was accepted.

        Without TLS and without a proxy's header, whatever the listeners expect. Any thread may call
        this while the server runs. Raises `OSError` when the socket is broken.
        """
        counters = self._tally.open()
        try:
            self._accept_into(counters)(Connection(sock, timeouts=self._timeouts))
        finally:
            self._tally.close(counters)

    def _bind(self) -> None:
        bound: list[Listener] = []
        try:
            for listener in self.listeners:
                listener.bind()
                bound.append(listener)
        except BaseException:
            self._unbind(bound)
            raise

    def _unbind(self, bound: Iterable[Listener]) -> None:
        for listener in bound:
            listener.close()

    def _compose(self, worker: Worker) -> None:
        """Make all parts, each of which is given what it needs by its constructor.

        There is one circle: the pool makes its threads, and a thread needs the pool. So the pool is
        given a function that makes one, and calls it once everything is there. What other threads
        may call later than `stop` refers to the parts made here, never to those of the next start.
        """
        files = default_max_connections()  # half of the descriptors: the others are connections
        most = self._max_connections
        if most is None:
            most = files
        tally = Tally()
        seats = Seats(self._factory, tally)
        seat = Seat(worker, tally.open(worker.responses))
        monitor = Monitor()
        mailbox = Mailbox(monitor)

        def hire(name: str) -> PoolThread:
            return PoolThread(pool, engine, seats, name)

        running = self._max_running_per_client
        lines = None if running is None else ClientLines(running, self._max_queue)
        pool = ThreadPool(
            monitor,
            hire,
            min_threads=self._min_threads,
            max_threads=self._max_threads,
            max_stalled=self._max_stalled,
            max_upgraded=self._max_upgraded,
            lines=lines,
            alert=mailbox.alert,
        )

        def emptied() -> None:
            if state.draining and not state.stopped:
                mailbox.post(self._stop_if_empty)

        registry = Registry(most, on_room=self._wake_listeners, on_empty=emptied)
        state = ServerState(
            pool=pool,
            ends=monitor,
            request_timeout=self._request_timeout,
            clients=self._make_client_connections(),
            leaving=registry,
            output=Budget(self._max_output),
            pushed=Budget(self._max_output),
            disk=DiskBudget(self._max_spool, self._spool_free, files=files),
        )
        watchers: list[Watcher] = [
            SilentUpgrades(pool, self._timeouts.silence),
            state.corks,
            state.room,
            state.alarms,
        ]
        if self._watchdog is not None:
            watchers.append(Watchdog(self._list_activities, self._watchdog, state.faults))
        seconds = self._request_timeout
        if seconds is None:
            engine = Engine(monitor, registry, self._timeouts, state, queue=pool)
        else:
            limit: RequestLimit[Connection | TurnTaker] = RequestLimit(pool.rouse, pool.returned)
            engine = Engine(monitor, registry, self._timeouts, state, limit, queue=pool)
            watchers.append(
                OverdueWatch(
                    limit, seconds, pool=pool, engine=engine, seat=seat, faults=state.faults
                )
            )
        if lines is not None:
            watchers.append(LineWatch(lines, engine, seat, queue_timeout=self._queue_timeout))
        urgent_lanes = UrgentLanes(engine, seats, pool.submit)
        stand_in = StandIn(
            monitor,
            pool,
            engine,
            urgent_lanes,
            seat,
            max_queue=self._max_queue,
            queue_timeout=self._queue_timeout,
        )
        watchers.append(SaturationWatch(pool, stand_in, self._list_activities))
        watchers.append(CutWatch(tally.closes))
        self._tally = tally
        self._seat = seat
        self._monitor = monitor
        self._mailbox = mailbox
        self._pool = pool
        self._server_state = state
        self._registry = registry
        self._engine = engine
        self._urgent_lanes = urgent_lanes
        self._eviction = Eviction(
            monitor, engine, seat, self._timeouts, most, shared=self._evict_shared
        )
        self._eviction_ordered = False
        self._monitor_thread = MonitorThread(
            mailbox, pool, urgent_lanes, stand_in, seat, watchers=watchers
        )

    def _make_client_connections(self) -> ClientConnections | None:
        limit, rate = self._max_connections_per_client, self._connection_rate_per_client
        if limit is None and rate is None:
            return None
        return ClientConnections(limit, rate, self._free_peers)

    def _order_eviction(self) -> None:
        """Have connections evicted, on a listener's thread: a client waits to be accepted.

        One order is enough for all listeners.
        """
        if not self._eviction_ordered:
            self._eviction_ordered = True
            self._mailbox.post(self._evict)

    def _evict(self) -> None:
        """Evict connections, on the Monitor's thread."""
        # 1. A listener orders an eviction. 2. It is carried out here, and finds room or makes some.
        # 3. Meanwhile the room is taken, and a listener orders another. That order must count, so
        # the present one is over before the look begins.
        self._eviction_ordered = False
        if self._registry.full():
            self._eviction.evict()

    def _accept_into(self, counters: Counters) -> Callable[[Connection], None]:
        begin, hasten = self._engine.begin, self._engine.hasten
        welcome, state = self._pool.welcome, self._server_state

        def accepted(connection: Connection) -> None:
            begin(connection, counters)
            welcome(connection)
            # 1. A drain begins, and `draining` is set. 2. The Monitor's thread gives all that is
            # parked or open its last time. 3. This connection is parked, too late for that. 4. It
            # is given its time here, by a look at `draining` that comes after parking.
            if state.draining:
                hasten(connection)

        return accepted

    def _pollers(self, counters: Counters) -> Pollers:
        pool, begin = self._pool, self._engine.begin

        # If a drain has begun, what a thread that polls has accepted gets its time as any other
        # connection that is about to be parked: see `Engine._park`.
        def accepted(connection: Connection) -> None:
            begin(connection, counters)

        return Pollers(self._monitor, accepted, lambda: pool.polling)

    def _wake_listeners(self) -> None:
        for listener in self.listeners:
            listener.wake()

    # -- end -----------------------------------------------------------------------------------

    def drain(self, timeout: float | None = None, *, shared: Iterable[Listener] = ()) -> None:
        """Stop gracefully. Returns at once; `wait` waits. Safe in a signal handler, and twice.

        Accepts what is already in the backlogs, as there is room for it, and no more; serves every
        request that has begun, closes idle connections, then stops. What is left after ``timeout``
        seconds (None: for ever) is logged, one line each, and cut.

        What waits in the backlogs of ``shared`` is left to other processes, which go on accepting
        from these sockets.
        """
        if self._lifecycle in (Lifecycle.RUNNING, Lifecycle.DRAINING):
            left = frozenset(shared)
            self._mailbox.post(lambda: self._drain(timeout, left))

    def stop(self) -> None:
        """End now: what is in flight is cut. As `drain`, returns at once and is safe anywhere."""
        if self._lifecycle in (Lifecycle.RUNNING, Lifecycle.DRAINING):
            self._mailbox.post(self._stop)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` seconds until the server has stopped; return whether it has.

        A server that was never started has stopped. On the main thread, signal handlers run
        meanwhile.
        """
        if self._lifecycle is Lifecycle.NEW:
            return True
        monitor_thread = self._monitor_thread
        if not self._ended.wait(timeout):
            return False
        monitor_thread.join()
        return True

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait up to ``timeout`` seconds until no client is accepted; return whether that is so."""
        return self._closed.wait(timeout)

    def _drain(self, timeout: float | None, shared: frozenset[Listener]) -> None:
        """On the Monitor's thread."""
        if timeout is not None:
            self._monitor_thread.set_timer(timeout, self._stop_reporting)
        if self._lifecycle is not Lifecycle.RUNNING:
            return
        self._lifecycle = Lifecycle.DRAINING
        self._server_state.drain_spread = self._drain_spread(timeout)
        self._server_state.draining = True
        for listener in self.listeners:
            if listener in shared:
                listener.leave()
            else:
                listener.drain()
        self._note_closed()
        for connection in self._registry.snapshot():
            upgraded = connection.upgraded
            if upgraded is not None:
                upgraded.end_input()
        for connection in self._monitor.claim_all():
            # An idle connection may hold a request that has not been noticed yet.
            if self._engine.advance(connection, self._seat):
                self._pool.submit(connection)
        self._stop_if_empty()

    def _drain_spread(self, timeout: float | None) -> float:
        """Return over how many seconds the shared connections are told of the drain.

        Their clients are likely to come back at once, so that they should not all do it together.
        """
        count = sum(each.shared is not None for each in self._registry.snapshot())
        part = _LONGEST_SPREAD if timeout is None else timeout * _SPREAD
        return min(count * _SPACING, part)

    def _note_closed(self) -> None:
        if not any(each.listening for each in self.listeners):
            self._closed.set()

    def _listener_ended(self) -> None:
        self._note_closed()
        if self._server_state.draining:
            self._mailbox.post(self._stop_if_empty)

    def _stop_if_empty(self) -> None:
        if self._registry.empty and self._closed.is_set():
            self._stop()

    def _stop_reporting(self) -> None:
        left = self._registry.snapshot()
        for each in left:
            _log.debug(
                "the drain ends before %s, state %s, %d requests served",
                each.peer,
                each.state.value,
                each.requests,
            )
        unfinished = Counter(_UNFINISHED[each.state] for each in left)
        if unfinished:
            _log.warning(
                "drain timeout reached: closing the remaining connections: %s",
                ", ".join(f"{count} {what}" for what, count in unfinished.items()),
            )
        self._stop()

    def _stop(self) -> None:
        """On the Monitor's thread."""
        if self._lifecycle is Lifecycle.STOPPED:
            return
        self._server_state.draining = True
        self._server_state.stopped = True
        try:
            self._end_threads()
        finally:  # whatever failed, the end must come
            release(self._let_go)
            self._monitor.close()
            self._monitor_thread.finish()
            with self._lock:  # no thread starts the server again in between
                self._lifecycle = Lifecycle.STOPPED
                self._begun.set()
                self._ended.set()

    def _end_threads(self) -> None:
        for listener in self.listeners:
            listener.stop()
        for listener in self.listeners:
            listener.join()
        self._closed.set()
        until = time.monotonic() + _STOP_PATIENCE
        self._close_unowned()
        for connection in self._registry.snapshot():
            # What its owner finds is no wish of the client.
            connection.close_reason = connection.close_reason or CloseReason.STOPPED
            connection.abort()
        self._monitor.tell_ends()
        # 1. A thread of the application flushes, and owns a shared connection. 2. The connection is
        # not found above. 3. The thread parks it. It never waits meanwhile, so that it is soon.
        # 4. Its last turn is queued, or another one is not over yet. The pool goes on until all of
        # them are, since the application is told of the ends by its threads. The third step may
        # come last, too: what the thread has flushed may be the end of the sharing. It queues the
        # turn, which a worker takes at once, and then parks a connection that is not shared any
        # more, which nothing would find after the end.
        while time.monotonic() < until and self._has_shared():
            time.sleep(_PUSH)
            self._close_unowned()
        self._pool.stop()
        self._urgent_lanes.stop()
        self._close_unowned()
        for connection in self._registry.snapshot():
            connection.abort()
        stuck = self._pool.join(max(until - time.monotonic(), _END))
        stuck += self._urgent_lanes.join(max(until - time.monotonic(), 0))
        for name in stuck:
            _log.warning("thread %s still runs in the application: leaving it behind", name)
        self._close_unowned()  # what was parked or queued while the pool was stopping
        untold = self._registry.leaving
        if untold:
            _log.warning("%d shared connections ended without a last turn", untold)
        try:
            self._seat.worker.stopped()
        except BaseException:  # noqa: BLE001 - of the protocol's making
            _log.exception("the worker's stopped() failed")

    def _has_shared(self) -> bool:
        """Return whether a connection is shared or about to be parked, or its protocol untold."""
        return self._registry.leaving > 0 or any(
            each.shared is not None or OWNERS[each.state] is Owner.MONITOR
            for each in self._registry.snapshot()
        )

    def _let_go(self) -> None:
        """In a process that the application forked: close the copies that it has inherited."""
        for listener in self.listeners:
            listener.let_go()
        for connection in self._registry.snapshot():
            connection.let_go()
        if self._server_state.clients is not None:
            self._server_state.clients.let_go()
        self._pool.let_go()
        self._urgent_lanes.let_go()
        self._monitor.let_go()
        self._ended.let_go()

    def _close_unowned(self) -> None:
        urgent = [each for each in self._urgent_lanes.abandoned() if isinstance(each, Connection)]
        for connection in self._monitor.claim_all() + self._pool.abandoned() + urgent:
            connection.close_reason = CloseReason.STOPPED
            self._engine.close(connection, self._seat)

    # -- while it runs -------------------------------------------------------------------------

    def resize(self, min_threads: int, max_threads: int) -> None:
        """Have ``min_threads`` to ``max_threads`` threads from now on; see `Server`.

        Missing threads are started at once; surplus threads end when they become idle. Any
        thread may call this. Raises `ValueError` as the constructor does.
        """
        _check_threads(min_threads, max_threads)
        with self._lock:
            self._min_threads, self._max_threads = min_threads, max_threads
            if self._lifecycle is not Lifecycle.NEW:
                self._pool.resize(min_threads, max_threads)

    @property
    def threads(self) -> tuple[int, int]:
        """The minimum and maximum numbers of threads."""
        return self._min_threads, self._max_threads

    # -- to be seen ----------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """How many connections are open now, in a server that was started."""
        return len(self._registry)

    def statistics(self) -> Statistics:
        """Return a snapshot of the counts. Raises `LifecycleError` before the first start."""
        if self._lifecycle is Lifecycle.NEW:
            raise LifecycleError("a server that was never started has no statistics")
        total = self._tally.total()
        responses = total.responses
        responses.add_shared(*self._server_state.tally.responses())
        state = self._server_state
        connections = self._registry.snapshot()
        states = Counter(each.state.value for each in connections)
        return Statistics(
            connections=dict(states),
            accepted=total.accepted,
            requests=total.requests,
            closes={reason.value: count for reason, count in total.closes.items()},
            accept_errors=sum(listener.accept_errors for listener in self.listeners),
            refused=sum(listener.refused for listener in self.listeners),
            threads=self._pool.threads,
            stalled=self._pool.away,
            ready=self._pool.waiting,
            refused_clients=0 if state.clients is None else state.clients.refused,
            limited=state.limited,
            lined=0 if self._pool.lines is None else self._pool.lines.lined,
            in_lines=0 if self._pool.lines is None else self._pool.lines.waiting,
            held=self._server_state.output.held + self._server_state.pushed.held,
            queue_time=total.queue_time,
            service_time=responses.all_times(),
            turns=total.turns,
            shared=_count_shared(connections, self._server_state.tally.streams()),
            messages=self._server_state.tally.messages(connections),
            outcomes=self._server_state.tally.outcomes(),
            responses=responses.by_class(),
            own_responses=responses.own_by_status(),
            service_times=responses.times_by_class(),
        )

    def activities(self) -> list[Activity]:
        """Return what each thread does now, the longest activity first. Raises as `statistics`.

        The threads are those of the pool and of urgent requests; and the Monitor's thread, where it
        has been busy with one client for a tenth of a second, which keeps all others waiting.
        """
        if self._lifecycle is Lifecycle.NEW:
            raise LifecycleError("a server that was never started has no threads")
        return self._list_activities()

    def _list_activities(self) -> list[Activity]:
        """Return the activities, from the moment at which the Monitor's thread runs."""
        seats = [*self._pool.seats(), *self._urgent_lanes.seats()]
        busy = self._seat.busy
        if busy is not None and time.monotonic() - busy[1] > _HELD:
            seats.append(self._seat)
        found = [each for seat in seats if (each := seat.activity()) is not None]
        return sorted(found, key=lambda each: (each.peer is None, each.since))

    def list_connections(self) -> list[ConnectionInfo]:
        """Return what is known of every open connection, in no order. Raises as `statistics`."""
        if self._lifecycle is Lifecycle.NEW:
            raise LifecycleError("a server that was never started has no connections")
        return [
            ConnectionInfo(
                peer=each.peer,
                local=each.local,
                state=each.state,
                created=each.created,
                requests=each.requests,
                held=each.held + (0 if shared is None else shared.pending),
                secure=each.secure,
                protocol=each.protocol,
                kind="" if shared is None else shared.protocol.kind,
                active=shared is not None and _is_active(shared),
                messages=None if shared is None else counts_of(shared),
                streams=None if shared is None else shared.protocol.streams(),
                stream_kinds={} if shared is None else shared.protocol.stream_kinds(),
            )
            for each in self._registry.snapshot()
            for shared in [each.shared]  # which may end meanwhile
        ]


def _count_shared(
    connections: Iterable[Connection], streams: Iterable[SharedTurns]
) -> dict[str, SharedCounts]:
    found: list[SharedTurns] = [*streams]
    found += [each for connection in connections if (each := connection.shared) is not None]
    shared = [each for each in found if each.protocol.kind]
    all_of = Counter(each.protocol.kind for each in shared)
    active = Counter(each.protocol.kind for each in shared if _is_active(each))
    served: Counter[str] = Counter()
    for one in shared:
        served[one.protocol.kind] += one.protocol.streams() or 0
    return {
        kind: SharedCounts(all_of[kind] - active[kind], active[kind], served[kind])
        for kind in all_of
    }


def _is_active(shared: SharedTurns) -> bool:
    """Return whether a worker does something for what is shared, or is to."""
    return shared.turn_state is not TurnState.RESTING or shared.protocol.busy()


def _check_client_limits(running: int | None, connections: int | None, rate: float | None) -> None:
    if running is not None and running < 1:
        raise ValueError("max_running_per_client must be at least 1")
    if connections is not None and connections < 1:
        raise ValueError("max_connections_per_client must be at least 1")
    if rate is not None and not rate > 0:
        raise ValueError("connection_rate_per_client must be greater than 0")


def _check_threads(least: int, most: int) -> None:
    if not 1 <= least <= most:
        raise ValueError("threads must satisfy 1 <= min_threads <= max_threads")
