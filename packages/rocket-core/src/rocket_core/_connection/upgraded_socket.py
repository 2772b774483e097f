"""A connection as a blocking socket, for an application that speaks a protocol of its own.

Theory of operation
-------------------
A worker offers the connection to the application. The first use takes the connection over; until
then the worker may withdraw the offer, and answer the request itself. From the first use to `end`
the state of the connection is UPGRADED, and its owner is the application: a worker stays with it,
but any number of threads may use it. Here a lock guards the connection, which otherwise has none.

    =========  ==================================================  =========================
    phase      meaning                                             followed by
    =========  ==================================================  =========================
    OFFERED    the worker owns the connection                      TAKEN, ENDED
    TAKEN      the application uses it                             DRAINING, CLOSED, ENDED
    DRAINING   as TAKEN, but no more input than has arrived        CLOSED, ENDED
    CLOSED     the application has closed it                       ENDED
    ENDED      the worker owns the connection again, for good      -
    =========  ==================================================  =========================

A thread that must wait for the client gives up the lock meanwhile, so that one thread can send
while another receives. `end` therefore wakes all threads that wait, and returns when they have
gone: only then may the worker close the descriptor for which they have waited.

The Monitor's thread calls `end_input` and `cut_if_silent`. It finds the object by
``connection.upgraded``, which is set from the first use to `end`.

Two locks are taken in this order: ``_sending``, which the one thread that sends holds for a whole
message, and ``_lock``. The lock of the thread pool may be taken under both.
"""

from __future__ import annotations

import errno
import select
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from enum import Enum
from math import inf
from typing import Final, Protocol

from rocket_core._connection.connection import Connection
from rocket_core._errors import ClientGone
from rocket_core._state import CloseReason, State
from rocket_core._system.poller import READ, WRITE
from rocket_core._system.wait_ready import wait_ready
from rocket_core._system.waker import Waker


class _Phase(Enum):
    """The part of the program that uses the connection."""

    OFFERED = "offered"
    """The worker, until the application's first use."""
    TAKEN = "taken"
    """The application."""
    DRAINING = "draining"
    """The application, which receives what has arrived and nothing more."""
    CLOSED = "closed"
    """The application is done with the connection; the worker has yet to take it back."""
    ENDED = "ended"
    """The worker, for good."""

    __hash__ = object.__hash__


_USABLE: Final = frozenset({_Phase.TAKEN, _Phase.DRAINING})


