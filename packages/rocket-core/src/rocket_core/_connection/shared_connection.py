"""A connection that many threads use, and that stays parked for reading without a thread.

Theory of operation
-------------------
A connection has one owner, and only the owner uses the socket. That holds for a shared connection,
too, so that nothing below, such as TLS, must be prepared for two threads. What is new is that
threads that do not own the connection have something to say: they have something to send, want a
deadline, want more to be read, or want it to end. Each of them *notes* that on the
`SharedConnection`, and `flush`, which any thread may call, has it carried out.

**Noting** takes ``_lock`` for a few operations, and makes no system call, so that a thread may do
it with a lock of its own, and decide and note in one step. What is noted by one thread after
another is carried out in that order.

**Carrying out** is up to the owner. `flush` claims the connection from the Monitor: to be the owner
is to be the one thread that carries out, and there is no second flag that could contradict it.

- *The claim succeeds.* The thread sends all that is in the queue, with one non-blocking call for
  many small pieces, and parks the connection again, with the deadline and the interest in reading
  that are noted by then.
- *The claim fails.* Another thread owns the connection: it receives, or carries out, and never
  waits for the client. It looks at what is noted *after* it has parked the connection, and claims
  it again if something was noted meanwhile; the interleaving is at `Engine._park_shared`. So no
  thread waits for a system call of another thread.
- *The client does not take all.* The owner notes that the output is *blocked*, and parks the
  connection for reading and writing. A worker, or the Monitor's thread, which finds the socket
  writable, sends on. Until then what is queued stays in the queue: no thread tries in vain.

**Output on demand.** A protocol that *supplies* queues nothing. It keeps what it has to send, notes
that there is something (`SharedConnection.supply`), and is asked for it by the owner, a piece at a
time, when that can be sent. So what is more urgent can still overtake what waits for the client.

**To the protocol**, things are told in two ways. What has come, a deadline and a drain are told by
the owner, at once. That the client has taken all that had to wait, and that the connection has
ended, are told in a turn (`TurnTaker`), on a thread of the pool, since the thread that finds out
may be one of the application in the midst of something else.

**Memory.** What is queued counts against a budget of its own (`ServerState.pushed`), of which half
is given, as `Budget.lend` does. If there is no room, the connection for which most is held is cut;
one that is to get more at once than all together may hold is cut itself. What is received and not
handled counts against another one: see `InputRoom`. The client's pace is that of any response:
`Connection.begin_transfer` sets the deadline while output is blocked.

``_lock`` guards the queue, ``pending``, and all that is noted, and the state of the turn. It is
held for a few operations on them, never for a system call, with one exception at `cut`. ``_rest``,
which is being sent, belongs to the owner.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, Any, Final, Protocol, final

from rocket_core._connection.shared_request import SharedRequest
from rocket_core._connection.shared_turns import Phase, SharedTurns, Told
from rocket_core._state import CloseReason, State

if TYPE_CHECKING:
    from rocket_core._connection.server_state import ServerState

QUEUE_BOUND: Final = 256 * 1024
"""Bytes that wait for a client, from which on `SharedConnection.queue` refuses more."""

_JOINED: Final = 64 * 1024
"""Bytes of small pieces that are sent with one call of the system."""

_SMALL: Final = 128
_GATHERED: Final = 4 * 1024
"""Bytes of a piece, and of the one before it in the queue, below which the two become one."""


class Carrier(Protocol):
    """The connection, as far as `SharedConnection` needs it."""

    server: ServerState
    close_reason: CloseReason | None
    unsent: bool

    def abort(self) -> None:
        """Make every operation on the socket fail. Any thread may call this."""

    def flush(self) -> bool:
        """Send what was written before the connection was shared; return whether all is sent."""

    def send_now(self, data: bytes | bytearray | memoryview) -> int | None:
        """Send once; return the number of bytes taken, or None: not yet. Raises `OSError`."""


_OPEN: Final = Phase.OPEN
_ENDING: Final = Phase.ENDING
_OVER: Final = Phase.OVER


@final
class SharedConnection(SharedTurns):
    """One connection for as long as it is shared. Any thread may call the public methods.

    Attributes:
        after: the state that follows once all is sent, LINGER or IDLE. For the owner.
        blocked: whether the client has to take something before more can be sent. Set by the owner;
            any thread may read it. Otherwise what is pending is about to be sent.
        drain_at: when the protocol is to be told of the drain, which has begun, by
            `time.monotonic`; infinite: the drain was not noticed yet. For the owner.
        drain_told: whether the protocol was told. For the owner.
        ends: whether all is sent that is to be, and the state `after` follows. For the owner.
        noted: whether something was queued, or `end` called, since the owner last looked. Any
            thread may read it. While it is true, a thread should claim the connection, to carry
            that out, unless the output is blocked: then the Monitor sees to it.
        pending: bytes that were queued and the client has yet to take. Any thread may read it.
        recalled: whether the protocol is to be told of what it has left in the buffer. For the
            owner.
        request: a request that no thread has put into the queue of the pool yet. For the owner.
        resumed: whether `go_on_reading` was called since the owner last looked. ``_lock`` guards
            it; any thread may read it.
        urgent: whether something was noted that cannot wait until the output is not blocked, or
            the deadline, or what the owner has to look at, may have changed. While it is true, a
            thread should claim the connection. ``_lock`` guards it; any thread may read it.
    """

    __slots__ = (
        "_deadline",
        "_due",
        "_flush",
        "_limit",
        "_queue",
        "_reading",
        "_rest",
        "_supplies",
        "after",
        "blocked",
        "drain_at",
        "drain_told",
        "ends",
        "noted",
        "pending",
        "recalled",
        "request",
        "resumed",
        "urgent",
    )

    def __init__(self, connection: Any, protocol: Told, limit: int) -> None:
        """Begin open, with ``connection``, which is a `Connection`."""
        SharedTurns.__init__(self, connection, protocol)
        self.pending = 0
        self.after = State.LINGER
        self.blocked = False
        self.ends = False
        self.recalled = False
        self.request: SharedRequest | None = None
        self._supplies = protocol.supplies
        self.drain_at = inf
        self.drain_told = False
        self._limit = limit
        self._queue: deque[bytes] | None = None
        """What is to be sent; None while that is nothing, since an empty deque is large."""
        self._rest: bytes | memoryview = b""
        self._flush: Callable[[SharedConnection], None] | None = None
        """`Engine.flush`; None: the connection has not been parked yet."""
        self.noted = False
        self.urgent = True
        self._due = inf
        self._deadline = inf
        """The deadline with which the owner has parked the connection last."""
        self._reading = True
        self.resumed = False

    def __repr__(self) -> str:
        return f"<SharedConnection {self._connection.peer} {self.protocol.kind} {self.phase.value}>"

    @property
    def connection(self) -> Any:
        """The connection itself, a `Connection`, whose methods are for its owner."""
        return self._connection

    # -- any thread: to note, with or without a lock of its own ----------------------------------

    def queue(self, data: bytes, *, control: bool = False, message: bool = False) -> bool:
        """Append ``data`` to what is to be sent; return False where it is refused.

        Refused is what comes after the end; and, unless it is ``control``, what comes while the
        limit of `Connection.share` waits for the client. The server's budget for all connections
        holds for both: where it is used up, the connection for which most is held is cut. With
        ``message`` it is counted, as a message that was sent or dropped.
        """
        size = len(data)
        if not size:
            return self.phase is _OPEN
        if not self._accepts(control=control) or not self._connection.server.take_room(self, size):
            if message:
                self.drop_message()
            return False
        connection = self._connection
        with self._lock:
            accepted = self._accepts(control=control)  # others may have queued, or ended, meanwhile
            if accepted:
                self._append(data, size)
                self.pending += size
                self.noted = True
                connection.server.pushing.add(self)
            if message:
                if accepted:
                    self.messages_sent += 1
                else:
                    self.messages_dropped += 1
        if not accepted:
            connection.server.pushed.give_back(size)
        return accepted

    def _append(self, data: bytes, size: int) -> None:
        """With the lock: put ``size`` bytes into the queue.

        A small piece is joined to the one before it: a piece of its own takes about forty bytes
        more than it holds, which a client that does not read could have the server hold for each
        of many short answers.
        """
        queue = self._queue
        if queue is None:
            self._queue = deque((data,))
        elif size < _SMALL and len(queue[-1]) < _GATHERED:
            queue[-1] += data
        else:
            queue.append(data)

    def _accepts(self, *, control: bool) -> bool:
        return self.phase is _OPEN and (control or self.pending < self._limit)

    def cut_input(self) -> None:
        """Disconnect the client, which is slower than others, for which there is no room."""
        self.cut(CloseReason.BODY_TIMEOUT)

    def drop_queued(self) -> int:
        """Drop all that was queued and whose sending has not begun; return how many bytes.

        Each piece that was queued is dropped as a whole, or sent as a whole.
        """
        with self._lock:
            queue, self._queue = self._queue, None
            dropped = 0 if queue is None else sum(map(len, queue))
            self.pending -= dropped
            if not self.pending:
                self._connection.server.pushing.discard(self)
        self._connection.server.pushed.give_back(dropped)
        return dropped

    def end(self, after: State = State.LINGER) -> None:
        """Let nothing more be queued, and end once the client has taken all that is.

        After LINGER the connection closes, and what the client still sends is discarded. After IDLE
        it serves requests again, the first of which may have come already.
        """
        if after is not State.IDLE and after is not State.LINGER:
            raise ValueError(f"a shared connection ends in IDLE or LINGER, not {after.name}")
        with self._lock:
            if self.phase is _OPEN:
                self.after = after  # before the phase, which the owner reads without the lock
                self.phase = _ENDING
                self.noted = True
                if not self._reading or self.waits_for_room:
                    # 1. The output is blocked, and the connection is parked for writing alone. 2.
                    # The client waits for its own bytes to be taken before it takes any. 3. The
                    # owner has to look again, to discard them: see `reads`.
                    self.urgent = True

    def call_at(self, when: float) -> None:
        """Have `SharedProtocol.due` called once at ``when``, by `time.monotonic`.

        The time of an earlier call does not count any more. Infinite: it is not called.
        """
        with self._lock:
            if self.phase is _OVER:
                return
            self._due = when
            # 1. A time that comes before the deadline of the parked connection is noted. 2. `flush`
            # has it parked again. A time that comes after it needs nothing: the connection is
            # looked at too early, once, and then parked until then.
            if when < self._deadline:
                self.urgent = True

    def stop_reading(self) -> None:
        """Receive nothing from now on, so that the client has to wait, until `go_on_reading`.

        What has come already may still be told. Nor is it noticed that the client leaves, unless it
        resets the connection.
        """
        with self._lock:
            self._reading = False
            self.resumed = False

    def go_on_reading(self) -> None:
        """Receive again, and have `SharedProtocol.received` called in any case."""
        with self._lock:
            if not self._reading and self.phase is not _OVER:
                self._reading = True
                self._resume()

    def supply(self) -> None:
        """Note that `SharedProtocol.output` has something to be sent."""
        self.noted = True

    def serve(self, request: SharedRequest) -> None:
        """Have ``request`` put into the queue of the pool. To be called in what the owner calls.

        No other request of the connection may be there; see `RequestHandler.follow`.
        """
        self.request = request

    def leave(self) -> None:
        """Have what was noted carried out within a few milliseconds, unless it is flushed before.

        To be called on a thread of the pool, if `left` is false.
        """
        server: ServerState = self._connection.server
        server.corks.leave(self)
        server.pool.rouse()

    # -- any thread: to carry out, without a lock ------------------------------------------------

    def flush(self) -> None:
        """Carry out what was noted. Never waits, but makes calls of the system."""
        if self._flush is not None:
            self._flush(self)

    def push(self, data: bytes) -> bool:
        """`queue` and `flush`."""
        accepted = self.queue(data)
        if accepted:
            self.flush()
        return accepted

    def cut(self, reason: CloseReason = CloseReason.SEND_TIMEOUT) -> None:
        """Drop what is queued and disconnect the client, unless this is over already."""
        with self._lock:
            if self.phase is _OVER:
                return
            if self._connection.close_reason is None:
                self._connection.close_reason = reason
            # With the lock, or: 1. this thread finds that the connection is open, 2. its owner
            # closes it, and another client gets its descriptor, 3. this thread aborts that. The
            # owner calls `finish`, which takes the lock, before it closes the socket.
            self._connection.abort()
            held = self._drop()
        self._connection.server.pushed.give_back(held)

    def failed(self) -> None:
        """Disconnect the client: the protocol raised an exception."""
        self.cut(CloseReason.ERROR)

    # -- the owner -----------------------------------------------------------------------------

    def attach(self, flush: Callable[[SharedConnection], None]) -> None:
        """Have ``flush`` carry out from now on."""
        self._flush = flush

    @property
    def quiet(self) -> bool:
        """Whether the owner has to read, and nothing to carry out, and the deadline is as it was.

        What is noted later is noted before its thread tries to claim the connection.
        """
        return (
            not (self.noted or self.urgent or self.blocked)
            and self.phase is _OPEN
            and self._reading
            and not self.waits_for_room
        )

    def look_again(self) -> None:
        """Have the owner carry out what is noted, and set the deadline, when it parks next."""
        with self._lock:
            self.urgent = True

    @property
    def reads(self) -> bool:
        """Whether the owner has to hear of what the client sends."""
        if self.phase is _OPEN:
            return self._reading and not self.waits_for_room
        return self.phase is _OVER or self.discards

    @property
    def discards(self) -> bool:
        """Whether what the client sends is discarded, because the connection is about to close.

        A client that waits for its own bytes to be taken may take none. What is to be served
        afterwards has to wait.
        """
        # 1. The owner finds that it is to read. 2. Another thread ends in IDLE. 3. The owner asks
        # this, whose answer does not depend on the first one: what it reads is a request.
        return self.phase is _ENDING and self.after is State.LINGER

    @property
    def incomplete(self) -> bool:
        """Whether the client lacks something that was queued."""
        return bool(self._rest) or self.pending > 0

    def take_resumed(self) -> bool:
        """Return whether reading goes on, and the protocol must look at what it has left."""
        with self._lock:
            resumed, self.resumed = self.resumed, False
            return resumed

    def read_again(self) -> None:
        """Have the protocol told again of what has come, unless reading is stopped.

        There is room again, or a stream of the connection has to be looked at. Any thread may call
        this.
        """
        with self._lock:
            if self._reading and self.phase is not _OVER:
                self._resume()

    def _resume(self) -> None:
        """With the lock: have the owner receive again, and tell the protocol."""
        self.resumed = True
        self.urgent = True

    def next_deadline(self) -> float:
        """Return when the owner has to look at the connection, whatever the client does."""
        with self._lock:
            self.urgent = False
            deadline = self._due if self.drain_told else min(self._due, self.drain_at)
            self._deadline = deadline
            return deadline

    def take_due(self, now: float) -> bool:
        """Return whether the protocol is to be told that its time has come, which then is over."""
        with self._lock:
            due = self._due <= now
            if due:
                self._due = inf
            return due

    def note_drained(self) -> None:
        """Have the protocol told in a turn that the client has taken all that had to wait."""
        if self._supplies:  # it was asked for more
            return
        with self._lock:
            self._tell_drained()

    def send_usual(self, carrier: Carrier) -> bool:
        """Send what the protocol supplies, where nothing else was noted; return if that was all.

        Otherwise the owner looks after all the rest, by `send` and so on. Raises as `send`.
        """
        # What was written before the connection was shared is sent while that is urgent. What is
        # left of what was supplied is blocked, and it is urgent that reading goes on.
        if (
            self.urgent
            or self.blocked
            or self.phase is not _OPEN
            or not self._supplies
            or not self._reading
            or self.waits_for_room
        ):
            return False
        self.noted = False  # before the protocol is asked: see `_send_supply`
        protocol = self.protocol
        data = protocol.output()
        if data:
            sent = carrier.send_now(data) or 0
            if sent < len(data):
                self._rest = memoryview(data)[sent:]
                return False
        return protocol.dry and not self.noted and self.phase is _OPEN

    def send(self) -> int:
        """Send until all is sent or the client takes no more, which `blocked` tells then.

        Returns how many bytes were sent. `ends` tells whether nothing may follow. Raises `OSError`
        when the client is gone.
        """
        carrier: Carrier = self._connection
        moved = 0
        sent = 0
        if carrier.unsent and not carrier.flush():  # what was written before it was shared
            self._block(0)
            return 0
        if self._supplies:
            return self._send_supply(carrier)
        while self._take_next(sent):
            rest = self._rest
            sent = carrier.send_now(rest) or 0
            moved += sent
            if sent < len(rest):
                self._rest = memoryview(rest)[sent:] if sent else rest
                self._block(sent)
                break
            self._rest = b""
        return moved

    def _take_next(self, sent: int) -> bool:
        """Note that ``sent`` bytes are sent, and take what is to be sent next; return if there is.

        All that is taken is sent together.
        """
        with self._lock:
            counted = self._count_sent(sent) if sent else 0
            self.noted = False
            if not self._rest:
                self._rest = self._join()
                if not self._rest:
                    # A thread that queues now finds that the output is not blocked, and flushes.
                    self.blocked = False
                    # 1. The owner finds that nothing is left to be sent. 2. Another thread queues,
                    # and ends. 3. This does not end yet: the owner looks again after it has parked
                    # the connection.
                    self.ends = self.phase is _ENDING
        if counted:
            self._connection.server.pushed.give_back(counted)
        return bool(self._rest)

    def _send_supply(self, carrier: Carrier) -> int:
        """Do the same with what the protocol supplies."""
        protocol = self.protocol
        moved = 0
        self.ends = False
        while True:
            rest = self._rest
            if not rest:
                # 1. Another thread gives the protocol something to be sent. 2. It notes that. What
                # is given before the protocol is asked here is sent now; what is given afterwards
                # is noted afterwards, and found by the owner after it has parked.
                self.noted = False
                rest = protocol.output()
                if not rest:
                    break
            size = len(rest)
            sent = carrier.send_now(rest) or 0
            moved += sent
            if sent < size:
                self._rest = memoryview(rest)[sent:] if sent else rest
                self.blocked = True
                return moved
            self._rest = b""
            if protocol.dry and not self.noted:
                break
        self.blocked = False
        # 1. The protocol has nothing. 2. Another thread gives it something, notes that, and ends.
        # 3. This does not end yet: the owner looks again after it has parked.
        self.ends = self.phase is _ENDING and not self.noted
        return moved

    def _block(self, sent: int) -> None:
        """Note that the client takes no more for now than the ``sent`` bytes."""
        # 1. The client takes no more. 2. Another thread queues, and finds the output not yet
        # blocked and the connection owned. 3. The output is blocked, and the connection is parked
        # for writing: what was queued is sent with the rest.
        with self._lock:
            counted = self._count_sent(sent)
            self.blocked = True
        self._connection.server.pushed.give_back(counted)

    def _count_sent(self, count: int) -> int:
        """With the lock: note that ``count`` bytes are sent; return how many are to be given back.

        1. The owner sends. 2. Another thread cuts the connection, which gives all back. 3. The
        owner may not give back what it has sent once more.
        """
        count = min(count, self.pending)
        self.pending -= count
        if not self.pending:
            self._connection.server.pushing.discard(self)
        return count

    def _join(self) -> bytes:
        """With the lock: take the first piece, and small ones behind it; empty: there is none."""
        queue = self._queue
        if queue is None:
            return b""
        first = queue.popleft()
        size = len(first)
        pieces = [first]
        while queue and size + len(queue[0]) <= _JOINED:
            size += len(queue[0])
            pieces.append(queue.popleft())
        if not queue:
            self._queue = None
        return b"".join(pieces) if len(pieces) > 1 else first

    def breaks(self) -> None:
        """Drop what is queued: the client is found to be gone."""
        with self._lock:
            held = self._drop()
        self._connection.server.pushed.give_back(held)

    def finish(self, reason: CloseReason | None) -> None:
        """Be over, and have the protocol told in a turn; called once, before the socket closes."""
        self._rest = b""  # the application may keep what refers to this
        with self._lock:
            held = self._drop()
            self._tell_ended(reason)
        self._connection.server.pushed.give_back(held)

    def _drop(self) -> int:
        """With the lock: let nothing more be queued; return how many bytes were held."""
        self.phase = _OVER
        self.noted = False
        self.urgent = False
        self._queue = None
        held, self.pending = self.pending, 0
        self._connection.server.pushing.discard(self)
        return held
