"""The server: listeners, Monitor, pool and Worker, composed."""

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
from rocket_core._connection.connection import Connection
from rocket_core._connection.disk import TOTAL_SPOOLED, Disk
from rocket_core._connection.server_state import ServerState
from rocket_core._connection.timeouts import Timeouts
from rocket_core._engine.engine import Engine
from rocket_core._engine.monitor import Monitor
from rocket_core._engine.registry import Registry
from rocket_core._engine.request_limit import RequestLimit
from rocket_core._engine.statistics import Activity, ConnectionInfo, Counters, Statistics, Tally
from rocket_core._engine.worker import Worker
from rocket_core._errors import LifecycleError
from rocket_core._pool.absences import MAX_STALLED, MAX_UPGRADED
from rocket_core._pool.thread_pool import MAX_QUEUE, QUEUE_TIMEOUT, ThreadPool
from rocket_core._server.eviction import Eviction
from rocket_core._server.listener import Listener
from rocket_core._server.monitor_thread import MonitorThread, Watcher
from rocket_core._server.silence import Silence
from rocket_core._server.watchdog import Watchdog
from rocket_core._state import CloseReason
from rocket_core._system.descriptor_limit import default_max_connections
from rocket_core._system.forks import hold, release
from rocket_core._system.signal_safe_event import SignalSafeEvent

_log = logging.getLogger("rocket_core.server")

_STOP_PATIENCE: Final = 2.0


