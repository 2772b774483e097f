"""What any thread may send on a shared connection, which stays parked for reading meanwhile.

Theory of operation
-------------------
A connection has one owner, and only the owner uses the socket. That holds for a shared connection,
too, so that nothing below, such as TLS, must be prepared for two threads. What is new is that a
thread that does not own the connection has something to send:

- `SharedOutput.put` appends to the queue, under ``_lock``, and then calls ``flush``, which is
  `Engine.flush`. It claims the connection from the Monitor. To be the owner is to be the one thread
  that flushes: there is no second flag that could contradict it.
- **The claim succeeds.** The thread sends all that is in the queue, with one non-blocking call for
  many small pieces, and parks the connection again.
- **The claim fails.** Another thread owns the connection: it receives, or flushes, and never waits
  for the client. It looks at the queue *after* it has parked the connection, and claims it again
  if something was put meanwhile; the interleaving is at `Engine._park_shared`. So no thread waits
  for a system call of another thread.
- **The client does not take all.** The owner notes that the output is *blocked*, and parks the
  connection for reading and writing. Who finds the socket writable, a worker or the Monitor's
  thread, sends on. Until then `put` only appends: no thread tries in vain.

What is held counts against a budget of its own (`ServerState.pushed`), of which half is given, as
`Budget.lend` does. If there is no room, the connection for which most is held is cut. The client's
pace is that of any response: `Connection.begin_transfer` sets the deadline while output is blocked.

``_lock`` guards the queue, ``pending``, and the flags. It is held for a few operations on
them, never for a system call. ``_rest``, which is being sent, belongs to the owner.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

if TYPE_CHECKING:
    from rocket_core._connection.server_state import Pushing, ServerState

PUSH_BOUND: Final = 256 * 1024
"""Bytes that wait for a client, from which on `Connection.push` refuses more."""

_JOINED: Final = 64 * 1024
"""Bytes of small pieces that are sent with one call of the system."""


class Carrier(Protocol):
    """The connection, as far as the output needs it."""

    server: ServerState

    @property
    def pushed(self) -> int:
        """As `Pushing.pushed`."""

    def cut(self) -> None:
        """As `Pushing.cut`."""

    def abort(self) -> None:
        """Make every operation on the socket fail. Any thread may call this."""

    def flush(self) -> bool:
        """Send what was written before the connection was shared; return whether all is sent."""

    def send_now(self, data: bytes | bytearray | memoryview) -> int | None:
        """Send once; return the number of bytes taken, or None: not yet. Raises `OSError`."""

    def __hash__(self) -> int: ...


class SharedOutput:
    """The output of one shared connection, which is passed to each method.

    Attributes:
        pending: bytes that were put and the client has yet to take. Any thread may read it.
        blocked: whether the client has to take something before more can be sent. Set by the owner.
        closing: whether nothing can be put any more.
        flush: sends what was put, if the calling thread can own the connection; None: the
            connection has not been parked yet.
        on_drained: see `Connection.share`.
    """

    __slots__ = (
        "_ended",
        "_limit",
        "_lock",
        "_new",
        "_queue",
        "_rest",
        "blocked",
        "closing",
        "flush",
        "on_drained",
        "pending",
    )

    def __init__(self, limit: int, on_drained: Callable[[], None] | None) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._queue: deque[bytes] = deque()
        self._rest: bytes | memoryview = b""
        self._new = False
        """Whether something was put, or `close` called, since the owner last looked."""
        self._ended = False
        """Whether the socket is closed, or about to be."""
        self.pending = 0
        self.blocked = False
        self.closing = False
        self.flush: Callable[[Any], None] | None = None
        self.on_drained = on_drained

    # -- any thread ----------------------------------------------------------------------------

    @property
    def calls(self) -> bool:
        """Whether a thread should claim the connection, to send what was put.

        While the output is blocked, the Monitor sees to that.
        """
        return self._new and not self.blocked

    def put(self, carrier: Carrier, data: bytes) -> bool:
        """Append ``data`` and have it sent; return False where it is refused. Never waits."""
        size = len(data)
        if not size:
            return not self.closing
        if not self._accepts() or not _take_room(carrier, size):
            return False
        with self._lock:
            accepted = self._accepts()  # other threads may have put, or closed, in between
            if accepted:
                self._queue.append(data)
                self.pending += size
                self._new = True
                carrier.server.pushing.add(carrier)
        if not accepted:
            carrier.server.pushed.give_back(size)
            return False
        if not self.blocked and self.flush is not None:
            self.flush(carrier)
        return True

    def _accepts(self) -> bool:
        return not self.closing and self.pending < self._limit

    def close(self, carrier: Carrier) -> None:
        """Let nothing more be put; the owner closes the connection once all is sent."""
        with self._lock:
            if self.closing:
                return
            self.closing = True
            self._new = True
        if not self.blocked and self.flush is not None:
            self.flush(carrier)

    def cut(self, carrier: Carrier) -> None:
        """Drop what was put, and abort the connection, unless it has ended already."""
        with self._lock:
            if self._ended:
                return
            # With the lock, or: 1. this thread finds that the connection is open, 2. its owner
            # closes it, and another client gets its descriptor, 3. this thread aborts that. The
            # owner calls `end`, which takes the lock, before it closes the socket.
            carrier.abort()
            held = self._drop(carrier)
        carrier.server.pushed.give_back(held)

    def end(self, carrier: Carrier) -> None:
        """Drop what was put: the owner is about to close the connection, or has found it broken."""
        with self._lock:
            self._ended = True
            held = self._drop(carrier)
        carrier.server.pushed.give_back(held)

    def _drop(self, carrier: Carrier) -> int:
        """With the lock: let nothing more be put; return how many bytes were held."""
        self.closing = True
        self._new = False
        self._queue.clear()
        held, self.pending = self.pending, 0
        carrier.server.pushing.discard(carrier)
        return held

    # -- the owner -----------------------------------------------------------------------------

    @property
    def incomplete(self) -> bool:
        """Whether the client lacks something that was put."""
        return bool(self._rest) or self.pending > 0

    def send(self, carrier: Carrier) -> int:
        """Send until all is sent or the client takes no more, which `blocked` tells then.

        Returns how many bytes were sent. Raises `OSError` when the client is gone.
        """
        moved = 0
        while True:
            rest = self._rest
            if not rest:
                with self._lock:
                    self._new = False
                    if not self._queue:
                        # A thread that puts now finds that the output is not blocked, and flushes.
                        self.blocked = False
                        break
                    self._rest = rest = self._join()
            sent = (carrier.send_now(rest) or 0) if carrier.flush() else 0
            if sent:
                moved += sent
                self._took(carrier, sent)
                self._rest = memoryview(rest)[sent:] if sent < len(rest) else b""
            if self._rest:
                # 1. The client takes no more. 2. Another thread puts, and finds the output not yet
                # blocked and the connection owned. 3. The output is blocked, and the connection is
                # parked for writing: what was put is sent with the rest.
                with self._lock:
                    self.blocked = True
                break
        return moved

    def _join(self) -> bytes:
        """With the lock: take the first piece, and small ones behind it."""
        queue = self._queue
        if len(queue) == 1:
            return queue.popleft()
        pieces = [queue.popleft()]
        size = len(pieces[0])
        while queue and size + len(queue[0]) <= _JOINED:
            size += len(queue[0])
            pieces.append(queue.popleft())
        return b"".join(pieces) if len(pieces) > 1 else pieces[0]

    def _took(self, carrier: Carrier, count: int) -> None:
        """Note that ``count`` bytes are sent."""
        with self._lock:
            # 1. The owner sends. 2. Another thread cuts the connection, which gives all back.
            # 3. The owner may not give back what it has sent once more.
            count = min(count, self.pending)
            self.pending -= count
            if not self.pending:
                carrier.server.pushing.discard(carrier)
        carrier.server.pushed.give_back(count)


def _take_room(carrier: Carrier, size: int) -> bool:
    """Take ``size`` bytes of the budget; return False where the connection itself had to go."""
    server = carrier.server
    while not server.pushed.lend(size):
        holders: list[Pushing] = list(server.pushing)
        most = max(holders, key=_pushed, default=None)
        if most is None:
            return False  # more than all connections together may hold
        most.cut()
        if most is carrier:
            return False
    return True


def _pushed(holder: Pushing) -> int:
    return holder.pushed