class UpgradedSocket:
    """A connection that an application may take over (RFC 9110, section 7.8).

    The first use takes the connection over: after that the server sends nothing of its own, another
    thread takes the place of the worker until `end`, and the time-outs for requests do not count.
    Any number of threads may use the socket. What it sends and receives goes through TLS where the
    connection does.

    Receiving has no time-out by default. The server disconnects a client that takes nothing of what
    is sent to it for the time-out ``stall``, and a client with which no byte is exchanged for the
    time-out ``silence``. When the server drains, the application can still receive what has
    arrived, and then finds the end of the stream.

    Every use raises `OSError` when the connection is broken or closed.

    ``_lock`` guards the phase, the connection, the number of threads that wait, and the
    descriptors. ``_sending`` is held by the one thread that sends, so that messages are not mixed
    up.

    Attributes:
        sent: bytes sent so far.
    """

    def __init__(self, connection: Connection) -> None:
        """Offer ``connection``, which is ACTIVE. For its worker."""
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

    # -- the server's side ---------------------------------------------------------------------

    @property
    def taken(self) -> bool:
        """Whether the application has taken the connection over."""
        return self._wake is not None

    def withdraw(self) -> bool:
        """Take the offer back; return False when the application has taken the connection over.

        For the worker, which answers the request itself after that.
        """
        with self._lock:
            if self._phase is _Phase.OFFERED:
                self._phase = _Phase.ENDED
            return not self.taken

    def end(self) -> None:
        """Return the connection to its worker, for good, since the application is done.

        Every thread that still waits for the client gets an `OSError`.
        """
        with self._lock:
            self._phase = _Phase.ENDED
            if self._wake is None:
                return
            # 1. Another thread waits for the client, without the lock. 2. This worker returns, and
            # the server closes the connection. 3. The descriptor for which the other thread waits
            # belongs to another connection. So every thread that waits is woken, and gone before
            # this method returns.
            self._wake.set()
            with suppress(OSError):
                self._connection.shut_down()  # wakes threads that send
            self._lock.wait_for(lambda: not self._waiting)
            self._wake.close()
            if self._readiness is not None:
                self._readiness.close()
                self._readiness = None
            self._connection.upgraded = None
        self._connection.server.pool.downgrade(self)

    def let_go(self) -> None:
        """Close the descriptors that a process forked by the application has inherited.

        Without the lock: a thread that had it at the fork does not exist in the new process.
        """
        if self._wake is not None:
            self._wake.close()
        if self._readiness is not None:
            self._readiness.close()

    def end_input(self) -> None:
        """Let the application receive what has arrived, and no more. Any thread may call this."""
        with self._lock:
            self._end_input()

    def cut_if_silent(self, since: float) -> float:
        """Disconnect the client if no byte has moved after ``since``; return when one last has.

        Both times are those of `time.monotonic`. Any thread may call this.
        """
        # Under the lock, or: 1. this thread finds that nothing moves, 2. the application is done,
        # and the worker closes the connection, 3. this thread aborts another connection, which has
        # got the descriptor. `end` takes the lock, so the connection is the application's here.
        with self._lock:
            if self._moved_at <= since and self._phase in _USABLE:
                self._moved_at = time.monotonic()  # once is enough, and the end may take a while
                self._connection.close_reason = CloseReason.SILENCE_TIMEOUT
                self._connection.abort()
            return self._moved_at

    def _end_input(self) -> None:
        if self._phase is _Phase.TAKEN and self._wake is not None:
            self._phase = _Phase.DRAINING
            self._wake.set()
            self._show(self._connection)

    def _take(self) -> None:
        """With the lock: take the connection over. Raises `OSError` when that is impossible."""
        connection = self._connection
        wake = Waker()
        # 1. The time for the request is up. 2. The Monitor's thread overtakes the lease, and this
        # thread claims it. 3. If this thread comes first, it finishes the lease below, so that the
        # Monitor's thread finds a request without a limit. Otherwise the claim raises.
        try:
            if connection.lease is not None:
                connection.lease.claim()
            if not connection.server.pool.upgrade(self):
                if connection.lease is not None:
                    connection.lease.release()
                raise OSError(errno.EAGAIN, "applications have taken over too many connections")
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
        # 1. A drain begins: first the server is marked as draining, then the drain looks for
        # upgraded connections. 2. Meanwhile this thread takes the connection over. 3. If the drain
        # has looked before the line above, and missed the connection, this thread finds the mark,
        # because it looks after that line.
        if connection.server.draining:
            self._end_input()

    def _use(self) -> Connection:
        """With the lock: take the connection over if necessary, and return it.

        Raises `OSError` when it is closed.
        """
        if self._phase is _Phase.OFFERED:
            self._take()
        if self._phase not in _USABLE:
            raise OSError(errno.EBADF, "the connection is closed")
        return self._connection

    # -- for the application -------------------------------------------------------------------

    def fileno(self) -> int:
        """Return a descriptor that is ready for reading when `recv` would not wait; -1 when closed.

        It is of no other use, such as reading: it is not the descriptor of the socket, since bytes
        that have arrived may be buffered, and may be encrypted.
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
        """Let receiving and sending wait for ``seconds``; None: for as long as the server allows.

        Raises `ValueError` for a negative number.
        """
        if seconds is not None and not seconds >= 0:
            raise ValueError("the time-out must not be negative")
        self._timeout = seconds

    def gettimeout(self) -> float | None:
        """Return the seconds that `settimeout` has set; None: there is no time-out."""
        return self._timeout

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive up to ``size`` bytes; return no bytes at the end of the stream.

        Raises `TimeoutError` when nothing arrives in time, and `OSError` when the connection is
        broken or closed. ``flags`` must be 0.
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
        """Send all of ``data``, and return its size in bytes. Raises as `sendall`."""
        self.sendall(data, flags)
        return len(memoryview(data).cast("B"))

    def sendall(self, data: bytes | bytearray | memoryview, flags: int = 0, /) -> None:
        """Send all of ``data``.

        Raises `TimeoutError` when the client takes nothing in time; the connection is aborted then,
        because a part of ``data`` may have been sent. Raises `OSError` when the connection is
        broken or closed. ``flags`` must be 0.
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
        """End one direction or both, as `socket.socket.shutdown`. Raises `OSError`."""
        with self._lock:
            connection = self._use()
            if how != socket.SHUT_RD:
                connection.shut_down()
            if how != socket.SHUT_WR:
                self._end_input()

    def close(self) -> None:
        """Tell the client that nothing more will be sent, and let every further use fail."""
        with self._lock:
            if self._phase is _Phase.OFFERED:
                self._take()
            if self._phase in _USABLE and self._wake is not None:
                self._phase = _Phase.CLOSED
                self._wake.set()
                with suppress(OSError):
                    self._connection.shut_down()

    def _wait(self, interest: int, until: float) -> bool:
        """With the lock, given up meanwhile: wait for the client; return False at the time-out.

        The caller calls `_use` again afterwards, since the connection may be closed by then.
        """
        connection, wake = self._connection, self._wake
        if wake is None:
            raise ClientGone("the connection is not taken over")
        # Only a thread that receives waits for the waker as well, whatever TLS waits for: 1. the
        # thread waits until the client takes an answer of TLS, or sends something, 2. the server
        # drains, 3. the client does neither. A thread that sends is woken by what makes sending
        # fail.
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
        self._set = _combined((descriptor, self._pending.descriptor))
        self.descriptor = self._set.fileno()

    def show(self, *, pending: bool) -> None:
        """Set whether something is pending."""
        if pending and not self._shown:
            self._pending.set()
        elif self._shown and not pending:
            self._pending.clear()
        self._shown = pending

    def close(self) -> None:
        """Wake the threads that wait for the descriptor, and release it."""
        self._pending.set()
        self._set.close()
        self._pending.close()