class Lifecycle(Enum):
    """The life of a server."""

    NEW = "new"
    RUNNING = "running"
    DRAINING = "draining"
    STOPPED = "stopped"


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
        max_queue: int = MAX_QUEUE,
        queue_timeout: float = QUEUE_TIMEOUT,
        max_output: int = TOTAL_OUTPUT,
        max_spool: int = TOTAL_SPOOLED,
        spool_free: int | None = None,
        watchdog: float | None = None,
        request_timeout: float | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        """Compose a server; nothing is bound or started yet.

        Args:
            worker: makes a `Worker`, one for each thread.
            listeners: where to listen.
            min_threads: threads that are always there.
            max_threads: threads there may be, besides those that wait for a client.
            max_stalled: threads that wait for a client and are replaced meanwhile, at most. One
                address may have no more of them than are left for all others; beyond that, its
                slowest connection is cut.
            max_upgraded: connections that the application has taken over, at most. Each has a
                thread, which is replaced meanwhile.
            max_connections: connections beyond which none is accepted until one ends; while
                somebody waits, those of clients that rest are ended, the longest rest first. By
                default what the limit of open files allows.
            max_queue: requests that wait while all threads are busy, before others are refused.
            queue_timeout: seconds a request waits while all threads are busy, before it is refused.
            max_output: bytes held for clients that do not take them, over all connections, without
                the first 16 KiB of each.
            max_spool: bytes of large request bodies kept in files, over all connections; beyond
                it the slowest of the large uploads are ended.
            spool_free: bytes of the file system of these files that stay free, likewise. None: a
                tenth of the file system, at most 1 GiB.
            watchdog: seconds after which the stack of a thread that is still busy with one turn is
                logged, once a turn; None: never.
            request_timeout: seconds that one request may take, not counting those in which its
                client was waited for. Then the server answers instead (`Worker.overdue`) or, where
                it cannot, cuts the connection; the stack of the thread is logged, and another takes
                its place, up to ``max_stalled``, until it is done. None: no limit.
            timeouts: how long to wait for clients.

        Raises:
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
        self.listeners: Final = list(listeners)
        if not self.listeners:
            raise ValueError("a server needs at least one listener")
        self._factory = worker
        self._min_threads = min_threads
        self._max_threads = max_threads
        self._max_stalled = max_stalled
        self._max_upgraded = max_upgraded
        self._max_connections = max_connections
        self._max_queue = max_queue
        self._queue_timeout = queue_timeout
        self._max_output = max_output
        self._max_spool = max_spool
        self._spool_free = spool_free
        self._watchdog = watchdog
        self._request_timeout = request_timeout
        self._timeouts = timeouts if timeouts is not None else Timeouts()
        # _lock guards _lifecycle.
        self._lock = threading.Lock()
        self._lifecycle = Lifecycle.NEW
        self._ended = SignalSafeEvent()
        self._begun = threading.Event()
        """Whether all threads were started, or the server was stopped before."""
        self._fault: BaseException | None = None
        self._closed = threading.Event()
        """Whether nobody is accepted any more."""

    @property
    def lifecycle(self) -> Lifecycle:
        """Where in its life the server is."""
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

        Without ``accept`` nobody is accepted before `accept` is called, and only connections given
        to `handle` are served.

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
            # A signal handler may stop the server from here on, and wait for that: so there is
            # somebody to carry it out, and all other threads are started by an order, which comes
            # as a whole before or after one to stop.
            self._guardian.start()
            begun = threading.Event()
            ended = SignalSafeEvent()
            self._begun = begun
            self._ended = ended
            self._lifecycle = Lifecycle.RUNNING
            hold(self._let_go)
        self._guardian.post(lambda: self._begin(accept=accept))
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
        except BaseException as error:  # noqa: BLE001 - whoever started the server gets it
            self._fault = error
        finally:
            self._begun.set()

    def accept(self) -> None:
        """Accept clients, in a server that was started without. Returns at once."""
        self._guardian.post(self._accept)

    def _accept(self) -> None:
        """On the Monitor's thread."""
        if self._lifecycle is Lifecycle.RUNNING:
            self._start_listeners()

    def _start_listeners(self) -> None:
        for listener in self.listeners:
            listener.start(
                self._accept_into(self._tally.open()),
                self._registry.full,
                self._timeouts,
                self._call_for_room,
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
        limit = self._max_connections
        if limit is None:
            limit = default_max_connections()
        self._tally = Tally()
        self._counters = self._tally.open()
        self._registry = Registry(limit)
        self._registry.on_room = self._wake_listeners
        self._monitor = Monitor()
        self._host = ServerState(
            output=Budget(self._max_output), disk=Disk(self._max_spool, self._spool_free)
        )
        seconds = self._request_timeout
        request_limit = None if seconds is None else RequestLimit(seconds, self._host)
        self._phases = Engine(
            self._monitor, self._registry, self._timeouts, self._host, request_limit
        )
        self._room_ordered = False
        self._room = Eviction(self._monitor, self._phases, self._timeouts, limit)
        self._pool = ThreadPool(
            self._monitor,
            self._phases,
            self._factory,
            self._tally,
            min_threads=self._min_threads,
            max_threads=self._max_threads,
            max_stalled=self._max_stalled,
            max_upgraded=self._max_upgraded,
            max_queue=self._max_queue,
            queue_timeout=self._queue_timeout,
            alert=lambda: self._guardian.post(None),
        )
        self._host.pool = self._pool
        self._worker = worker
        watchers: list[Watcher] = [Silence(self._pool, self._timeouts.silence)]
        if self._watchdog is not None:
            watchers.append(Watchdog(self._pool, self._watchdog, self._host.faults))
        if request_limit is not None:
            request_limit.answer = self._overtake
            request_limit.begun = self._pool.rouse
            watchers.append(request_limit)
        self._guardian = MonitorThread(
            self._monitor, self._pool, self._phases, worker, self._counters, watchers=watchers
        )

    def _overtake(self, connection: Connection) -> None:
        self._phases.overtake(connection, self._worker, self._counters)

    def _call_for_room(self) -> None:
        """On a listener's thread: somebody waits to be accepted. One order is enough for all."""
        if not self._room_ordered:
            self._room_ordered = True
            self._guardian.post(self._make_room)

    def _make_room(self) -> None:
        """On the Monitor's thread."""
        self._room_ordered = False  # first, or a call during the look would be lost
        if self._registry.full():
            self._room.make(self._worker, self._counters)

    def _accept_into(self, counters: Counters) -> Callable[[Connection], None]:
        begin, welcome = self._phases.begin, self._pool.welcome
        host, hasten = self._host, self._phases.hasten

        def accepted(connection: Connection) -> None:
            begin(connection, counters)
            welcome(connection)
            # Looked at afterwards, or a drain that begins in between would miss this connection.
            if host.draining:
                hasten(connection)

        return accepted

    def _wake_listeners(self) -> None:
        for listener in self.listeners:
            listener.wake()

    # -- end -----------------------------------------------------------------------------------

    def drain(self, timeout: float | None = None, *, shared: Iterable[Listener] = ()) -> None:
        """End gently. Returns at once; `wait` waits. Safe in a signal handler, and twice.

        Accepts what is already in the backlogs, as there is room for it, and no more; serves every
        request that has begun, closes idle connections, then stops. What is left after ``timeout``
        seconds (None: for ever) is logged, one line each, and cut.

        What waits in the backlogs of ``shared`` is left to other processes, which go on accepting
        from these sockets.
        """
        if self._lifecycle in (Lifecycle.RUNNING, Lifecycle.DRAINING):
            left = frozenset(shared)
            self._guardian.post(lambda: self._drain(timeout, left))

    def stop(self) -> None:
        """End now: what is in flight is cut. As `drain`, returns at once and is safe anywhere."""
        if self._lifecycle in (Lifecycle.RUNNING, Lifecycle.DRAINING):
            self._guardian.post(self._stop)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the server has stopped, up to ``timeout`` seconds; whether it has.

        A server that was never started has stopped. On the main thread, signal handlers run
        meanwhile.
        """
        if self._lifecycle is Lifecycle.NEW:
            return True
        guardian = self._guardian
        if not self._ended.wait(timeout):
            return False
        guardian.join()
        return True

    def wait_closed(self, timeout: float | None = None) -> bool:
        """Wait until nobody is accepted any more, up to ``timeout`` seconds; whether that is so."""
        return self._closed.wait(timeout)

    def _drain(self, timeout: float | None, shared: frozenset[Listener]) -> None:
        """On the Monitor's thread."""
        if timeout is not None:
            self._guardian.wake_at = min(self._guardian.wake_at, time.monotonic() + timeout)
            self._guardian.on_time = self._stop_reporting
        if self._lifecycle is not Lifecycle.RUNNING:
            return
        self._lifecycle = Lifecycle.DRAINING
        self._host.draining = True
        for listener in self.listeners:
            if listener in shared:
                listener.stop()
            else:
                listener.drain()
        self._note_closed()
        self._registry.on_empty = lambda: self._guardian.post(self._stop_if_empty)
        for connection in self._registry.snapshot():
            upgraded = connection.upgraded
            if upgraded is not None:
                upgraded.end_input()
        for connection in self._monitor.claim_all():
            # An idle connection may hold a request that nobody has looked at yet.
            if self._phases.advance(connection, self._worker, self._counters):
                self._pool.submit(connection)
        self._stop_if_empty()

    def _note_closed(self) -> None:
        if not any(each.listening for each in self.listeners):
            self._closed.set()

    def _listener_ended(self) -> None:
        self._note_closed()
        if self._host.draining:
            self._guardian.post(self._stop_if_empty)

    def _stop_if_empty(self) -> None:
        if not len(self._registry) and self._closed.is_set():
            self._stop()

    def _stop_reporting(self) -> None:
        for connection in self._registry.snapshot():
            _log.warning(
                "cut at the end of the drain: %s %s, %d requests served",
                connection.peer,
                connection.state.value,
                connection.requests,
            )
        self._stop()

    def _stop(self) -> None:
        """On the Monitor's thread."""
        if self._lifecycle is Lifecycle.STOPPED:
            return
        self._host.draining = True
        self._host.stopped = True
        self._registry.on_empty = lambda: None
        try:
            self._end_threads()
        finally:  # whatever failed, the end must come
            release(self._let_go)
            self._monitor.close()
            self._guardian.finish()
            with self._lock:  # nobody starts it again in between
                self._lifecycle = Lifecycle.STOPPED
                self._begun.set()
                self._ended.set()

    def _end_threads(self) -> None:
        for listener in self.listeners:
            listener.stop()
        for listener in self.listeners:
            listener.join()
        self._closed.set()
        self._pool.stop()
        self._close_unowned()
        for connection in self._registry.snapshot():
            connection.abort()
        stuck = self._pool.join(_STOP_PATIENCE)
        for name in stuck:
            _log.warning("thread %s is still in the application", name)
        self._close_unowned()  # what was parked or queued while the pool was stopping
        try:
            self._worker.stopped()
        except BaseException:  # noqa: BLE001 - of the protocol's making
            _log.exception("the worker's stopped() failed")

    def _let_go(self) -> None:
        """In a process that the application forked: close the copies that it has inherited."""
        for listener in self.listeners:
            listener.let_go()
        for connection in self._registry.snapshot():
            connection.let_go()
        self._pool.let_go()
        self._monitor.let_go()
        self._ended.let_go()

    def _close_unowned(self) -> None:
        for connection in (*self._monitor.claim_all(), *self._pool.abandoned()):
            connection.close_reason = CloseReason.STOPPED
            self._phases.close(connection, self._worker, self._counters)

    # -- while it runs -------------------------------------------------------------------------

    def resize(self, min_threads: int, max_threads: int) -> None:
        """Have ``min_threads`` to ``max_threads`` threads from now on; see `Server`.

        Threads that are missing are there at once; of those too many, none is interrupted. Any
        thread may call this. Raises `ValueError` as the constructor does.
        """
        _check_threads(min_threads, max_threads)
        with self._lock:
            self._min_threads, self._max_threads = min_threads, max_threads
            if self._lifecycle is not Lifecycle.NEW:
                self._pool.resize(min_threads, max_threads)

    @property
    def threads(self) -> tuple[int, int]:
        """The least and the greatest number of threads there may be."""
        return self._min_threads, self._max_threads

    # -- to be seen ----------------------------------------------------------------------------

    @property
    def connections(self) -> int:
        """How many connections are open, in a server that was started."""
        return len(self._registry)

    def statistics(self) -> Statistics:
        """A snapshot. Raises `LifecycleError` before the first start."""
        if self._lifecycle is Lifecycle.NEW:
            raise LifecycleError("a server that was never started has no statistics")
        total = self._tally.total()
        states = Counter(each.state.value for each in self._registry.snapshot())
        return Statistics(
            connections=dict(states),
            accepted=total.accepted,
            requests=total.requests,
            closes={reason.value: count for reason, count in total.closes.items()},
            accept_errors=sum(listener.accept_errors for listener in self.listeners),
            refused=sum(listener.refused for listener in self.listeners),
            threads=self._pool.threads,
            stalled=self._pool.stalls,
            ready=self._pool.waiting,
            held=self._host.output.held,
            queue_time=total.queue_time,
            service_time=total.service_time,
        )

    def activities(self) -> list[Activity]:
        """What each thread of the pool does now, the longest first. Raises as `statistics`."""
        if self._lifecycle is Lifecycle.NEW:
            raise LifecycleError("a server that was never started has no threads")
        return self._pool.activities()

    def list_connections(self) -> list[ConnectionInfo]:
        """Every open connection, in no order. Raises as `statistics`."""
        if self._lifecycle is Lifecycle.NEW:
            raise LifecycleError("a server that was never started has no connections")
        return [
            ConnectionInfo(
                peer=each.peer,
                local=each.local,
                state=each.state,
                created=each.created,
                requests=each.requests,
                held=each.held,
                secure=each.secure,
            )
            for each in self._registry.snapshot()
        ]


def _check_threads(least: int, most: int) -> None:
    if not 1 <= least <= most:
        raise ValueError("threads must satisfy 1 <= min_threads <= max_threads")
