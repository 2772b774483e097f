"""A connection as a blocking socket, for an application with a protocol of its own."""

from __future__ import annotations

import errno
import select
import socket
import sys
import threading
import time
from contextlib import suppress
from enum import Enum
from math import inf
from typing import TYPE_CHECKING, Final

from rocket_core._errors import ClientGone
from rocket_core._state import CloseReason, State
from rocket_core._system.poller import READ, WRITE
from rocket_core._system.wait_ready import wait_ready
from rocket_core._system.waker import Waker

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rocket_core._connection.connection import Connection


class _Phase(Enum):
    """Whose the connection is."""

    OFFERED = "offered"
    """The server's, until the first use."""
    TAKEN = "taken"
    """The application's."""
    DRAINING = "draining"
    """As before, but what has arrived is the last that it receives."""
    CLOSED = "closed"
    """The application is done with it; the server has yet to take it back."""
    ENDED = "ended"
    """The server's, for good."""

    __hash__ = object.__hash__


_USABLE: Final = frozenset({_Phase.TAKEN, _Phase.DRAINING})


class UpgradedSocket:
    """What the application takes over a connection with (RFC 9110, section 7.8).

    The first use takes it over: nothing of the server's is sent after that, its worker is replaced
    until `end`, and the time-outs for requests do not count. Any number of threads may use it. What
    it sends and receives goes through TLS where the connection does.

    Receiving has no time-out by default. A client that takes nothing of what is sent to it for the
    time-out ``stall`` is cut, and so is one with which no byte is exchanged for the time-out
    ``silence``. When the server drains, what has arrived can still be received, and
    then comes the end of the stream.

    Every use raises `OSError` when the connection is broken or closed.

    ``_lock`` guards the phase, the connection, the number of those who wait, and the descriptors.
    ``_sending`` is held by the one thread that sends, so that messages are not mixed up; it is
    taken first.
    """

    def __init__(self, connection: Connection) -> None:
        """Offer ``connection``, which is ACTIVE. Called by its worker."""
        self._lock = threading.Condition(threading.Lock())
        self._sending = threading.Lock()
        self._connection = connection
        self._phase = _Phase.OFFERED
        self._timeout: float | None = None
        self._waiting = 0
        self._wake: Waker | None = None
        self._readiness: _Readiness | None = None
        self._moved_at = time.monotonic()
        self.sent = 0
        """Bytes sent so far."""

    # -- the server's side ---------------------------------------------------------------------

    @property
    def taken(self) -> bool:
        """Whether the application has taken the connection over."""
        return self._wake is not None

    def withdraw(self) -> bool:
        """The worker is about to answer itself; False when the connection was taken over."""
        with self._lock:
            if self._phase is _Phase.OFFERED:
                self._phase = _Phase.ENDED
            return not self.taken

    def end(self) -> None:
        """The application is done: from here on the connection is its worker's again.

        Whoever still waits for it gets an `OSError`.
        """
        with self._lock:
            self._phase = _Phase.ENDED
            if self._wake is None:
                return
            self._wake.set()
            with suppress(OSError):
                self._connection.shut_down()  # wakes those who send
            self._lock.wait_for(lambda: not self._waiting)
            self._wake.close()
            if self._readiness is not None:
                self._readiness.close()
                self._readiness = None
            self._connection.upgraded = None
        self._connection.server.pool.downgrade(self)

    def let_go(self) -> None:
        """In a process that the application forked: close the copies that it has inherited."""
        if self._wake is not None:
            self._wake.close()
        if self._readiness is not None:
            self._readiness.close()

    def end_input(self) -> None:
        """Have what has arrived be the last that is received. Any thread may call this."""
        with self._lock:
            self._end_input()

    def cut_if_silent(self, since: float) -> float:
        """Cut the connection if nothing has moved after ``since``; when something has moved last.

        All times are those of `time.monotonic`. Any thread may call this.
        """
        with self._lock:
            if self._moved_at <= since and self._phase in _USABLE:
                self._moved_at = time.monotonic()  # it is cut once, and its end may take a while
                self._connection.close_reason = CloseReason.SILENCE_TIMEOUT
                self._connection.abort()
            return self._moved_at

    def _end_input(self) -> None:
        if self._phase is _Phase.TAKEN and self._wake is not None:
            self._phase = _Phase.DRAINING
            self._wake.set()
            self._show(self._connection)

    def _take(self) -> None:
        """With the lock: take the connection over. Raises `OSError` when that cannot be."""
        connection = self._connection
        wake = Waker()
        try:
            if connection.lease is not None:
                connection.lease.claim()
            if not connection.server.pool.upgrade(self):
                if connection.lease is not None:
                    connection.lease.release()
                raise OSError(errno.EAGAIN, "too many connections are taken over already")
        except BaseException:
            wake.close()
            raise
        if connection.lease is not None:
            connection.lease.finish()
        self._wake = wake
        self._phase = _Phase.TAKEN
        self._moved_at = time.monotonic()
        connection.enter(State.UPGRADED)
        connection.keep_alive()
        connection.upgraded = self
        # Looked at afterwards, or a drain that begins in between would miss this connection.
        if connection.server.draining:
            self._end_input()

    def _use(self) -> Connection:
        """With the lock: the connection. Raises `OSError` when it is closed."""
        if self._phase is _Phase.OFFERED:
            self._take()
        if self._phase not in _USABLE:
            raise OSError(errno.EBADF, "the connection is closed")
        return self._connection

    # -- for the application -------------------------------------------------------------------

    def fileno(self) -> int:
        """A descriptor that is ready for reading when `recv` would not wait; -1 when closed.

        It is of no other use: bytes may be buffered or encrypted, so the system does not know.
        """
        with self._lock:
            try:
                connection = self._use()
            except OSError:
                if self.taken:
                    return -1
                raise
            if self._readiness is None:
                self._readiness = _Readiness(connection.descriptor)
                self._show(connection)
            return self._readiness.descriptor

    def _show(self, connection: Connection) -> None:
        if self._readiness is not None:
            ended = self._phase is _Phase.DRAINING
            self._readiness.show(pending=ended or connection.buffered > 0)

    def settimeout(self, seconds: float | None) -> None:
        """How long receiving and sending wait; None: as long as the connection is good for."""
        if seconds is not None and not seconds >= 0:
            raise ValueError("the time-out must not be negative")
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """What `settimeout` was given last."""
        return self._timeout

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive up to ``size`` bytes; none at the end of the stream.

        Raises `TimeoutError`, and `OSError` as described above.
        """
        _check_flags(flags)
        if size < 0:
            raise ValueError("the size must not be negative")
        until = _until(self._timeout)
        with self._lock:
            while True:
                connection = self._use()
                if connection.buffered or connection.fill() is not None:
                    self._moved_at = time.monotonic()
                    data = connection.take(size)
                    self._show(connection)
                    return data
                if self._phase is _Phase.DRAINING:
                    return b""
                if not self._wait(READ, until):
                    raise TimeoutError("timed out")

    def send(self, data: bytes | bytearray | memoryview, flags: int = 0, /) -> int:
        """Send all of ``data``; its size in bytes. Raises as `sendall`."""
        self.sendall(data, flags)
        return len(memoryview(data).cast("B"))

    def sendall(self, data: bytes | bytearray | memoryview, flags: int = 0, /) -> None:
        """Send all of ``data``.

        Raises `TimeoutError` when the client takes nothing for so long; then the connection is cut,
        because a part may have been sent. Raises `OSError` as described above.
        """
        _check_flags(flags)
        with self._sending, self._lock:
            for part in self._parts(memoryview(data).cast("B")):
                connection = self._use()
                stall = connection.timeouts.stall if self._timeout is None else self._timeout
                until = _until(stall)
                while (sent := _send(connection, part)) is None:
                    if not self._wait(WRITE, until):
                        connection.abort()
                        raise TimeoutError("the client takes nothing")
                    connection = self._use()
                self._moved_at = time.monotonic()
                self.sent += sent

    def _parts(self, view: memoryview) -> Iterator[memoryview]:
        before = self.sent
        end = before + len(view)
        while self.sent < end:
            yield view[self.sent - before :]

    def shutdown(self, how: int, /) -> None:
        """End one direction or both, as `socket.socket.shutdown`."""
        with self._lock:
            connection = self._use()
            if how != socket.SHUT_RD:
                connection.shut_down()
            if how != socket.SHUT_WR:
                self._end_input()

    def close(self) -> None:
        """Tell the client that nothing more will be sent, and have every further use fail."""
        with self._lock:
            if self._phase is _Phase.OFFERED:
                self._take()
            if self._phase in _USABLE and self._wake is not None:
                self._phase = _Phase.CLOSED
                self._wake.set()
                with suppress(OSError):
                    self._connection.shut_down()

    def _wait(self, interest: int, until: float) -> bool:
        """With the lock, which is given up meanwhile: wait for the client; False: timed out."""
        connection, wake = self._connection, self._wake
        if wake is None:
            raise ClientGone("nobody has taken the connection over")
        # A thread that sends is woken by what makes sending fail. One that receives is woken by the
        # end of the input, whatever TLS waits for: 1. it waits until the client takes an answer of
        # TLS, or sends something. 2. The server drains. 3. The client does neither.
        waking = wake.descriptor if interest == READ else None
        interest, connection.wants = connection.wants or interest, 0
        self._waiting += 1
        self._lock.release()
        try:
            timeout = None if until == inf else max(until - time.monotonic(), 0.0)
            return wait_ready(connection.descriptor, interest, timeout, waking)
        finally:
            self._lock.acquire()
            self._waiting -= 1
            self._lock.notify_all()


class _Readiness:
    """A descriptor that is ready for reading when a socket is, or something is pending."""

    def __init__(self, descriptor: int) -> None:
        self._pending = Waker()
        self._shown = False
        self._set = _DescriptorSet((descriptor, self._pending.descriptor))
        self.descriptor = self._set.fileno()

    def show(self, *, pending: bool) -> None:
        """Say whether something is pending."""
        if pending and not self._shown:
            self._pending.set()
        elif self._shown and not pending:
            self._pending.clear()
        self._shown = pending

    def close(self) -> None:
        """Release the descriptors, and wake those who wait for this one."""
        self._pending.set()
        self._set.close()
        self._pending.close()


if sys.platform == "linux":

    class _DescriptorSet:
        """A descriptor that is ready for reading when one of others is."""

        def __init__(self, descriptors: Sequence[int]) -> None:
            self._epoll = select.epoll()
            for each in descriptors:
                self._epoll.register(each, select.EPOLLIN)
            self.fileno = self._epoll.fileno
            self.close = self._epoll.close

elif sys.platform != "win32":  # pragma: no cover - BSD and macOS

    class _DescriptorSet:
        """A descriptor that is ready for reading when one of others is."""

        def __init__(self, descriptors: Sequence[int]) -> None:
            self._kqueue = select.kqueue()
            flags = select.KQ_EV_ADD
            added = [select.kevent(each, select.KQ_FILTER_READ, flags) for each in descriptors]
            self._kqueue.control(added, 0, 0)
            self.fileno = self._kqueue.fileno
            self.close = self._kqueue.close

else:  # pragma: no cover - Windows

    class _DescriptorSet:
        """The first of the descriptors: the system cannot combine them."""

        def __init__(self, descriptors: Sequence[int]) -> None:
            self._first = descriptors[0]

        def fileno(self) -> int:
            return self._first

        def close(self) -> None:
            return


def _check_flags(flags: int) -> None:
    if flags:
        raise ValueError("no flags are supported")


def _until(timeout: float | None) -> float:
    return inf if timeout is None else time.monotonic() + timeout


def _send(connection: Connection, data: memoryview) -> int | None:
    """Send once, after what the server has yet to send; the bytes sent, None: not yet."""
    return connection.send_now(data) if connection.flush() else None
