"""``wsgiorg.executor`` and ``wsgiorg.futures``: work that outlives its request."""

from __future__ import annotations

import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, ParamSpec, TypeVar

_log = logging.getLogger("rocket_wsgi")

LIFESPAN: Final = 30.0
"""Seconds that a future is remembered after it is done."""

P = ParamSpec("P")
T = TypeVar("T")


class RememberedFutures(Mapping[str, "Future[Any]"]):
    """The remembered futures by name. ``_lock`` guards them."""

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
        """Remember ``future``. Raises `NameError` when another has that name."""
        with self._lock:
            self._drop_old()
            if self._futures.setdefault(name, future) is not future:
                raise NameError(f"another future is remembered as {name!r} already")

    def remove(self, future: Future[Any]) -> None:
        """Forget ``future``, by whatever names."""
        with self._lock:
            self._futures = {k: v for k, v in self._futures.items() if v is not future}

    def _drop_old(self) -> None:
        now = time.monotonic()
        for name, future in list(self._futures.items()):
            if future.forgotten_at <= now:
                del self._futures[name]


class Future(concurrent.futures.Future[T]):
    """What `Executor.submit` returns.

    Attributes:
        timeout: seconds it may wait to be begun with before it is cancelled; None: no limit.
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
        """When it is forgotten, by `time.monotonic`; infinite while it is not done."""
        return self._done_at + self._lifespan

    def remember(self, name: str, lifespan: float = LIFESPAN) -> Future[T]:
        """Have it found in ``wsgiorg.futures``, until ``lifespan`` seconds after it is done.

        Returns itself. Raises `NameError` when another future has that name.
        """
        self._lifespan = lifespan
        self._remembered.add(name, self)
        return self

    def forget(self) -> None:
        """Have it no longer found; it is not cancelled."""
        self._remembered.remove(self)

    def perform(self, call: Callable[[], T]) -> None:
        """Do the work, on a thread of the executor."""
        if self.timeout is not None and time.monotonic() - self._submitted > self.timeout:
            self.cancel()
        if not self.set_running_or_notify_cancel():
            return
        try:
            result = call()
        except BaseException as error:  # noqa: BLE001 - whoever asks for the result gets it
            self.set_exception(error)
        else:
            self.set_result(result)

    def _note_end(self, _: object) -> None:
        self._done_at = time.monotonic()


class Executor(concurrent.futures.Executor):
    """Threads for work that a request begins and need not wait for.

    One for all workers of a server, which starts and ends it; several servers may share one, and
    the last that stops ends it. Threads are started as they are needed. ``_lock`` guards the
    threads, what waits for them, and the number of servers.

    Attributes:
        futures: the remembered futures by name.
        multithread: True: work runs in other threads.
        multiprocess: False: work runs in the same process.
    """

    multithread: Final = True
    multiprocess: Final = False

    def __init__(self, max_threads: int = 4) -> None:
        """Use up to ``max_threads`` threads. Raises `ValueError` when that is not positive."""
        if max_threads < 1:
            raise ValueError("max_threads must be at least 1")
        self.futures: Final = RememberedFutures()
        self._max_threads = max_threads
        self._lock = threading.Lock()
        self._threads: concurrent.futures.ThreadPoolExecutor | None = None
        self._waiting: set[Future[Any]] = set()
        self._servers = 0

    def open(self) -> None:
        """Take work from now on. Called by the server that starts."""
        with self._lock:
            self._servers += 1
            if self._threads is None:
                self._threads = concurrent.futures.ThreadPoolExecutor(
                    self._max_threads, thread_name_prefix="rocket-executor"
                )

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have ``fn`` called with the arguments, soon. Raises `RuntimeError` when not open."""
        future: Future[T] = Future(self.futures)
        with self._lock:
            if self._threads is None:
                raise RuntimeError("the executor takes no work: its server does not run")
            self._waiting.add(future)
            self._threads.submit(self._perform, future, lambda: fn(*args, **kwargs))
        return future

    def _perform(self, future: Future[T], call: Callable[[], T]) -> None:
        with self._lock:
            self._waiting.discard(future)
        future.perform(call)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more work. What waits is done first, or cancelled with ``cancel_futures``."""
        with self._lock:
            threads, self._threads = self._threads, None
            waiting = list(self._waiting) if cancel_futures else []
        for future in waiting:
            future.cancel()
        if threads is not None:
            threads.shutdown(wait=wait)

    def close(self) -> None:
        """Take no more work, and cancel what waits. Called by a server that has stopped.

        While another one runs, nothing happens.
        """
        with self._lock:
            self._servers -= 1
            if self._servers:
                return
            waiting = len(self._waiting)
        if waiting:
            _log.warning("%d calls submitted to the executor are cancelled", waiting)
        self.shutdown(wait=False, cancel_futures=True)
