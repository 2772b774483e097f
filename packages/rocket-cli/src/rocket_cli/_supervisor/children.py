"""The processes of the supervisor: how they begin, what they say, and how they end."""

from __future__ import annotations

import logging
import os
import selectors
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol

from rocket_cli._processes.channel import LIMIT, TURN, Channel, ChannelError, Message, channel_pair
from rocket_cli._processes.message_forms import Speaker
from rocket_cli._sockets.bound_sockets import BoundSocket
from rocket_cli._sockets.forks import own_fork
from rocket_cli._supervisor.survival import survived
from rocket_cli._supervisor.timers import Timers

_log = logging.getLogger("rocket_cli")

STOP_PATIENCE: Final = 5.0
"""Seconds for a process to end that was told to, or that has not begun, before it is killed."""

_CANNOT_BEGIN: Final = 2
"""Exit code of a process that could not begin."""

_MOST_UNSENT: Final = 32 << 20
"""Bytes that a process leaves unread before it is given up."""


class Phase(Enum):
    """The life of a process."""

    BOOTING = "booting"
    """It loads what it needs, and has not said that it is ready."""
    READY = "ready"
    """It could serve, and waits to be told so."""
    SERVING = "serving"
    """It serves."""
    RETIRING = "retiring"
    """It serves until another has taken its place."""
    ENDING = "ending"
    """It was told to end."""


class Task(Protocol):
    """What a process is for.

    Attributes:
        name: what such a process is called.
        sockets: the listening sockets that it needs.
    """

    @property
    def name(self) -> str: ...

    @property
    def sockets(self) -> Sequence[BoundSocket]: ...

    def run(self, channel: Channel) -> int:
        """Do it, in a process of its own; the exit code."""


class Forked(BaseException):
    """Raised in the new process, to leave the supervisor's code behind; then `run` is called."""

    def __init__(self, task: Task, channel: Channel) -> None:
        super().__init__(task.name)
        self.task = task
        self.channel = channel


@dataclass(slots=True, eq=False)
class Child:
    """A process.

    Attributes:
        pid: its number.
        task: what it is for.
        generation: which version of the application it serves, counted from 1; 0: none.
        channel: how to speak with it.
        speaker: what it may say.
        phase: where in its life it is.
        since: when it was forked, by `time.monotonic`.
        ready: whether it has said that it is ready, and reads its channel.
        final: whether it has said what it counted, and ends.
        failure: why it could not begin.
        counters: what it had counted when it was asked last.
    """

    pid: int
    task: Task
    generation: int
    channel: Channel
    speaker: Speaker
    phase: Phase = Phase.BOOTING
    since: float = field(default_factory=time.monotonic)
    ready: bool = False
    final: bool = False
    failure: Message | None = None
    counters: Message = field(default_factory=dict)

    @property
    def answers(self) -> bool:
        """Whether it serves the application and answers questions."""
        return self.generation > 0 and self.ready and not self.final

    def __str__(self) -> str:
        return f"{self.task.name} {self.pid}"


