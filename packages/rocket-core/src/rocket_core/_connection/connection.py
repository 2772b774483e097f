"""A client's connection: a non-blocking socket with a buffered, file-like interface.

Two styles of use are offered. The blocking methods (`read`, `readline`, iteration, `write` of more
than the bound) wait for the client; a pool that owns the thread is told, and replaces it meanwhile.
The others (`fill`, `take`, `take_through`, `flush`) never wait and say "not yet".
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Any, Final

from rocket_core._connection.budget import GRAIN
from rocket_core._connection.output import OUTPUT_BOUND, Output
from rocket_core._connection.proxy_preamble import ProxyPreamble
from rocket_core._connection.server_state import NO_SERVER
from rocket_core._connection.timeouts import Timeouts
from rocket_core._connection.transfer import Transfer
from rocket_core._errors import ClientGone, NotYet, WaitError
from rocket_core._network.address import Peer, peer_of
from rocket_core._reason import CloseReason
from rocket_core._state import OWNERS, TRANSITIONS, Owner, State, check_transition
from rocket_core._system.forks import close_socket
from rocket_core._system.poller import READ, WRITE
from rocket_core._system.sendfile import send_file
from rocket_core._system.unsent_bytes import unsent_in_system
from rocket_core._system.wait_ready import wait_ready

if TYPE_CHECKING:
    from rocket_core._connection.lease import Lease
    from rocket_core._connection.upgraded_socket import UpgradedSocket

RECEIVE_SIZE: Final = 16 * 1024
"""Bytes asked of the system at once. A TLS record carries no more."""

_LONGEST_WAIT: Final = 1e6
"""Seconds that `select.poll` takes, which knows nothing longer than 24 days."""

_RESET: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""Closing waits for nothing, and sends nothing but a reset (socket(7), SO_LINGER)."""

_DEFAULT_TIMEOUTS: Final = Timeouts()


