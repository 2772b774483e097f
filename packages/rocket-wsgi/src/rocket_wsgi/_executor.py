"""``wsgiorg.executor`` and ``wsgiorg.futures``: background work that outlives its request.

Theory of operation. `Executor` wraps a `concurrent.futures.ThreadPoolExecutor`, which is created
when the first server starts and shut down when the last server stops. Requests submit work from any
thread of the server. A `Future` is in the executor's set of waiting futures from `Executor.submit`
until a thread of the executor takes it, so that the end of the server can cancel it. Finished
futures stay in `RememberedFutures` for their lifespan. The next use of the table removes the
expired ones, so no timer is needed.
"""

from __future__ import annotations

import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, ParamSpec, TypeVar

_log = logging.getLogger("rocket_wsgi")

LIFESPAN: Final = 30.0
"""Seconds for which a future is remembered after it is done."""

P = ParamSpec("P")
T = TypeVar("T")


class RememberedFutures(Mapping[str, "Future[Any]"]):
    """The remembered futures by their names. ``_lock`` guards ``_futures``."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._futures: dict[str, Future[Any]] = {}

    def __getitem__(self, name: str) -> Future[Any]:
        with self._lock:
            self._drop_old()
            return self._futures[name]

    def __iter__(self) -> Iterator[str]:
        with self._lock:
            self._drop_old()
            return iter(list(self._futures))

    def __len__(self) -> int:
        with self._lock:
            self._drop_old()
            return len(self._futures)

    def add(self, name: str, future: Future[Any]) -> None:
        """Remember ``future`` as ``name``. Raises `NameError` if another future has this name."""
        with self._lock:
            self._drop_old()
            if self._futures.setdefault(name, future) is not future:
                raise NameError(f"another future is already remembered as {name!r}")

    def remove(self, future: Future[Any]) -> None:
        """Forget ``future`` under all of its names."""
        with self._lock:
            self._futures = {k: v for k, v in self._futures.items() if v is not future}

    def _drop_old(self) -> None:
        now = time.monotonic()
        for name, future in list(self._futures.items()):
            if future.forgotten_at <= now:
                del self._futures[name]


class Future(concurrent.futures.Future[T]):
    """The result of a call that `Executor.submit` has scheduled.

    Attributes:
        timeout: seconds after which the call is cancelled if it has not started; None for no limit.
    """

    def __init__(self, remembered: RememberedFutures) -> None:
        super().__init__()
        self.timeout: float | None = None
        self._remembered = remembered
        self._submitted = time.monotonic()
        self._lifespan = LIFESPAN
        self._done_at = float("inf")
        self.add_done_callback(self._note_end)

    @property
    def forgotten_at(self) -> float:
        """The time of expiry, by `time.monotonic`; infinite until the future is done."""
        return self._done_at + self._lifespan

    def remember(self, name: str, lifespan: float = LIFESPAN) -> Future[T]:
        """Keep the future in ``wsgiorg.futures`` until ``lifespan`` seconds after it is done.

        Returns the future itself. Raises `NameError` if another future has this name.
        """
        self._lifespan = lifespan
        self._remembered.add(name, self)
        return self

    def forget(self) -> None:
        """Remove the future from ``wsgiorg.futures``. The call is not cancelled."""
        self._remembered.remove(self)

    def perform(self, call: Callable[[], T]) -> None:
        """Make the call and keep its result. Runs on a thread of the executor."""
        if self.timeout is not None and time.monotonic() - self._submitted > self.timeout:
            self.cancel()
        if not self.set_running_or_notify_cancel():
            return
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - `result` raises it
            self.set_exception(error)
        else:
            self.set_result(result)

    def _note_end(self, _: object) -> None:
        self._done_at = time.monotonic()


class Executor(concurrent.futures.Executor):
    """A pool of threads for work that a request starts but does not wait for.

    All workers of a server share one executor, and several servers may share it as well: the first
    server that starts opens it, and the last server that stops closes it. Threads start when they
    are needed. ``_lock`` guards the pool, the waiting futures and the number of servers.

    Attributes:
        futures: the remembered futures by their names.
        multithread: always True, because work runs in other threads.
        multiprocess: always False, because work runs in the same process.
    """

    multithread = True
    multiprocess = False

    def __init__(self, max_threads: int = 4) -> None:
        """Use up to ``max_threads`` threads. Raises `ValueError` if that is less than 1."""
        if max_threads < 1:
            raise ValueError("max_threads must be at least 1")
        self.futures: Final = RememberedFutures()
        self._max_threads = max_threads
        self._lock = threading.Lock()
        self._threads: concurrent.futures.ThreadPoolExecutor | None = None
        self._waiting: set[Future[Any]] = set()
        self._servers = 0

    def open(self) -> None:
        """Accept work from now on. A server calls this when it starts."""
        with self._lock:
            self._servers += 1
            if self._threads is None:
                self._threads = concurrent.futures.ThreadPoolExecutor(
                    self._max_threads, thread_name_prefix="rocket-executor"
                )

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Schedule a call of ``fn`` with the arguments.

        Raises `RuntimeError` if no server that uses this executor is running.
        """
        future: Future[T] = Future(self.futures)
        with self._lock:
            if self._threads is None:
                raise RuntimeError("the executor accepts no work because its server is not running")
            self._waiting.add(future)
            self._threads.submit(self._perform, future, lambda: fn(*args, **kwargs))
        return future

    def _perform(self, future: Future[T], call: Callable[[], T]) -> None:
        with self._lock:
            self._waiting.discard(future)
        future.perform(call)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Accept no more work.

        Waiting calls are still made, or cancelled with ``cancel_futures``. With ``wait``, return
        when the threads have ended.
        """
        with self._lock:
            threads, self._threads = self._threads, None
            waiting = list(self._waiting) if cancel_futures else []
        for future in waiting:
            future.cancel()
        if threads is not None:
            threads.shutdown(wait=wait)

    def close(self) -> None:
        """Accept no more work, and cancel the waiting calls.

        A server calls this when it has stopped. Nothing happens while another server uses the
        executor.
        """
        with self._lock:
            self._servers -= 1
            if self._servers:
                return
            waiting = len(self._waiting)
        if waiting:
            _log.warning("the server has stopped: cancelled %d waiting background calls", waiting)
        self.shutdown(wait=False, cancel_futures=True)
