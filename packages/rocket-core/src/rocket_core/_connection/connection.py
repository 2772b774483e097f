"""A client's connection: its state, its deadline, and a file-like interface that may wait.

Two styles of use are offered. The blocking methods (`read`, `readline`, iteration, and `write` of
more than the bound) wait for the client; the thread pool is told, and another thread takes the
place of the worker meanwhile. The other methods (`fill`, `take`, `take_through`, `flush`) never
wait, and say "not yet" instead.

Theory of operation
-------------------
Only the owner of a connection calls its methods, with the exceptions that their docstrings name;
`State` tells the owner. The owner may wait for the client only while a worker serves the
connection, in the states ACTIVE and UPGRADED. Any other thread is needed by all clients: in any
other state a wait raises `WaitError`, and the connection is broken, because a part of what was to
be sent is lost.

While a worker waits, it is the only thread that uses the connection, and it still owns it. Another
thread can end the wait in one way only, by `abort`, which makes the socket ready and every further
operation fail.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Sequence
from math import inf
from typing import Any, Final

from rocket_core._connection.budget import GRAIN
from rocket_core._connection.buffers import Buffers
from rocket_core._connection.proxy_preamble import ProxyPreamble
from rocket_core._connection.server_state import NO_SERVER
from rocket_core._connection.shared_connection import QUEUE_BOUND, SharedConnection
from rocket_core._connection.shared_turns import Told
from rocket_core._connection.timeouts import Timeouts
from rocket_core._connection.transfer import Transfer
from rocket_core._errors import ClientGone, WaitError
from rocket_core._native_classes import mypyc_attr
from rocket_core._network.address import Peer
from rocket_core._state import OWNERS, TRANSITIONS, CloseReason, Owner, State, check_transition
from rocket_core._system.poller import READ, WRITE
from rocket_core._system.unsent_bytes import unsent_in_system
from rocket_core._system.wait_ready import wait_ready

_LONGEST_WAIT: Final = 1e6
"""Seconds of one wait at most: `select.poll` takes no more than 24 days."""

_DEFAULT_TIMEOUTS: Final = Timeouts()


@mypyc_attr(allow_interpreted_subclasses=True)
class Connection(Buffers):
    """One client. Only the owner of the connection may call its methods; see `State`.

    It inherits the attributes of the socket, such as ``peer`` and ``secure``, from `Transport`,
    those of the buffers from `Buffers`, and those of the present request from `Exchange`.

    Attributes:
        after: the state that follows SENDING.
        armed: whether the poller knows the socket. For the Monitor.
        context: what the protocol remembers between requests. For the `Worker`.
        created: when the connection was accepted, by `time.time`.
        deadline: when the client's time in the present state is over, by `time.monotonic`.
        last_request: how many requests the connection had served when the server, which drains,
            first found it idle; -1: that has not happened.
        lasting: whether the poller reports every arrival from now on. For the Monitor.
        preamble: what a proxy sends first, until it has arrived; otherwise None.
        requests: how many requests workers have served on the connection, with the present one.
        shared: what any thread may use while the connection is shared; otherwise None.
        state: what the connection waits for.
        timeouts: the limits for the client's time.
        watched_at: when the Monitor looks at the deadline next, by `time.monotonic`. For the
            Monitor.
    """

    __slots__ = (
        "_other_transfer",
        "_transfer",
        "after",
        "armed",
        "context",
        "created",
        "deadline",
        "last_request",
        "lasting",
        "preamble",
        "requests",
        "shared",
        "timeouts",
        "watched_at",
    )

    def __init__(
        self,
        sock: socket.socket,
        peer: Peer | None = None,
        local: Peer | None = None,
        *,
        secure: bool = False,
        timeouts: Timeouts = _DEFAULT_TIMEOUTS,
    ) -> None:
        """Take ``sock``, which becomes non-blocking; it is asked for addresses not given.

        Raises `OSError` when the client is gone already.
        """
        Buffers.__init__(self, sock, peer, local, secure)  # `super` would cost each new client
        self.preamble: ProxyPreamble | None = None
        self.created = time.time()
        self.requests = 0
        self.context: Any = None
        self.shared: SharedConnection | None = None
        self.timeouts = timeouts
        self.state = State.IDLE
        self.after = State.CLOSED
        self.deadline = inf
        self.watched_at = inf
        self.last_request = -1
        self.armed = False
        self.lasting = False
        self._transfer: Transfer | None = None
        """What measures the client's rate, since the first body or response that took a while."""
        self._other_transfer: Transfer | None = None
        """The same for the direction in which the client was not waited for last."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.peer} {self.state.value}>"

    @property
    def connection(self) -> Connection:
        """The connection itself: over HTTP/1.1 it is its own only exchange."""
        return self

    @property
    def draining(self) -> bool:
        """Whether the server drains, so that the present request is the connection's last one."""
        return self.server.draining

    # -- the beginning -------------------------------------------------------------------------

    def expect(self, preamble: ProxyPreamble) -> None:
        """Begin with ``preamble``, in ``State.HANDSHAKE``."""
        self.preamble = preamble
        self.state = State.HANDSHAKE

    def begin(self) -> bool:
        """Take the preamble, then the handshake, as far as they go; return whether both are done.

        Raises `OSError` when the connection is broken, or does not begin as it must, or is one too
        many of its client.
        """
        if self.preamble is not None:
            if not self.preamble.receive(self, self._socket):
                return False
            self.preamble = None
            clients = self.server.clients
            if clients is not None and not clients.admit(self):
                self.close_reason = CloseReason.ABUSE
                raise ClientGone("the client has too many connections")
        return self.handshake()

    # -- state ---------------------------------------------------------------------------------

    def enter(self, state: State) -> None:
        """Move to ``state``. Raises `TransitionError` when it does not follow the present one."""
        if state not in TRANSITIONS[self.state]:
            check_transition(self.state, state)
        self.state = state

    # -- the client's pace ---------------------------------------------------------------------

    def begin_transfer(self, now: float, *, sending: bool = False) -> None:
        """Measure the client's rate from now on, and set the deadline by it."""
        queued = unsent_in_system(self.descriptor) if sending else 0
        before = self._transfer
        if before is not None and before.sending is not sending:
            self._other_transfer = before
        self._transfer = transfer = Transfer(
            self.timeouts, now, queued=queued, request=self.requests, sending=sending
        )
        self.deadline = transfer.deadline

    def resume_transfer(self, now: float, *, sending: bool = False) -> None:
        """Go on with the transfer of the present request in this direction, or else begin it.

        The time since the last wait in this direction does not count against the client, but the
        waits together are judged as one: a client that is too slow gains nothing by a body or a
        response that is read or written in many parts.
        """
        transfer = self._transfer
        if transfer is not None and transfer.sending is not sending:
            transfer, self._other_transfer = self._other_transfer, transfer
        if transfer is None or transfer.request != self.requests:
            self.begin_transfer(now, sending=sending)
        else:
            self._transfer = transfer
            transfer.resume(now, queued=unsent_in_system(self.descriptor) if sending else 0)
            self.deadline = transfer.deadline

    def _pause_transfer(self) -> None:
        """Note that the client has taken enough of a response for the worker to go on."""
        if self._transfer is not None:
            self._transfer.pause(unsent_in_system(self.descriptor), time.monotonic())

    def transferred(self, count: int, *, sending: bool = False) -> None:
        """Note that the client has sent ``count`` more bytes of the present transfer, or taken."""
        transfer = self._transfer
        if transfer is None:
            return
        if transfer.sending is sending:
            transfer.move(count, time.monotonic())
            self.deadline = transfer.deadline
        elif self._other_transfer is not None:
            self._other_transfer.move(count, time.monotonic())

    def still_taking(self) -> bool:
        """Return whether the client, at its deadline, has taken enough to be given more time.

        What the system accepted at once may take a slow client minutes, in which it accepts no
        more; so at a deadline, and only then, the system is asked how much of it is left.
        """
        transfer = self._transfer
        if transfer is None or not transfer.sending:
            return False
        taking = transfer.confirm(unsent_in_system(self.descriptor), time.monotonic())
        if taking:
            self.deadline = transfer.deadline
        return taking

    def pace(self, now: float) -> float:
        """Return the present transfer's rate, in bytes per second. Any thread may call this."""
        transfer = self._transfer
        return 0.0 if transfer is None else transfer.pace(now)

    def transfer_time(self, now: float) -> float:
        """Return the seconds since the present transfer began. Any thread may call this."""
        transfer = self._transfer
        return 0.0 if transfer is None else transfer.age(now)

    @property
    def slow_reason(self) -> CloseReason:
        """The reason to close for while the present transfer is too slow. Any thread may ask."""
        transfer = self._transfer
        sending = transfer is not None and transfer.sending
        return CloseReason.SEND_TIMEOUT if sending else CloseReason.BODY_TIMEOUT

    # -- receiving, waiting --------------------------------------------------------------------

    def read(self, size: int = -1) -> bytes:
        """Read exactly ``size`` bytes, fewer only at the end of the stream; -1: to the end.

        Raises `ClientGone` when the client resets the connection or is too slow.
        """
        self.begin_transfer(time.monotonic())
        while (size < 0 or self.buffered < size) and self.fill_waiting():
            pass
        return self.take(size)

    def readinto(self, buffer: bytearray | memoryview) -> int:
        """Read into all of ``buffer``; return the number of bytes read. Raises as `read`."""
        view = memoryview(buffer).cast("B")
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)

    def readline(self, limit: int = -1) -> bytes:
        """Read one line with its LF, at most ``limit`` bytes of it; empty at the end of the stream.

        Raises `ClientGone` as `read`.
        """
        self.begin_transfer(time.monotonic())
        searched = 0
        while True:
            at = self.find(b"\n", searched)
            if at >= 0:
                return self.take(at + 1 if limit < 0 else min(at + 1, limit))
            searched = self.buffered
            if 0 <= limit <= searched or not self.fill_waiting():
                return self.take(limit)

    def __iter__(self) -> Iterator[bytes]:
        """Iterate over the lines that the client sends, until it stops sending."""
        while line := self.readline():
            yield line

    def fill_waiting(self) -> int:
        """Receive once, waiting for the client; return how many bytes came, 0 at the end.

        What is kept for the client is sent before. Raises `ClientGone` when the client is gone, or
        too slow for the transfer begun last.
        """
        while True:
            try:
                count = self.fill()
            except OSError as error:
                raise self._gone(error) from error
            if count is not None:
                self.transferred(count)
                return count
            if self.unsent:
                self.flush_waiting()
                self.resume_transfer(time.monotonic())
            self._wait(READ)

    # -- sending -------------------------------------------------------------------------------

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send ``data``, or keep what the client does not take at once.

        Up to `OUTPUT_BOUND` bytes are kept; beyond that the call waits for the client, as it does
        beyond `GRAIN` bytes while all connections together hold too much. Raises `ClientGone` when
        the client is gone or too slow, and `WaitError` where a thread may not wait for it.
        """
        if type(data) is not bytes:
            data = memoryview(data).cast("B")
        try:
            if self.unsent:
                self.flush()
            sent = 0 if self.unsent else self.send_now(data) or 0
        except OSError as error:
            raise self._gone(error) from error
        if sent < len(data):
            self._keep_waiting(memoryview(data)[sent:])

    def write_rest(self, data: bytes) -> None:
        """Send the rest of a response, all of which is in memory, as `write` does.

        What the client does not take is kept however much it is, and not copied, unless all that
        is kept would exceed half of what all connections may keep; then as `write`. Further parts
        of the rest may follow in calls of their own.
        """
        try:
            if self.unsent:
                self.flush()
            sent = 0 if self.unsent else self.send_now(data) or 0
        except OSError as error:
            raise self._gone(error) from error
        size = len(data)
        if sent < size:
            view = memoryview(data)[sent:]
            if self.lend(view, size):
                self.unsent = True
            else:
                self._keep_waiting(view)

    def _keep_waiting(self, view: memoryview) -> None:
        """Keep ``view``, and wait for the client while there is no room for all of it."""
        kept = self.keep(view)
        view = view[kept:]
        self.unsent = True
        if not view:
            return
        self.resume_transfer(time.monotonic(), sending=True)
        while view:
            self._wait(WRITE)
            self._flush_measured()
            if not self.unsent:
                # All connections together hold too much: this one has to do without a buffer.
                sent = self._send_measured(view)
                view = view[sent:]
            kept = self.keep(view)
            view = view[kept:]
            self.unsent = bool(self._output)
        self._pause_transfer()

    def _send_measured(self, view: memoryview) -> int:
        try:
            sent = self.send_now(view) or 0
        except OSError as error:
            raise self._gone(error) from error
        if sent:
            self.transferred(sent, sending=True)
        return sent

    def send_file(self, descriptor: int, offset: int, count: int) -> None:
        """Send ``count`` bytes of an open file; what the client does not take at once is kept.

        The descriptor is duplicated and may be closed at once. Raises `ClientGone` when the client
        is gone or the file ends early, `OSError` when no descriptor is left.
        """
        if count > 0:
            self.send_spans(descriptor, [(b"", offset, count)])

    def send_spans(self, descriptor: int, spans: Sequence[tuple[bytes, int, int]]) -> None:
        """Send parts of one open file, each (bytes before it, offset, count), in their order.

        The bytes are few, such as the heads of parts; a count may be 0, but not all of them. Never
        waits. Otherwise as `send_file`.
        """
        self.keep_spans(descriptor, spans)
        self.unsent = True
        self._flush_measured()

    def flush(self) -> bool:
        """Send what is kept, without waiting; return whether all of it is sent.

        Raises `OSError` when the client is gone.
        """
        if not self.unsent:
            return True
        moved = self.send_kept()
        if moved:
            self.transferred(moved, sending=True)
        return not self.unsent

    def _flush_measured(self) -> bool:
        try:
            return self.flush()
        except OSError as error:
            raise self._gone(error) from error

    def flush_waiting(self) -> None:
        """Send what is kept, waiting for the client. Raises `ClientGone`."""
        if self.unsent:
            self.resume_transfer(time.monotonic(), sending=True)
            while not self._flush_measured():
                self._wait(WRITE)
            self._pause_transfer()

    def _gone(self, error: OSError) -> ClientGone:
        return ClientGone(f"{self.peer} is gone: {error}")

    # -- sharing -------------------------------------------------------------------------------

    def share(self, protocol: Told, *, limit: int = QUEUE_BOUND) -> SharedConnection:
        """Let any thread use the connection from now on, through what is returned.

        The owner calls this in `Worker.serve` or `Worker.receive`, and returns ``State.SHARED``.
        From then on ``protocol``, a `SharedProtocol`, is called instead of the worker, and sends
        through the `SharedConnection` alone. What is noted there before follows all that was
        written.

        Args:
            protocol: what is told of all that happens.
            limit: bytes that wait for the client, from which on `SharedConnection.queue` refuses
                more.
        """
        if self.shared is not None:
            raise RuntimeError(f"the connection of {self.peer} is shared already")
        self.shared = SharedConnection(self, protocol, limit)
        return self.shared

    @property
    def transfer_deadline(self) -> float:
        """When the client is too slow, unless it moves something before, by `time.monotonic`."""
        transfer = self._transfer
        return inf if transfer is None else transfer.deadline

    # -- waiting -------------------------------------------------------------------------------

    def _wait(self, interest: int) -> None:
        """Wait until the socket is ready, telling the pool. Raises `ClientGone` at the deadline.

        Raises `WaitError` unless a worker serves the connection; the connection is broken then.
        """
        if OWNERS[self.state] is not Owner.WORKER and self.server is not NO_SERVER:
            self.abort()
            raise WaitError(
                f"{self.peer}: no thread may wait for a client in state {self.state.value!r}; "
                f"only Worker.serve may wait, elsewhere write no more than {GRAIN} bytes at once"
            )
        if self.wants:
            interest, self.wants = self.wants, 0
        with self.server.pool.stalled(self):
            while True:
                timeout = min(self.deadline - time.monotonic(), _LONGEST_WAIT)
                if timeout > 0 and wait_ready(self.descriptor, interest, timeout):
                    return
                if not self.still_taking():
                    break
        # The client may have had to give way to others: 1. the pool notes its reason, 2. it aborts
        # the connection, and 3. this thread finds the deadline over before it notices that. The
        # reason that was noted first counts.
        if self.close_reason is None:
            self.close_reason = self.slow_reason
        # What was to be sent next is lost, so that nothing may follow it.
        self.abort()
        raise ClientGone(f"{self.peer} is too slow")

    # -- the end -------------------------------------------------------------------------------

    def let_go(self) -> None:
        """In a process that the application forked: close the copy that it has inherited."""
        self._socket.close()
        self.descriptor = -1
        if self.upgraded is not None:
            self.upgraded.let_go()


def make_connection(
    sock: socket.socket, peer: Peer, local: Peer | None, timeouts: Timeouts
) -> Connection:
    """Make a connection without TLS. Raises as the constructor.

    From interpreted code, the keyword arguments of the constructor would cost each new client.
    """
    return Connection(sock, peer, local, timeouts=timeouts)