class Connection:
    """One client. Only its owner may call its methods; see `State`.

    Attributes:
        state: what it waits for.
        peer: the client's address.
        client: the host that sent the present request, where the peer is a proxy that the protocol
            believes; empty where that proxy does not tell; None where the peer is the client.
        local: the address the client reached.
        proxy: the other end of the socket, where that is a proxy that announced the client (see
            `Listener`); otherwise None.
        secure: whether TLS protects it, or the way to the proxy.
        protocol: the protocol that the TLS handshake has agreed on, by its ALPN name (RFC 7301),
            such as ``http/1.1``; None where none was agreed, or before that.
        environ: what a layer below the protocol tells applications of the connection, such as who
            the client has proved to be, under the names they know; None where there is nothing.
            Set once, before the first request.
        preamble: what a proxy sends first, until it has arrived.
        created: when it was accepted, by `time.time`.
        requests: how many requests a worker has served on it.
        context: what the protocol remembers between requests; for the `Worker` to use.
        host: the server's side of it; see `draining`.
        buffered: bytes received and not yet taken.
        claimed_at: when its last event was noticed, by `time.monotonic`.
        unsent: whether the client has yet to take something that was written.
        drained: whether the last `receive_now` took all there was. A subclass that does not tell,
            and leaves it False, is asked again whenever it is parked.
        queue_time: seconds its present request waited for a worker.
        turn: the present request's, where the server limits the time of requests. A worker that
            offers it while it does not use the connection can be overtaken, and claims it again
            before it does; see `Lease`.
        upgraded: what the application uses the connection through while it has taken it over.
    """

    __slots__ = (
        "_broken_off",
        "_buffer",
        "_output",
        "_position",
        "_socket",
        "_transfer",
        "after",
        "armed",
        "buffered",
        "claimed_at",
        "client",
        "close_reason",
        "context",
        "created",
        "deadline",
        "descriptor",
        "drained",
        "environ",
        "host",
        "last_request",
        "lasting",
        "local",
        "peer",
        "preamble",
        "protocol",
        "proxy",
        "queue_time",
        "requests",
        "secure",
        "stalled_request",
        "stalled_since",
        "state",
        "timeouts",
        "turn",
        "unsent",
        "upgraded",
        "wants",
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
        """Take ``sock``, which becomes non-blocking; addresses not given are asked for."""
        sock.setblocking(False)
        self._socket = sock
        self.descriptor = sock.fileno()
        self.peer = peer if peer is not None else peer_of(sock.getpeername())
        self.local = local if local is not None else peer_of(sock.getsockname())
        self.client: str | None = None
        self.proxy: Peer | None = None
        self.environ: Mapping[str, str] | None = None
        self.preamble: ProxyPreamble | None = None
        self.secure = secure
        self.protocol: str | None = None
        self.created = time.time()
        self.requests = 0
        self.context: Any = None
        self.timeouts = timeouts
        self.state = State.IDLE
        self.after = State.CLOSED
        """The state that follows SENDING."""
        self.close_reason: CloseReason | None = None
        self.host = NO_SERVER
        self.deadline = inf
        self.watched_at = inf
        self.claimed_at = 0.0
        self.queue_time = 0.0
        self.turn: Lease | None = None
        self.upgraded: UpgradedSocket | None = None
        self.stalled_request = -1
        """The number of the request in which a worker had to wait for the client."""
        self.stalled_since = 0.0
        """When that began."""
        self.last_request = -1
        """How many it had served when the server, which drains, first found it idle."""
        self.armed = False
        self.lasting = False
        """Whether the poller reports every arrival from now on."""
        self.drained = False
        self.unsent = False
        self.wants = 0
        """What a TLS layer needs the socket to be ready for, where the state says otherwise."""
        self.buffered = 0
        self._buffer: bytes | bytearray = b""
        self._position = 0
        self._broken_off = False
        self._output: Output | None = None
        self._transfer: Transfer | None = None
        """What measures the client's rate, since the first body or response that took a while."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.peer} {self.state.value}>"

    @property
    def draining(self) -> bool:
        """Whether the server drains, so that this is the connection's last request."""
        return self.host.draining

    # -- state ---------------------------------------------------------------------------------

    def enter(self, state: State) -> None:
        """Move to ``state``. Raises `TransitionError` when it does not follow."""
        if state not in TRANSITIONS[self.state]:
            check_transition(self.state, state)
        self.state = state

    def begin_transfer(self, now: float, *, sending: bool = False) -> None:
        """Measure the client's rate from now on."""
        queued = unsent_in_system(self.descriptor) if sending else 0
        self._transfer = transfer = Transfer(self.timeouts, now, queued=queued)
        self.deadline = transfer.deadline

    def put_off(self, seconds: float) -> None:
        """Time in which the client was not waited for does not count against it."""
        if self._transfer is not None:
            self._transfer.put_off(seconds)
        self.deadline += seconds

    def transferred(self, count: int) -> None:
        """``count`` more bytes of the present transfer have moved."""
        transfer = self._transfer
        if transfer is not None:
            transfer.move(count, time.monotonic())
            self.deadline = transfer.deadline

    def still_taking(self) -> bool:
        """Whether the client, at its deadline, has taken enough to be given more time.

        What the system accepted at once may take a slow client minutes, in which it accepts no
        more; so at a deadline, and only then, the system is asked how much of it is left.
        """
        transfer = self._transfer
        if transfer is None:
            return False
        taking = transfer.confirm(unsent_in_system(self.descriptor), time.monotonic())
        if taking:
            self.deadline = transfer.deadline
        return taking

    def pace(self, now: float) -> float:
        """Bytes per second of the present transfer, lately. Any thread may call this."""
        transfer = self._transfer
        return 0.0 if transfer is None else transfer.pace(now)

    def transfer_time(self, now: float) -> float:
        """Seconds since the present transfer began. Any thread may call this."""
        transfer = self._transfer
        return 0.0 if transfer is None else transfer.age(now)

    # -- receiving, never waiting --------------------------------------------------------------

    def fill(self, size: int = RECEIVE_SIZE) -> int | None:
        """Receive up to ``size`` bytes once.

        Returns the number of bytes that came, 0 at the end of the stream, None: not yet.

        Raises `OSError` when the connection is broken.
        """
        try:
            data = self.receive_now(size)
        except (BlockingIOError, InterruptedError):
            return None
        except NotYet as error:
            self.wants = error.interest
            return None
        count = len(data)
        if self.buffered:
            if isinstance(self._buffer, bytearray):
                del self._buffer[: self._position]
            else:
                self._buffer = bytearray(memoryview(self._buffer)[self._position :])
            self._buffer += data
            self.buffered += count
        else:
            self._buffer = data
            self.buffered = count
        self._position = 0
        return count

    def peek(self, size: int = -1) -> bytes:
        """Up to ``size`` bytes of what is buffered (-1: all of it), without taking them."""
        end = len(self._buffer) if size < 0 else self._position + size
        return bytes(self._buffer[self._position : end])

    def take(self, size: int = -1) -> bytes:
        """Take up to ``size`` bytes of what is buffered (-1: all of it)."""
        if not 0 <= size < self.buffered:
            size = self.buffered
        buffer, start = self._buffer, self._position
        end = start + size
        self.buffered = left = self.buffered - size
        if left:
            self._move_to(end, left)
        else:
            self._buffer = b""  # an idle connection keeps nothing
            self._position = 0
        taken = buffer[start:end]
        return taken if type(taken) is bytes else bytes(taken)

    def _move_to(self, end: int, left: int) -> None:
        """What is ``left`` begins at ``end``; a little of it does not keep the memory of much."""
        size = len(self._buffer)
        if size > RECEIVE_SIZE and left < size // 4:
            self._buffer = self._buffer[end:]
            end = 0
        self._position = end

    def find(self, mark: bytes, start: int = 0) -> int:
        """Where ``mark`` begins in what is buffered, counted from its beginning; -1: nowhere."""
        at = self._buffer.find(mark, self._position + start)
        return at if at < 0 else at - self._position

    def take_through(self, mark: bytes) -> bytes | None:
        """Take what is buffered up to ``mark``, which is taken too but not returned."""
        buffer, start = self._buffer, self._position
        at = buffer.find(mark, start)
        if at < 0:
            return None
        end = at + len(mark)
        self.buffered = left = self.buffered - (end - start)
        if left:
            self._position = end
        else:
            self._buffer = b""
            self._position = 0
        taken = buffer[start:at]
        return taken if type(taken) is bytes else bytes(taken)

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
        """Read into all of ``buffer``; the number of bytes read. Raises as `read`."""
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
        """The lines that the client sends, until it stops sending."""
        while line := self.readline():
            yield line

    def fill_waiting(self) -> int:
        """Receive once, waiting for the client: the number of bytes, 0 at the end of the stream.

        What is kept for the client is sent before. Raises `ClientGone` when it is gone, or too slow
        for the transfer begun last.
        """
        while True:
            try:
                count = self.fill()
            except OSError as error:
                raise self._gone(error) from error
            if count is not None:
                self.transferred(count)
                return count
            self.flush_waiting()
            self._wait(READ)

    # -- sending -------------------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Bytes held for the client, which has not taken them yet. Any thread may ask."""
        output = self._output  # which its owner may drop meanwhile
        return 0 if output is None else output.held

    def holds(self, size: int) -> bool:
        """Whether `write` of ``size`` bytes, after all else was sent, will not wait."""
        return size <= GRAIN or (size <= OUTPUT_BOUND and self.host.output.ample)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send ``data``, or keep what the client does not take at once.

        Up to `OUTPUT_BOUND` bytes are kept; beyond that the call waits for the client, as it does
        beyond `GRAIN` bytes while all connections together hold too much. Raises `ClientGone` when
        the client is gone or too slow, and `WaitError` where it may not be waited for.
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
            self._keep(memoryview(data)[sent:])

    sendall = write

    def write_rest(self, data: bytes) -> None:
        """`write` the rest of a response, of which nothing is left to be made.

        What the client does not take is kept however much it is, and not copied, while all that is
        kept is less than half of what all connections may keep; otherwise as `write`. Further parts
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
            if self._room().lend(view, size):
                self.unsent = True
            else:
                self._keep(view)

    def _keep(self, view: memoryview) -> None:
        view = view[self._room().add(view) :]
        self.unsent = True
        if not view:
            return
        self.begin_transfer(time.monotonic(), sending=True)
        while view:
            self._wait(WRITE)
            self._flush_measured()
            if not self.unsent:
                # All connections together hold too much: this one has to do without.
                view = view[self._send_measured(view) :]
            view = view[self._room().add(view) :]
            self.unsent = bool(self._output)

    def _room(self) -> Output:
        if self._output is None:
            self._output = Output(self.host.output)
        return self._output

    def _send_measured(self, view: memoryview) -> int:
        try:
            sent = self.send_now(view) or 0
        except OSError as error:
            raise self._gone(error) from error
        if sent:
            self.transferred(sent)
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
        self._room().add_spans(descriptor, spans)
        self.unsent = True
        self._flush_measured()

    def flush(self) -> bool:
        """Send what is kept, without waiting; whether all of it is sent.

        Raises `OSError` when the client is gone.
        """
        if self._output is None or not self.unsent:
            return True
        moved = self._output.flush(self)
        if moved:
            self.transferred(moved)
        if self._output:
            return False
        self._output = None  # as small as it is, there are many connections
        self.unsent = False
        return True

    def _flush_measured(self) -> None:
        try:
            self.flush()
        except OSError as error:
            raise self._gone(error) from error

    def client_left(self) -> bool:
        """Whether the client has closed the connection, or its side of it. Never waits.

        What it sent before stays to be received. Nobody can tell a client that has closed from one
        that will send nothing more and still reads, until something is sent to it.
        """
        return _has_left(self._socket)

    def is_broken(self) -> bool:
        """Whether the client certainly reads nothing more. Never waits.

        It has reset the connection, or closed a Unix socket. A client that has closed its side of
        it may still read, and is told apart where the system can do that.
        """
        return _is_broken(self._socket)

    def flush_waiting(self) -> None:
        """Send what is kept, waiting for the client. Raises `ClientGone`."""
        if self.unsent:
            self.begin_transfer(time.monotonic(), sending=True)
            self._flush_measured()
            while self.unsent:
                self._wait(WRITE)
                self._flush_measured()

    def _gone(self, error: OSError) -> ClientGone:
        return ClientGone(f"{self.peer} is gone: {error}")

    # -- waiting -------------------------------------------------------------------------------

    def _wait(self, interest: int) -> None:
        """Wait until the socket is ready, telling the pool. Raises `ClientGone` at the deadline.

        Raises `WaitError` unless a worker serves the connection: any other thread is needed by all
        clients. The connection is broken then, since a part of what was to be sent is lost.
        """
        if OWNERS[self.state] is not Owner.WORKER and self.host is not NO_SERVER:
            self.abort()
            raise WaitError(
                f"{self.peer}: a connection in state {self.state.value!r} may not be waited for; "
                f"only Worker.serve may, elsewhere no more than {GRAIN} bytes are written at once"
            )
        if self.wants:
            interest, self.wants = self.wants, 0
        with self.host.stalled(self):
            while True:
                timeout = min(self.deadline - time.monotonic(), _LONGEST_WAIT)
                if timeout > 0 and wait_ready(self.descriptor, interest, timeout):
                    return
                if interest != WRITE or not self.still_taking():
                    break
        if self.close_reason is None:
            slow = interest == WRITE
            self.close_reason = CloseReason.SEND_TIMEOUT if slow else CloseReason.BODY_TIMEOUT
        # What was to be sent next is lost, so that nothing may follow it.
        self.abort()
        raise ClientGone(f"{self.peer} is too slow")

    # -- the end -------------------------------------------------------------------------------

    def discard(self) -> bool:
        """Throw away what the client sends; whether it has stopped sending.

        Raises `OSError` when the connection is broken.
        """
        for _ in range(64):
            self.take()
            count = self.fill()
            if count is None:
                return False
            if count == 0:
                return True
        return False

    def close(self) -> None:
        """Close the socket at once, and drop what was not sent; the client is not to miss that."""
        if self._output is not None:
            if self.unsent:
                self.break_off()
            self._output.clear()
            self._output = None
            self.unsent = False
        if self._broken_off:
            self._socket.close()  # a shutdown would end the stream, and no reset would follow
        else:
            close_socket(self._socket)

    def let_go(self) -> None:
        """In a process that the application forked: close the copy that it has inherited."""
        self._socket.close()
        if self.upgraded is not None:
            self.upgraded.let_go()

    def break_off(self) -> None:
        """Have the connection end in a reset, where it is TCP.

        Otherwise it would end as it does behind a whole response, for a client that finds the end
        of the response by that.
        """
        self._broken_off = True
        with suppress(OSError):  # it is broken already
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    # -- the beginning -------------------------------------------------------------------------

    def expect(self, preamble: ProxyPreamble) -> None:
        """Begin with ``preamble``, in ``State.HANDSHAKE``."""
        self.preamble = preamble
        self.state = State.HANDSHAKE

    def begin(self) -> bool:
        """Take the preamble, then the handshake, as far as they go; whether both are complete.

        Raises `OSError`.
        """
        if self.preamble is not None:
            if not self.preamble.receive(self, self._socket):
                return False
            self.preamble = None
        return self.handshake()

    # -- what a TLS connection does differently --------------------------------------------------

    def handshake(self) -> bool:
        """Take the handshake as far as it goes; whether it is complete. Raises `OSError`."""
        return True

    def receive_now(self, size: int) -> bytes:
        """One receive. Raises `BlockingIOError` or `NotYet` when nothing is there, `OSError`."""
        data = self._socket.recv(size)
        self.drained = len(data) < size
        return data

    def send_now(self, data: bytes | bytearray | memoryview) -> int | None:
        """One send: the number of bytes taken, or None: not yet. Raises `OSError`."""
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return None

    def send_file_now(self, descriptor: int, offset: int, count: int) -> int | None:
        """One send from a file: the number of bytes taken, 0 at its end, None: not yet."""
        return send_file(self._socket, descriptor, offset, count)

    def shut_down(self) -> None:
        """Tell the client, unless it is gone, that nothing more will be sent. Raises `OSError`."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def keep_alive(self) -> None:
        """Have the system ask a silent client whether it is there. Raises `OSError`."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def abort(self) -> None:
        """Make every present and future operation on the socket fail. Any thread may call this."""
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            return


if hasattr(select, "POLLRDHUP"):
    _LEFT: Final = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL

    def _has_left(sock: socket.socket) -> bool:
        if sock.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(sock, _LEFT)
        return bool(poll.poll(0))

    def _is_broken(sock: socket.socket) -> bool:
        if sock.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(sock, 0)  # a reset and the end of both sides are always told
        return bool(poll.poll(0))

else:  # pragma: no cover - not Linux

    def _has_left(sock: socket.socket) -> bool:
        try:
            return not sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True

    def _is_broken(sock: socket.socket) -> bool:
        try:
            sock.recv(1, socket.MSG_PEEK)
        except (BlockingIOError, InterruptedError):
            return False
        except OSError:
            return True
        return False
