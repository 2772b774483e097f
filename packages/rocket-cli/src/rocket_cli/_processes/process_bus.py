"""The bus between worker processes, as one of them uses it.

Theory of operation. A worker process has a pair of sockets for the messages of shared groups,
beside its channel: messages may be large and many, and no order of the supervisor is to wait behind
them. The supervisor gives the messages of all processes one order (`MessageBus`), and sends them to
each process that has subscribed, the sender's included.

*Sending.* A frame joins a queue, and the thread that finds no other sending sends what waits, until
nothing does, without waiting for the supervisor. If the socket is full, it leaves the rest to a
thread that is started for that, which may wait. While more than `MAX_HELD` bytes wait, publishers
wait, too, for `PATIENCE` seconds at most; then the message is refused with `BusError`.

*Receiving* is done by a thread of its own, which is started when something subscribes. It calls the
groups, one message after another.

*Recalling.* A group with a history that is made late asks for the latest messages of its name:

1. The process is subscribed, so messages arrive already. The group is not on the bus yet.
2. The supervisor gets the question. At this place in the process's stream of messages it puts the
   answer, with messages that were in the stream before, and the end of the answer.
3. The receiving thread gives the answer to the group, and puts the group on the bus.

So the group has each message once: what came before step 2 by the answer, the rest by the stream.

A process that the application forks has neither these threads nor the socket: there, publishing is
refused.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Callable
from typing import Final

from rocket_cli._processes.bus_frames import (
    FrameError,
    FrameReader,
    Kind,
    frame,
    message_content,
    missed_count,
    recall_content,
    split_message,
)
from rocket_cli._sockets.forks import keep_from_children
from rocket_core.extending import RareLog
from rocket_wsgi import BusError
from rocket_wsgi.extending import Follower

_log = logging.getLogger("rocket_cli")

MAX_HELD: Final = 4 << 20
"""The number of bytes that wait for the supervisor beyond which publishers wait."""

PATIENCE: Final = 1.0
"""Seconds for which a publisher waits."""

_RECALL_PATIENCE: Final = 5.0
"""Seconds for which a new group waits for its history."""

_RECEIVE_SIZE: Final = 1 << 16
_SEND_SIZE: Final = 1 << 16

Subscriber = Callable[[str, bytes], object]


class _Recall:
    """A group that waits for its history."""

    def __init__(self, follower: Follower) -> None:
        self.follower = follower
        self.messages: list[bytes] = []
        self.done = threading.Event()


class ProcessBus:
    """The end of a worker process.

    ``_lock`` guards what is on the bus, and ``_room`` what waits to be sent.
    """

    def __init__(self, sock: socket.socket) -> None:
        """Use ``sock``, whose other end the supervisor has."""
        sock.setblocking(True)
        keep_from_children(sock)
        self._socket = sock
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._subscribers: tuple[Subscriber, ...] = ()
        self._followers: dict[str, tuple[Follower, ...]] = {}
        self._recalls: deque[_Recall] = deque()
        self._room = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._held = 0
        self._sending = False
        self._over = False
        self._missed = RareLog(_log)
        os.register_at_fork(after_in_child=self._forked)

    def publish(self, name: str, message: bytes) -> None:
        """Hand ``message`` to all subscribers, in all processes.

        Raises `BusError` if the supervisor has not taken enough of earlier messages within a
        second, and in a process that the application has forked, and `ValueError` if the message
        is larger than 4 MiB.
        """
        self._put(frame(Kind.PUBLISH, message_content(name, message)), bounded=True)

    def subscribe(self, callback: Subscriber) -> None:
        """Call ``callback`` with the name and the content of every message from now on."""
        with self._lock:
            self._subscribers = (*self._subscribers, callback)
        self._receive()

    def follow(self, follower: Follower) -> None:
        """Let ``follower`` have the messages of its name; wait for those that came before."""
        if not follower.history:
            self._enter(follower)
            self._receive()
            return
        self._receive()
        recall = _Recall(follower)
        with self._lock:
            self._recalls.append(recall)
            first = len(self._recalls) == 1
        if first:
            self._ask(recall)
        if threading.current_thread() is not self._thread and not recall.done.wait(
            _RECALL_PATIENCE
        ):
            _log.warning(
                "the supervisor has not sent the history of group %s within %g seconds: "
                "it is without history until then",
                follower.name,
                _RECALL_PATIENCE,
            )

    def finish(self) -> None:
        """Wait until the supervisor has taken what was published, for a second at most."""
        with self._room:
            self._room.wait_for(lambda: self._over or not self._sending, PATIENCE)

    # -- sending -----------------------------------------------------------------------------------

    def _put(self, data: bytes, *, bounded: bool = False) -> None:
        """Send ``data`` after all else; with ``bounded``, wait for room, and raise `BusError`."""

        def has_room() -> bool:
            return self._over or not self._waiting or self._held + len(data) <= MAX_HELD

        with self._room:
            if bounded and not self._room.wait_for(has_room, PATIENCE):
                raise BusError("the supervisor takes no messages: the message is not sent")
            if self._over:
                if bounded:
                    raise BusError("this process is not connected to the others")
                return
            self._waiting.append(data)
            self._held += len(data)
            if self._sending:
                return
            self._sending = True
        self._send()

    def _send(self) -> None:
        """Send what waits, or leave it to a thread that may wait for the supervisor."""
        while data := self._next():
            rest = memoryview(data)
            while rest:
                try:
                    rest = rest[self._socket.send(rest, socket.MSG_DONTWAIT) :]
                except BlockingIOError:
                    threading.Thread(
                        target=self._send_rest, args=(rest,), name="rocket-bus-rest", daemon=True
                    ).start()
                    return
                except OSError:
                    self._end()
                    return

    def _send_rest(self, rest: memoryview) -> None:
        try:
            self._socket.sendall(rest)
            while data := self._next():
                self._socket.sendall(data)
        except OSError:
            self._end()

    def _next(self) -> bytes:
        """Return the next frames; none means that another thread may send from now on."""
        with self._room:
            frames = []
            size = 0
            while self._waiting and size < _SEND_SIZE:
                frames.append(self._waiting.popleft())
                size += len(frames[-1])
            self._held -= size
            self._sending = bool(frames)
            self._room.notify_all()
        return b"".join(frames)

    def _end(self) -> None:
        """Note that the supervisor is gone: nothing can be sent any more."""
        with self._room:
            self._over = True
            self._sending = False
            self._waiting.clear()
            self._held = 0
            self._room.notify_all()

    # -- receiving ---------------------------------------------------------------------------------

    def _receive(self) -> None:
        """Subscribe, once."""
        with self._lock:
            if self._thread is not None or self._over:
                return
            self._thread = threading.Thread(target=self._run, name="rocket-bus", daemon=True)
            self._put(frame(Kind.SUBSCRIBE))
        self._thread.start()

    def _run(self) -> None:
        reader = FrameReader()
        try:
            while data := self._socket.recv(_RECEIVE_SIZE):
                for kind, content in reader.feed(data):
                    self._take(kind, content)
        except (OSError, FrameError) as error:
            _log.error("the bus to other processes has failed: %s", error)
        self._end()

    def _take(self, kind: int, content: bytes) -> None:
        if kind == Kind.MESSAGE:
            name, message = split_message(content)
            self._deliver(name.decode(errors="replace"), message)
        elif kind == Kind.RECALLED:
            self._recalls[0].messages.append(split_message(content)[1])
        elif kind == Kind.RECALL_END:
            self._recalled()
        elif kind == Kind.MISSED:
            self._miss(missed_count(content))

    def _deliver(self, name: str, message: bytes) -> None:
        for subscriber in self._subscribers:
            _guarded(subscriber, name, message)
        for follower in self._followers.get(name, ()):
            _guarded(follower.received, message)

    def _miss(self, count: int) -> None:
        self._missed.warning(
            "this process was too slow to take all messages of its groups: it has missed %d", count
        )
        for followers in list(self._followers.values()):
            for follower in followers:
                _guarded(follower.missed)

    # -- recalling ---------------------------------------------------------------------------------

    def _ask(self, recall: _Recall) -> None:
        follower = recall.follower
        self._put(frame(Kind.RECALL, recall_content(follower.name, follower.history)))

    def _recalled(self) -> None:
        """Put the group that was waiting on the bus, and ask for the next one."""
        with self._lock:
            recall = self._recalls.popleft()
            following = self._recalls[0] if self._recalls else None
        if following is not None:
            self._ask(following)
        _guarded(recall.follower.recalled, recall.messages)
        self._enter(recall.follower)
        recall.done.set()

    def _enter(self, follower: Follower) -> None:
        with self._lock:
            present = self._followers.get(follower.name, ())
            self._followers[follower.name] = (*present, follower)

    # -- forks -------------------------------------------------------------------------------------

    def _forked(self) -> None:
        """Be over, in a process that the application has forked. Its copy of the socket is closed.

        Locks may be held by threads that are not there.
        """
        self._lock = threading.Lock()
        self._room = threading.Condition()
        self._end()


def _guarded(call: Callable[..., object], *arguments: object) -> None:
    """Call a group or a subscriber, whose errors are not to end the bus."""
    try:
        call(*arguments)
    except Exception:  # noqa: BLE001 - it must not end the thread, which others need
        _log.exception("a subscriber of the bus has failed")
