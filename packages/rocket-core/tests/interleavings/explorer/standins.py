"""Stand-ins for what threads wait for: locks, threads, the clock, and the system's poller."""

from __future__ import annotations

import threading
from math import inf
from typing import TYPE_CHECKING, Any

from rocket_core._system.poller import READ, WRITE

if TYPE_CHECKING:
    from collections.abc import Callable

    from explorer.stage import Stage


class ModelLock:
    """A lock of `threading`."""

    def __init__(self, stage: Stage, name: str, *, early: bool = False) -> None:
        self._stage = stage
        self._early = early
        self._held = False
        self.name = name

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        until = (
            self._stage.now if not blocking else inf if timeout < 0 else self._stage.now + timeout
        )
        early = self._early and until < inf
        if not self._stage.wait(self.name, lambda: not self._held, until, early=early):
            return False
        self._held = True
        return True

    def release(self) -> None:
        if not self._held:
            raise RuntimeError("release unlocked lock")
        self._stage.touch(self.name)
        self._held = False

    def locked(self) -> bool:
        return self._held

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *error: object) -> None:
        self.release()


class ModelThread:
    """A thread of `threading`, which becomes an actor."""

    def __init__(
        self, stage: Stage, target: Callable[[], object], name: str, *, daemon: bool
    ) -> None:
        self._stage = stage
        self._target = target
        self.name = name
        self.daemon = daemon
        self.ident = None
        self.native_id = None

    def start(self) -> None:
        self._stage.spawn(self.name, self._target)

    def is_alive(self) -> bool:
        return self.name in self._stage.waiting


class ModelThreading:
    """The module `threading`, as far as the code under test uses it.

    ``early``: whether a wait for a lock that has a limit may end at any time, not only when nothing
    else can happen.
    """

    get_ident = staticmethod(threading.get_ident)

    def __init__(self, stage: Stage, *, early: bool = False) -> None:
        self._stage = stage
        self._early = early

    def Lock(self) -> ModelLock:  # noqa: N802 - the name in `threading`
        return ModelLock(self._stage, self._stage.name("lock"), early=self._early)

    def Thread(  # noqa: N802 - likewise
        self, *, target: Callable[[], object], name: str, daemon: bool
    ) -> ModelThread:
        return ModelThread(self._stage, target, name, daemon=daemon)


class ModelClock:
    """The module `time`, as far as the code under test uses it."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def monotonic(self) -> float:
        return self._stage.now

    time = monotonic


class ModelFaults:
    """A log of errors that the code under test catches: for the explorer, they are failures."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def report(self, log: object, error: BaseException, *what: object) -> None:
        self._stage.fail(error)


class ModelPoller:
    """The poller of Linux: each event is reported to one thread, and a wake-up ends one poll.

    Wake-ups that come before a thread has cleared the last one are one, as with a `Waker`: 1. A
    thread that polls takes a wake-up. 2. There is another one. 3. The thread clears both.
    """

    lasting = True

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._armed: dict[int, int] = {}
        self._ready: dict[int, int] = {}
        self._events: dict[int, int] = {}
        self._awake = False

    def arm(self, descriptor: int, interest: int, *, first: bool) -> None:
        del first
        self._stage.point("poller")
        self._armed[descriptor] = interest
        self._report(descriptor)

    def poll(self, timeout: float | None, limit: int) -> list[tuple[int, int]]:
        until = inf if timeout is None else self._stage.now + timeout
        self._stage.wait("poller", lambda: self._awake or bool(self._events), until)
        woken, self._awake = self._awake, False
        events = list(self._events.items())[:limit]
        for descriptor, _ in events:
            del self._events[descriptor]
        if woken:
            self._stage.point("poller")
            self._awake = False
        if not events:
            self._stage.give_way()
        return events

    def wake(self) -> None:
        self._stage.point("poller")
        self._awake = True

    def watch(self, descriptor: int, *, exclusive: bool) -> None:
        raise NotImplementedError

    def unwatch(self, descriptor: int) -> None:
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError

    # -- the system ----------------------------------------------------------------------------

    def become(self, descriptor: int, ready: int) -> None:
        """Note that a socket has become ready for READ, WRITE, or both."""
        self._stage.point("poller")
        self._ready[descriptor] = self._ready.get(descriptor, 0) | ready
        self._report(descriptor, ready)

    def used_up(self, descriptor: int, ready: int) -> None:
        """Note that a socket is not ready any more, as it was read or written."""
        self._stage.touch("poller")
        self._ready[descriptor] = self._ready.get(descriptor, 0) & ~ready

    def _report(self, descriptor: int, change: int = READ | WRITE) -> None:
        interest = self._armed.get(descriptor, 0)
        found = interest & self._ready.get(descriptor, 0)
        if found & change:
            self._events[descriptor] = found
            if interest != READ:  # it is reported once
                del self._armed[descriptor]


def put_into(monkeypatch: Any, stage: Stage, *modules: Any, early: bool = False) -> None:
    """Have the code of ``modules`` use the stand-ins for locks, threads and the clock."""
    clock, threads = ModelClock(stage), ModelThreading(stage, early=early)
    for module in modules:
        if hasattr(module, "threading"):
            monkeypatch.setattr(module, "threading", threads)
        if hasattr(module, "time"):
            monkeypatch.setattr(module, "time", clock)
        if hasattr(module, "monotonic"):
            monkeypatch.setattr(module, "monotonic", clock.monotonic)