class Children:
    """All processes. Used by the one thread of the supervisor."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        timers: Timers,
        *,
        said: Callable[[Child, Message], None],
        ended: Callable[[Child, int], None],
        leave: Callable[[Task], None],
    ) -> None:
        """Call ``said`` for each message, and ``ended`` with the exit code, negative for a signal.

        ``leave`` is called in a new process, to let go of what is the supervisor's.
        """
        self._selector = selector
        self._timers = timers
        self._said = said
        self._ended = ended
        self._leave = leave
        self._by_pid: dict[int, Child] = {}

    def __iter__(self) -> Iterator[Child]:
        return iter(list(self._by_pid.values()))

    def __len__(self) -> int:
        return len(self._by_pid)

    def describe(self) -> list[Message]:
        """What there is to know of each, for others to read."""
        return [
            {
                "process": each.pid,
                "kind": each.task.name,
                "generation": each.generation,
                "phase": each.phase.value,
                "since": each.since,
            }
            for each in self
        ]

    def spawn(self, task: Task, generation: int) -> Child:
        """Fork. Raises `OSError` when that fails, and in the new process `Forked`."""
        ours, theirs = channel_pair()
        child = Child(0, task, generation, ours, Speaker(task.name))
        try:
            # What can fail is done before there is a process.
            self._selector.register(ours, selectors.EVENT_READ, lambda: self._exchange(child))
            with _signals_blocked():
                with own_fork():
                    pid = os.fork()
                if pid == 0:
                    self._begin(task, ours)
                    raise Forked(task, theirs)
        except OSError:
            with suppress(KeyError):
                self._selector.unregister(ours)
            ours.close()
            theirs.close()
            raise
        theirs.close()
        child.pid = pid
        self._by_pid[pid] = child
        return child

    def _begin(self, task: Task, ours: Channel) -> None:
        """In a new process: let go of what is the supervisor's."""
        try:
            for each in self:
                each.channel.close()
            ours.close()
            self._leave(task)
        except Exception:  # noqa: BLE001 - whatever it is
            _log.exception("a new process cannot begin")
            os._exit(_CANNOT_BEGIN)  # or it would go on as another supervisor

    def tell(self, child: Child, message: Message) -> None:
        """Send a message."""
        if child.channel.fileno() < 0:
            return
        if "question" in message:
            child.speaker.asked()
        child.channel.send(message)
        if child.channel.unsent > _MOST_UNSENT:
            _log.error("%s does not listen, and is killed", child)
            self.signal(child, signal.SIGKILL)
        elif child.channel.unsent:
            self._watch(child, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def end(self, child: Child, order: Message, patience: float = 0.0) -> None:
        """Have ``child`` end by itself, and kill it if it does not.

        It has ``patience`` seconds to do what ``order`` allows it to do, and some more to end.
        """
        if child.ready:
            self.tell(child, order)
        else:
            self.signal(child, signal.SIGTERM)
        child.phase = Phase.ENDING
        self._timers.after(patience + STOP_PATIENCE, lambda: self._kill(child))

    def release(self, child: Child) -> None:
        """Have nothing more to do with a process, which goes on without this one."""
        del self._by_pid[child.pid]
        self._close(child)

    def signal(self, child: Child, number: signal.Signals) -> None:
        """Send a signal, unless the process has ended."""
        if self._by_pid.get(child.pid) is not child:
            return
        try:
            os.kill(child.pid, number)
        except OSError as error:
            _log.error("%s cannot be sent %s: %s", child, number.name, error.strerror)

    def reap(self) -> None:
        """Deal with all processes that have ended, those included that others have left to us."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._by_pid.get(pid)
            if child is not None:
                # No other signal may come for the other processes that have ended.
                with survived("taking the last words of a process"):
                    self._exchange(child, LIMIT)
                del self._by_pid[pid]
                self._close(child)
                with survived("dealing with the end of a process"):
                    self._ended(child, os.waitstatus_to_exitcode(status))

    def _kill(self, child: Child) -> None:
        if self._by_pid.get(child.pid) is child:
            _log.warning("%s does not end, and is killed", child)
            self.signal(child, signal.SIGKILL)

    def _exchange(self, child: Child, most: int = TURN) -> None:
        channel = child.channel
        if channel.fileno() < 0:
            return
        if channel.unsent:
            channel.flush()
            if not channel.unsent:
                self._watch(child, selectors.EVENT_READ)
        try:
            messages = channel.receive(most)
        except EOFError:
            self._close(child)  # it ends
        except ChannelError as error:
            self._silence(child, error)
        else:
            self._hear(child, messages)

    def _hear(self, child: Child, messages: Iterable[Message]) -> None:
        for message in messages:
            try:
                child.speaker.hear(message)
            except ChannelError as error:
                self._silence(child, error)
                return
            self._said(child, message)

    def _silence(self, child: Child, error: ChannelError) -> None:
        """End a process that speaks as none of its kind does."""
        _log.error("%s is killed: %s", child, error)
        self._close(child)
        self.signal(child, signal.SIGKILL)

    def _watch(self, child: Child, events: int) -> None:
        self._selector.modify(child.channel, events, lambda: self._exchange(child))

    def _close(self, child: Child) -> None:
        if child.channel.fileno() >= 0:
            self._selector.unregister(child.channel)
            child.channel.close()


def describe_end(code: int) -> str:
    """How a process has ended, by its exit code."""
    if code >= 0:
        return f"ended with exit code {code}"
    try:
        return f"was killed by {signal.Signals(-code).name}"
    except ValueError:
        return f"was killed by signal {-code}"


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Until a new process has handlers of its own, its signals would be taken for ours."""
    everything: Iterable[int] = signal.valid_signals()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, everything)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