class _DescriptorSet(Protocol):
    """A descriptor that is ready for reading when one of others is."""

    def fileno(self) -> int: ...

    def close(self) -> None: ...


class _First:  # pragma: no cover - Windows
    """The first descriptor of several, where the system cannot combine them."""

    def __init__(self, descriptors: Sequence[int]) -> None:
        self._descriptor = descriptors[0]

    def fileno(self) -> int:
        return self._descriptor

    def close(self) -> None:
        """Leave the descriptor, which belongs to the connection, open."""


if sys.platform == "linux":

    def _combined(descriptors: Sequence[int]) -> _DescriptorSet:
        epoll = select.epoll()
        for each in descriptors:
            epoll.register(each, select.EPOLLIN)
        return epoll

elif sys.platform != "win32":  # pragma: no cover - BSD and macOS

    def _combined(descriptors: Sequence[int]) -> _DescriptorSet:
        kqueue = select.kqueue()
        flags = select.KQ_EV_ADD
        added = [select.kevent(each, select.KQ_FILTER_READ, flags) for each in descriptors]
        kqueue.control(added, 0, 0)
        return kqueue

else:  # pragma: no cover - Windows

    def _combined(descriptors: Sequence[int]) -> _DescriptorSet:
        return _First(descriptors)


def _check_flags(flags: int) -> None:
    if flags:
        raise ValueError("flags must be 0")


def _until(timeout: float | None) -> float:
    return inf if timeout is None else time.monotonic() + timeout


def _send(connection: Connection, data: memoryview) -> int | None:
    """Send once, behind all unsent bytes; return the number of bytes sent, or None: not yet."""
    return connection.send_now(data) if connection.flush() else None
