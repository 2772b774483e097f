"""The processes of the supervisor: forking them, talking to them, and reaping them.

Theory of operation. The supervisor runs a single thread, and everything here runs on it. Each
process has a channel, a pair of sockets over which JSON messages go. The supervisor never waits
for a process: it reads what has arrived when its selector reports the channel, a bounded number of
bytes per turn, and it keeps what a process does not read.

A process ends in one of three ways, and the supervisor must not depend on which: it exits by
itself, it is killed, or it closes its channel first. Only `waitpid` counts as the end. The channel
may report the end of file before or after it:

1. A worker sends its last counters and exits. The channel is readable, and SIGCHLD is pending.
2. The selector reports both, in any order. If the channel comes first, its messages are read, and
   later its end of file closes it. If SIGCHLD comes first, `Children.reap` reads the rest of the
   channel before it reports the end of the process, so no last word is lost.
3. Either way the channel is closed once, and ``ended`` is called once, after the last message.

Signals may be merged: a single SIGCHLD stands for any number of ended processes. Therefore `reap`
continues until no ended process is left, and an error in one of them does not stop it.
"""

from __future__ import annotations

import logging
import os
import selectors
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

from rocket_cli._processes.channel import LIMIT, TURN, Channel, ChannelError, Message, channel_pair
from rocket_cli._processes.message_forms import Speaker
from rocket_cli._processes.task import Task
from rocket_cli._sockets.forks import own_fork
from rocket_cli._supervisor.child import Child, Phase
from rocket_cli._supervisor.error_handling import log_errors
from rocket_cli._supervisor.timers import Timers

_log = logging.getLogger("rocket_cli")

STOP_PATIENCE: Final = 5.0
"""Seconds in which a process must end after an order to stop, before it is killed."""

_CANNOT_START: Final = 2
"""The exit code of a process that could not start."""

_MAX_UNSENT: Final = 32 << 20
"""Bytes of messages that a process may leave unread before it is killed."""


class Forked(BaseException):
    """Raised in the new process, to leave the supervisor's code; the catcher runs the task."""

    def __init__(self, task: Task, channel: Channel) -> None:
        super().__init__(task.name)
        self.task = task
        self.channel = channel


class Children:
    """All processes that the supervisor has forked. Only its thread may use this."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        timers: Timers,
        *,
        said: Callable[[Child, Message], None],
        ended: Callable[[Child, int], None],
        leave: Callable[[Task], None],
    ) -> None:
        """Start without processes.

        ``said`` is called for each message of a process, and ``ended`` with the exit code, or the
        negative signal number, of each process that has ended. ``leave`` is called in each new
        process: it closes what only the supervisor may hold.
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
        """Return a JSON object about each process, for the admin endpoint."""
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
        """Fork a process for ``task``.

        Raises `OSError` if there can be no new process, and `Forked` in the new process.
        """
        ours, theirs = channel_pair()
        child = Child(0, task, generation, ours, Speaker(task.name))
        try:
            # Steps that can fail come before the fork, so that a failure leaves no process behind.
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
        """Close, in a new process, what only the supervisor may hold."""
        try:
            for each in self:
                each.channel.close()
            ours.close()
            self._leave(task)
        except Exception:  # noqa: BLE001 - the new process must not return to the supervisor's code
            _log.exception("a new process cannot start")
            os._exit(_CANNOT_START)  # otherwise it would continue as a second supervisor

    def tell(self, child: Child, message: Message) -> None:
        """Send ``message`` to ``child``, without waiting for the process to read it."""
        if child.channel.fileno() < 0:
            return
        if "question" in message:
            child.speaker.asked()
        child.channel.send(message)
        if child.channel.unsent > _MAX_UNSENT:
            _log.error("%s does not read its messages: killing it", child)
            self.signal(child, signal.SIGKILL)
        elif child.channel.unsent:
            self._watch(child, selectors.EVENT_READ | selectors.EVENT_WRITE)

    def end(self, child: Child, order: Message, patience: float = 0.0) -> None:
        """Tell ``child`` to end, and kill it if it does not end in time.

        The process has ``patience`` seconds for the work that ``order`` allows, and
        `STOP_PATIENCE` more to end.
        """
        if child.ready:
            self.tell(child, order)
        else:
            self.signal(child, signal.SIGTERM)
        child.phase = Phase.ENDING
        self._timers.after(patience + STOP_PATIENCE, lambda: self._kill(child))

    def release(self, child: Child) -> None:
        """Forget a process, which goes on independently of this supervisor."""
        del self._by_pid[child.pid]
        self._close(child)

    def signal(self, child: Child, number: signal.Signals) -> None:
        """Send a signal to ``child``, unless it has been reaped.

        A process ID is not used again before `waitpid` has returned it, and that happens on this
        thread. Therefore the signal cannot reach another process.
        """
        if self._by_pid.get(child.pid) is not child:
            return
        try:
            os.kill(child.pid, number)
        except OSError as error:
            _log.error("cannot send %s to %s: %s", number.name, child, error.strerror)

    def reap(self) -> None:
        """Handle all processes that have ended, including orphans that process 1 inherits."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._by_pid.get(pid)
            if child is not None:
                # Errors are logged here, because no other signal announces the remaining ones.
                with log_errors("reading the last messages of a process"):
                    self._exchange(child, LIMIT)
                del self._by_pid[pid]
                self._close(child)
                with log_errors("handling the end of a process"):
                    self._ended(child, os.waitstatus_to_exitcode(status))

    def _kill(self, child: Child) -> None:
        if self._by_pid.get(child.pid) is child:
            _log.warning("%s did not end in time: killing it", child)
            self.signal(child, signal.SIGKILL)

    def _exchange(self, child: Child, limit: int = TURN) -> None:
        """Send what is kept for ``child``, and handle up to ``limit`` bytes of its messages."""
        channel = child.channel
        if channel.fileno() < 0:
            return
        if channel.unsent:
            channel.flush()
            if not channel.unsent:
                self._watch(child, selectors.EVENT_READ)
        try:
            messages = channel.receive(limit)
        except EOFError:
            self._close(child)  # the process is about to end
        except ChannelError as error:
            self.reject(child, error)
        else:
            self._hear(child, messages)

    def _hear(self, child: Child, messages: Iterable[Message]) -> None:
        for message in messages:
            try:
                child.speaker.hear(message)
            except ChannelError as error:
                self.reject(child, error)
                return
            self._said(child, message)

    def reject(self, child: Child, error: Exception) -> None:
        """Kill a process that has sent what a process of its kind must not send."""
        _log.error("invalid message from %s, killing it: %s", child, error)
        self._close(child)
        self.signal(child, signal.SIGKILL)

    def _watch(self, child: Child, events: int) -> None:
        self._selector.modify(child.channel, events, lambda: self._exchange(child))

    def _close(self, child: Child) -> None:
        if child.channel.fileno() >= 0:
            self._selector.unregister(child.channel)
            child.channel.close()


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """Block all signals around a fork.

    1. The supervisor forks, and a signal is sent to the new process at once.
    2. The new process still has the wake-up descriptor of the supervisor, so the signal's number
       would be written there, and the supervisor would obey a signal that it has not received.

    The mask is restored in the new process when `Forked` leaves this block; by then its copies of
    the supervisor's descriptors are closed.
    """
    everything: Iterable[int] = signal.valid_signals()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, everything)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
