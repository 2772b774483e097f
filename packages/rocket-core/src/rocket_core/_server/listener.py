"""A listening socket, its thread, and the threads that accept from it.

Theory of operation
-------------------
Each listener has a thread, which guards its socket. While all goes well it sleeps: it has lent the
socket to the threads that poll the Monitor (`Pollers`). The worker that polls is told of clients
that wait, as it is told of requests, and accepts a few of them itself. It receives from each at
once, since mostly the request is there by then, and serves it; so one thread sees to a connection
from its first byte to its last, and none has to be woken for it. While all workers are away in the
application, the Monitor's thread polls, and accepts. To accept needs no application.

The thread of the listener takes the socket back, and accepts or waits itself, in all that is not
plain: while the server is full, while accepting fails, while new clients are left to other
processes, and at the end. Where there is nothing that polls, it accepts all the time.

Who may accept is decided by ``_lock``, which is held while clients are accepted, and guards
``_lent``, ``_pause``, ``_owed`` and the counts. The socket is in one of two hands:

- **Lent** (``_lent``): `Monitor.poll` reports it. A thread that polls takes the lock, accepts
  (`_accept_for_poller`) and lets go. Where it finds that it may not go on, it gives the socket back
  with the lock: it has the Monitor ignore it, leaves a pause if there is to be one, and sets the
  signal.
- **Guarded**: the Monitor does not report it. Only the listener's thread looks at it, or waits for
  the signal and lends it again.

Each poll reports a lent socket for as long as clients wait. So no client is overlooked: 1. A client
connects while no thread polls. 2. The pool sees to it that soon one does, as for a request that
arrives then; see `ThreadPool`. 3. That poll reports the client. In a socket that is guarded, the
clients of the meantime are reported by the first poll after it is lent again, in the same way.

Other threads set the waker ``_signal``, which ends every wait of the listener's thread, to tell it
that there may be room again (`Listener.wake`), or, after setting the phase, that it is to end, in
one of three ways:

=================  ==============================================================================
`Listener.drain`   accept what waits already, as there is room for it, then close
`Listener.leave`   leave what waits to the other processes that accept from the same socket
`Listener.stop`    close, and with the last copy of the socket goes what waits
=================  ==============================================================================

The phase is looked at before each client, so a change takes effect after the client that is being
accepted.

While the server is full, clients wait in the backlog of the system. The thread of the listener then
does not wait for clients, which are there, but has connections closed in their favour (``crowded``)
and looks again after a pause, or when it is woken.

Several processes
-----------------
Where other processes accept from the same socket (``shared``), a client is to wake one of them, and
not all: the kernel's part (``EPOLLEXCLUSIVE``).

1. Processes A and B have their sockets lent, A first, and a worker polls in both. 2. A client
arrives, and the kernel wakes A. 3. The worker of A accepts this one client, and has A queue behind
B (`Monitor.queue_behind`). 4. The next client wakes B. A process in which no thread polls is passed
over, and finds the client in its next poll if it is still there. If both wake for one client, one
of them accepts it, and the other finds nothing, because the socket does not block.

A process that is woken alone must not leave the client where it is:

1. Two processes wait; the first one is full, or is told to accept no more. 2. A client connects,
and wakes the first one alone. 3. It accepts none. 4. The client waits, and the other process
sleeps, until a next client comes.

Therefore a process gives its socket back as soon as it is full, and its listener waits without
``EPOLLEXCLUSIVE``: a client wakes it, for there may be connections to close in the client's favour,
and one of the others. And a thread that was told of a client accepts once, even if meanwhile the
server has become full, or the socket was taken back. The listener's thread does so in the place of
all threads that may have been woken: at the end, and when the process has become full, since a
thread that was woken may find no event any more (`Listener._take_back`).

Logging
-------
A handler of the log may wait, for a disk or for its own lock, while other threads that were told of
clients wait for ``_lock``. So what happens with the lock is noted (``_notes``), and logged without
it (`Listener._log_notes`), by the thread that noted it or by one that comes at that moment.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from enum import Enum
from functools import partial
from math import inf
from time import monotonic
from typing import Final, NamedTuple, cast

from rocket_core._connection.client_connections import ClientConnections
from rocket_core._connection.connection import Connection, make_connection
from rocket_core._connection.proxy_preamble import ProxyPreamble
from rocket_core._connection.timeouts import Timeouts
from rocket_core._engine.monitor import Monitor
from rocket_core._errors import BindError
from rocket_core._network.acceptor import Acceptor
from rocket_core._network.address import (
    Address,
    Peer,
    TCPAddress,
    UnixAddress,
    address_of,
    parse_address,
    peer_of,
)
from rocket_core._network.binding import SocketFile, bind_socket
from rocket_core._network.networks import Networks
from rocket_core._system.fault_log import FaultLog
from rocket_core._system.forks import close_socket
from rocket_core._system.poller import READ
from rocket_core._system.rare_log import RareLog
from rocket_core._system.wait_ready import wait_ready
from rocket_core._system.waker import Waker

_log = logging.getLogger("rocket_core.listener")

BACKLOG: Final = 2048
"""Connections that the system keeps before the server accepts them."""

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_CLIENT_LEFT: Final = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.ENOPROTOOPT,
        errno.EOPNOTSUPP,
        errno.EPERM,
        errno.EPROTO,
        errno.ETIMEDOUT,
    }
)
"""Errors of the client that is next, and gone, and not of the socket (accept(2), Linux)."""

_BACK_OFF: Final = 0.5
"""Seconds until accepting is tried again after it has failed."""

_CROWD_PAUSE: Final = 0.1
"""Seconds between calls of ``crowded``."""

_BATCH: Final = 8
"""Clients that a thread accepts in a row, before it serves what it has found."""

_INTERNET: Final = frozenset({socket.AF_INET, socket.AF_INET6})

_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound


class _Phase(Enum):
    """What the thread of a listener does."""

    ACCEPTING = "accepting"
    """It accepts clients."""
    DRAINING = "draining"
    """It accepts the clients that wait already, and ends."""
    LEAVING = "leaving"
    """It accepts the clients for which this process alone was woken, if there are any, and ends."""
    STOPPED = "stopped"
    """It ends, or there is none."""


class Pollers(NamedTuple):
    """The threads that poll, as far as they accept for a listener.

    Attributes:
        monitor: what they poll.
        begin: called with each connection that they have accepted, of which they are the owners.
        polling: returns how many workers poll, or have not yet done what a poll told them.
    """

    monitor: Monitor
    begin: Callable[[Connection], None]
    polling: Callable[[], int]


class Listener:
    """One listening socket. Subclasses override `connect` to make connections of another kind.

    Attributes:
        accept_errors: how many times accepting failed.
        refused: connections closed at once, because their peer is not among the proxies.
        local: the address every client reaches, or None where that differs between them.
        shared: where other processes accept from the same socket, returns the seconds to leave
            new clients to them; called after each client. To be set before the start.
        pollers: the threads that accept while all goes well; None: the listener's own. Set by the
            server before the start.
        clients: counts the connections of each client; None: they are not limited. Likewise.
    """

    scheme = "http"
    """The scheme of the URL at which clients reach it."""

    def __init__(
        self,
        address: Address | str | socket.socket,
        *,
        backlog: int = BACKLOG,
        proxy_protocol: Iterable[str] | None = None,
        ipv6_only: bool = False,
        reuse_port: bool = False,
    ) -> None:
        """Listen on an address, or on a socket that is bound already.

        Args:
            address: where, as `parse_address` reads it.
            backlog: connections the system keeps before they are accepted.
            proxy_protocol: the proxies' networks, as `Networks` reads them. Every connection must
                come from one of them and begin with a PROXY protocol header, version 1 or 2, whose
                addresses it then has. None: there is no such header.
            ipv6_only: whether ``[::]:PORT`` has IPv6 clients only; otherwise it has IPv4 clients,
                too.
            reuse_port: whether other servers of the same user may listen on the same address of
                TCP, if they allow it, too (``SO_REUSEPORT``).

        Raises:
            AddressError: the address, or one of the networks, is malformed.
            ValueError: no network is given.
        """
        self.shared: Callable[[], float] | None = None
        self.pollers: Pollers | None = None
        self.clients: ClientConnections | None = None
        self._requested = parse_address(address) if isinstance(address, str) else address
        self._backlog = backlog
        self._ipv6_only = ipv6_only
        self._reuse_port = reuse_port
        self._socket: socket.socket | None = None
        self._bound: Address | None = None
        self.local: Peer | None = None
        self._phase = _Phase.STOPPED
        self._thread: threading.Thread | None = None
        self._file: SocketFile | None = None
        self._spare: int | None = None
        self._lock = threading.Lock()
        self._lent = False
        """Whether the threads that poll may accept."""
        self._pause = 0.0
        """Seconds for which the socket is not to be lent, left by the thread that gave it back."""
        self._owed = 0
        """Clients for which threads may have been woken that will not accept them."""
        self._woken = False
        """Whether `wake` was called since the listener's thread has looked last."""
        self._notes: deque[Callable[[], object]] = deque()
        """What is to be logged; single operations on a deque are atomic."""
        self.accept_errors = 0
        self.refused = 0
        self._proxies = None if proxy_protocol is None else Networks(proxy_protocol)
        if self._proxies is not None and not self._proxies:
            raise ValueError("proxy_protocol needs the network of a proxy, or None")
        self._rare_log = RareLog(_log)
        self._rare_errors = RareLog(_log)
        self._connecting = FaultLog()

    # -- set-up --------------------------------------------------------------------------------

    def bind(self) -> None:
        """Bind and listen. Raises `BindError`, which names the address."""
        requested = self._requested
        if isinstance(requested, socket.socket):
            sock = requested
        else:
            sock = bind_socket(requested, ipv6_only=self._ipv6_only, reuse_port=self._reuse_port)
        try:
            if isinstance(requested, UnixAddress):
                self._file = SocketFile(requested.path)
            if sock.family in _INTERNET:
                # Accepted sockets inherit this, which saves a system call for each connection.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.listen(self._backlog)
            self._signal = Waker()
            self._spare = os.open(os.devnull, os.O_RDONLY)
        except OSError as error:
            sock.close()
            raise BindError(f"cannot listen on {requested}: {error.strerror}") from error
        sock.setblocking(False)
        self._acceptor = Acceptor(sock)
        self._socket = sock
        self._bound = requested if isinstance(requested, UnixAddress) else _address_of(sock)
        local = peer_of(sock.getsockname())
        self.local = None if local.host in _WILDCARDS else local

    @property
    def address(self) -> Address:
        """The address; while it is bound, with the port the system chose where 0 was asked for."""
        if self._bound is not None:
            return self._bound
        if isinstance(self._requested, socket.socket):
            return _address_of(self._requested)
        return self._requested

    # -- accepting -----------------------------------------------------------------------------

    def connect(self, sock: socket.socket, peer: Peer, timeouts: Timeouts) -> Connection:
        """Make the connection for an accepted socket. Raises `OSError` when it is gone already.

        Called by the thread that has accepted, which may be any one, but by one thread at a time.
        It must not wait for anything: other threads that are told of clients wait for it.
        """
        return make_connection(sock, peer, self.local, timeouts)

    def start(
        self,
        accepted: Callable[[Connection], None],
        full: Callable[[], bool],
        timeouts: Timeouts,
        crowded: Callable[[], None] = lambda: None,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Accept in a thread of its own, and hand each connection to ``accepted``.

        No connection is accepted while ``full`` returns True, but for one that no other process
        would accept (see above); `wake` tells that it may have changed. While a client waits
        nevertheless, ``crowded`` is called, every tenth of a second. ``ended`` is called when the
        socket is closed, in whatever way the listener was told to end. With `pollers`, the socket
        is lent to them, and the thread only guards it; what they accept is theirs.
        """
        self._accepted = accepted
        self._full = self._has_no_room = full
        self._crowded = crowded
        self._ended = ended
        self._timeouts = timeouts
        self._lent = False
        self._pause = 0.0
        self._owed = 0
        self._woken = False
        self._phase = _Phase.ACCEPTING
        self._thread = threading.Thread(
            target=self._run, name=f"rocket-listener-{self.address}", daemon=True
        )
        self._thread.start()

    def wake(self) -> None:
        """Tell the listener that there may be room again. Any thread may call this."""
        self._woken = True
        self._signal.set()

    def pause(self) -> None:
        """Accept no clients until `resume`, as if the server were full, and close none for them.

        They wait in the backlog, unless another process accepts them. Returns at once.
        """
        self._full = _always
        self._signal.set()

    def resume(self) -> None:
        """End a pause. Returns at once."""
        self._full = self._has_no_room
        self.wake()

    def drain(self) -> None:
        """Accept what already waits, as there is room for it, then close. Returns at once."""
        self._finish(_Phase.DRAINING)

    def leave(self) -> None:
        """Close, and leave what waits to the other processes. Returns at once."""
        self._finish(_Phase.LEAVING)

    def stop(self) -> None:
        """Close without accepting what waits. Returns at once."""
        self._finish(_Phase.STOPPED)

    def _finish(self, phase: _Phase) -> None:
        if self._thread is not None:
            self._full = self._has_no_room  # a drain accepts what waits
        self._phase = phase
        if self._thread is not None:
            self._signal.set()
        else:
            self.close()

    @property
    def listening(self) -> bool:
        """Whether the socket is open."""
        return self._socket is not None

    def join(self) -> None:
        """Wait until the socket is closed."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def close(self) -> None:
        """Close the socket; a Unix socket's file is removed if it is still ours."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        self._bound = None
        sock.close()
        if self._spare is not None:
            os.close(self._spare)
        self._signal.close()
        if self._file is not None:
            self._file.remove()

    def let_go(self) -> None:
        """In a process that the application forked: close the copies that it has inherited."""
        sock, self._socket = self._socket, None
        if sock is None:
            return
        sock.close()
        self._signal.close()

    # -- the listener's thread -------------------------------------------------------------------

    def _run(self) -> None:
        listening = cast(socket.socket, self._socket)
        try:
            while self._phase is _Phase.ACCEPTING:
                seconds = self._guard(listening)
                self._log_notes()
                self._wait(listening, seconds)
            with self._lock:
                self._take_back(listening)
            if self._phase is _Phase.LEAVING:
                self._accept_owed()
            self._accept_rest(listening)
        finally:
            with self._lock:
                self._take_back(listening)
                # A thread that was told of a client before may still come, and find no socket.
                self.close()
            self._log_notes()
            self._ended()

    def _guard(self, listening: socket.socket) -> float:
        """Lend the socket, or see to what is in the way; return how long to `_wait`."""
        with self._lock:
            woken, self._woken = self._woken, False
            if self._lent and self._full is not _always:
                return inf
            # 1. A thread that polls has the socket. 2. `pause` is called. 3. The thread that polls
            # may be told of no client for long; so the socket is taken back here. What it may
            # have been told of just now is owed.
            self._take_back(listening)
            pause = self._pause_after()
            # 1. A thread that polls is to leave a pause here. 2. There is room again: `wake` sets
            # the signal. 3. The thread leaves the pause, and sets the signal, which is set already.
            # 4. This thread wakes once, and must not pause. A call of `wake` that comes between the
            # two assignments above is lost there, but its signal ends the pause.
            if pause and not woken:
                return pause
            pollers, shared = self.pollers, self.shared
            if pollers is not None and not self._full():
                self._owed = 0  # the first poll reports what waits
                return self._lend(listening, pollers)
            limit = max(_BATCH if shared is None else 1, self._owed)
            count = self._accept(self._accepted, limit, owed=self._owed)
            self._owed = 0
            if self._full is _always:
                return inf
            if count and shared is not None:
                return self._pause_after() or shared()
            return self._pause_after() or self._make_room()

    def _lend(self, listening: socket.socket, pollers: Pollers) -> float:
        """With the lock: lend the socket; return how long to `_wait`."""
        descriptor, exclusive = listening.fileno(), self.shared is not None
        try:
            pollers.monitor.listen(descriptor, self._accept_for_poller, exclusive=exclusive)
        except OSError as error:  # the system has no memory for it
            pollers.monitor.ignore(descriptor)
            self.accept_errors += 1
            self._note(
                self._rare_errors.error, "cannot accept on %s: %s", self.address, error.strerror
            )
            return _BACK_OFF
        self._lent = True
        return inf

    def _wait(self, listening: socket.socket, seconds: float) -> None:
        """Wait for the signal for up to ``seconds``; 0: for the signal or a client, without limit.

        1. Another thread sets the phase, makes room or gives the socket back, after this thread has
        looked. 2. It sets the signal. 3. This thread begins to wait, and returns at once. The
        signal is cleared before the next look, so that no change is missed.
        """
        if seconds:
            wait_ready(self._signal.descriptor, READ, None if seconds == inf else seconds)
        else:
            wait_ready(listening.fileno(), READ, None, self._signal.descriptor)
        self._signal.clear()

    def _accept_owed(self) -> None:
        """Accept for the threads that were told of clients, full or not.

        1. A client wakes this process, and no other. 2. Before the thread that polled has accepted
        it, this listener is told to leave. 3. The client is accepted here, since other processes
        sleep on, and there is no socket for the thread when it comes. There may be one client for
        each worker that polls, and one for the Monitor's thread.
        """
        if self.pollers is not None and self.shared is not None:
            with self._lock:
                count = self.pollers.polling() + 1
                self._accept(self._accepted, count, owed=count)

    def _accept_rest(self, listening: socket.socket) -> None:
        """Accept what waits when the drain begins: clients that come later do not prolong it."""
        left = self._backlog
        while self._phase is _Phase.DRAINING and left > 0:
            with self._lock:
                left -= self._accept(self._accepted, left)
                pause = self._pause_after() or (self._make_room() if left else 0.0)
            self._log_notes()
            if pause == 0:
                return
            self._wait(listening, pause)

    def _make_room(self) -> float:
        """Have connections closed for a client that waits; return the seconds to pause for that."""
        if not (self._full() and self._acceptor.client_waits()):
            return 0.0
        self._crowded()
        return _CROWD_PAUSE

    # -- with the lock: any thread ---------------------------------------------------------------

    def _accept_for_poller(self) -> list[Connection]:
        """Take the lock, and accept on a thread that was told of clients. Never raises."""
        accepted: list[Connection] = []
        with self._lock:
            self._accept_told(accepted)
        if self._notes:
            self._log_notes()
        return accepted

    def _accept_told(self, accepted: list[Connection]) -> None:
        """With the lock: accept on a thread that was told of clients. Never raises."""
        listening, pollers, shared = self._socket, self.pollers, self.shared
        if listening is None or pollers is None or not (self._lent or shared):
            return  # no client relies on this process
        try:
            # 1. A client wakes this process alone. 2. Before it is accepted, the server becomes
            # full, or another thread gives the socket back. 3. It is accepted here all the
            # same: the other processes sleep on.
            if shared is None:
                self._accept(pollers.begin, _BATCH, into=accepted)
            elif self._accept(pollers.begin, 1, owed=1, into=accepted) and not self._pause:
                self._pause = shared()
            now = monotonic()
            for connection in accepted:
                connection.claimed_at = now
            if shared is not None and accepted and self._lent and not self._pause:
                pollers.monitor.queue_behind(listening.fileno())
        except BaseException as error:  # noqa: BLE001 - the thread has more to do
            self._pause = _BACK_OFF
            self._note(self._connecting.report, _log, error, "accepting on %s failed", self.address)
        if not self._lent:
            return
        if self._pause or self._phase is not _Phase.ACCEPTING or self._full():
            self._take_back(listening)
            self._signal.set()

    def _take_back(self, listening: socket.socket) -> None:
        """With the lock: end the lending, if the socket is lent."""
        if self._lent and self.pollers is not None:
            self._lent = False
            # 1. Two clients wake two threads that poll, and no other process. 2. The first thread
            # accepts, finds the server full, and takes the socket back. 3. The second one has yet
            # to collect its event: the socket is not watched any more, so there is none. 4. The
            # second client is accepted by the listener's thread, for each thread that may have been
            # woken: the workers that poll, and the Monitor's thread.
            if self.shared is not None:
                self._owed = self.pollers.polling() + 1
            self.pollers.monitor.ignore(listening.fileno())

    def _note(self, log: Callable[..., object], *args: object) -> None:
        """With the lock: have ``log`` called with the arguments without it."""
        self._notes.append(partial(log, *args))

    def _log_notes(self) -> None:
        """Log what was noted. The caller does not hold the lock.

        A handler that fails must lose none of the clients that the caller has accepted.
        """
        while self._notes:
            with suppress(BaseException):  # IndexError: another thread was faster
                self._notes.popleft()()

    def _pause_after(self) -> float:
        """With the lock: return the seconds to pause, as left by `_accept`."""
        pause, self._pause = self._pause, 0.0
        return pause

    def _accept(
        self,
        hand_on: Callable[[Connection], None],
        limit: int,
        *,
        owed: int = 0,
        into: list[Connection] | None = None,
    ) -> int:
        """With the lock: accept until no client waits, or ``limit`` clients; return how many.

        Each connection goes to ``hand_on``, and then ``into`` a list. The first ``owed`` clients
        are accepted even if the server is full. In ``_pause`` it leaves the seconds to pause where
        accepting has failed. A change of the phase ends it.
        """
        phase = self._phase
        acceptor, full = self._acceptor, self._full
        count = 0
        while (
            self._phase is phase
            and count < limit
            and (count < owed or not full())
            and (not count or acceptor.client_waits())
        ):
            try:
                sock, peer = acceptor.accept()
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                self.accept_errors += 1
                if error.errno in _CLIENT_LEFT:
                    continue
                self._pause = self._fail(error)
                break
            count += 1
            try:
                connection = self._connect(sock, peer)
                if connection is not None:
                    hand_on(connection)
                    if into is not None:
                        into.append(connection)
            except OSError:
                self.accept_errors += 1
                close_socket(sock)
            except BaseException as error:  # noqa: BLE001 - the next client must be accepted
                self.accept_errors += 1
                close_socket(sock)
                self._note(self._connecting.report, _log, error, "connecting %s failed", peer)
        return count

    def _connect(self, sock: socket.socket, peer: Peer) -> Connection | None:
        """Make a connection; None: its peer may not have one, and it is closed."""
        if self._proxies is None:
            connection = self.connect(sock, peer, self._timeouts)
            if self.clients is not None and not self.clients.admit(connection):
                close_socket(sock)
                self._note(
                    self._rare_log.warning,
                    "refused %s on %s: it has, or opens, too many connections",
                    peer,
                    self.address,
                )
                return None
            return connection
        if peer.host not in self._proxies:
            self.refused += 1
            close_socket(sock)
            self._note(
                self._rare_log.warning,
                "refused %s on %s: its address is not in the networks of proxy_protocol",
                peer,
                self.address,
            )
            return None
        connection = self.connect(sock, peer, self._timeouts)
        connection.expect(ProxyPreamble(self._rare_log))
        return connection

    def _fail(self, error: OSError) -> float:
        """With the lock: deal with an error of accepting; return the seconds to pause."""
        self._note(self._rare_errors.error, "cannot accept on %s: %s", self.address, error.strerror)
        if error.errno in _EXHAUSTED:
            self._turn_away()
        elif self._phase is not _Phase.ACCEPTING:
            return 0.0  # nothing to wait for
        return _BACK_OFF

    def _turn_away(self) -> None:
        """Free the spare descriptor to close the next client's connection.

        That client learns at once that it is not served, instead of waiting in the backlog.
        """
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
            with suppress(OSError):
                close_socket(self._acceptor.accept()[0])
        with suppress(OSError):  # unless another thread took the descriptor that was freed
            self._spare = os.open(os.devnull, os.O_RDONLY)


def _always() -> bool:
    """Return that there is no room."""
    return True


def _address_of(sock: socket.socket) -> Address:
    try:
        name = sock.getsockname()
    except OSError:  # closed
        return TCPAddress("", 0)
    return address_of(name)
