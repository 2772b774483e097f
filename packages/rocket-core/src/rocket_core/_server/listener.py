"""A listening socket and the thread that accepts from it.

Theory of operation
-------------------
Each listener has a thread, which waits for clients, accepts them, and hands their connections on
(``accepted``). It never serves. Other threads set the waker ``_signal``, which ends every wait of
the thread, to tell it that there may be room again (`Listener.wake`), or, after setting the phase,
that it is to end, in one of three ways:

=================  ==============================================================================
`Listener.drain`   accept what waits already, as there is room for it, then close
`Listener.leave`   leave what waits to the other processes that accept from the same socket
`Listener.stop`    close, and with the last copy of the socket goes what waits
=================  ==============================================================================

The thread looks at the phase before each `socket.accept`, so a change takes effect after the client
that is being accepted.

While the server is full, clients wait in the backlog of the system. The thread then does not wait
for clients, which are there, but has connections closed in their favour (``crowded``) and looks
again after a pause, or when it is woken. `AcceptWait` tells how several processes share a socket.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from enum import Enum
from math import inf
from typing import Final, cast

from rocket_core._connection.connection import Connection
from rocket_core._connection.proxy_preamble import ProxyPreamble
from rocket_core._connection.timeouts import Timeouts
from rocket_core._errors import BindError
from rocket_core._network.accept_wait import AcceptWait, SharedAcceptWait, SoleAcceptWait
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

_WILDCARDS: Final = frozenset({"0.0.0.0", "::"})  # noqa: S104 - recognised, not bound


class _Phase(Enum):
    """What the thread of a listener does."""

    ACCEPTING = "accepting"
    """It accepts clients."""
    DRAINING = "draining"
    """It accepts the clients that wait already, and ends."""
    LEAVING = "leaving"
    """It accepts the client for which this process alone was woken, if there is one, and ends."""
    STOPPED = "stopped"
    """It ends, or there is none."""


class Listener:
    """One listening socket. Subclasses override `connect` to make connections of another kind.

    Attributes:
        accept_errors: how many times accepting failed.
        refused: connections closed at once, because their peer is not among the proxies.
        local: the address every client reaches, or None where that differs between them.
        shared: where other processes accept from the same socket, returns the seconds to leave
            new clients to them; called after each client. To be set before the start.
    """

    scheme = "http"
    """The scheme of the URL at which clients reach it."""

    def __init__(
        self,
        address: Address | str | socket.socket,
        *,
        backlog: int = BACKLOG,
        proxy_protocol: Iterable[str] | None = None,
    ) -> None:
        """Listen on an address, or on a socket that is bound already.

        Args:
            address: where, as `parse_address` reads it.
            backlog: connections the system keeps before they are accepted.
            proxy_protocol: the proxies' networks, as `Networks` reads them. Every connection must
                come from one of them and begin with a PROXY protocol header, version 1 or 2, whose
                addresses it then has. None: there is no such header.

        Raises:
            AddressError: the address, or one of the networks, is malformed.
            ValueError: no network is given.
        """
        self.shared: Callable[[], float] | None = None
        self._requested = parse_address(address) if isinstance(address, str) else address
        self._backlog = backlog
        self._socket: socket.socket | None = None
        self._bound: Address | None = None
        self.local: Peer | None = None
        self._phase = _Phase.STOPPED
        self._left = inf
        self._thread: threading.Thread | None = None
        self._file: SocketFile | None = None
        self._spare: int | None = None
        self._clients: AcceptWait | None = None
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
        sock = requested if isinstance(requested, socket.socket) else bind_socket(requested)
        try:
            if isinstance(requested, UnixAddress):
                self._file = SocketFile(requested.path)
            sock.listen(self._backlog)
            self._signal = Waker()
            self._spare = os.open(os.devnull, os.O_RDONLY)
        except OSError as error:
            sock.close()
            raise BindError(f"cannot listen on {requested}: {error.strerror}") from error
        sock.setblocking(False)
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
        """Make the connection for an accepted socket. Raises `OSError` when it is gone already."""
        return Connection(sock, peer, self.local, timeouts=timeouts)

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
        would accept (see `AcceptWait`); `wake` tells that it may have changed. While a client waits
        nevertheless, ``crowded`` is called, every tenth of a second. ``ended`` is called when the
        socket is closed, in whatever way the listener was told to end.
        """
        self._accepted = accepted
        self._full = full
        self._crowded = crowded
        self._ended = ended
        self._timeouts = timeouts
        self._left = inf
        self._phase = _Phase.ACCEPTING
        self._thread = threading.Thread(
            target=self._run, name=f"rocket-listener-{self.address}", daemon=True
        )
        self._thread.start()

    def wake(self) -> None:
        """Tell the listener that there may be room again. Any thread may call this."""
        self._signal.set()

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
        if self._clients is not None:
            self._clients.close()

    def _run(self) -> None:
        listening = cast(socket.socket, self._socket)
        wait_for_clients = SoleAcceptWait if self.shared is None else SharedAcceptWait
        try:
            with closing(wait_for_clients(listening, self._signal, self._full)) as clients:
                self._clients = clients
                while self._phase is _Phase.ACCEPTING:
                    pause = self._accept(listening, clients)
                    # 1. Another thread sets the phase, or makes room, after it was looked at above.
                    # 2. It sets the signal. 3. This thread begins to wait, and returns at once. The
                    # signal is cleared before the next look, so that no change is missed.
                    if clients.wait() if pause == 0 else self._pause(pause):
                        self._signal.clear()
                if self._phase is _Phase.LEAVING and clients.owes:
                    # 1. A client wakes this process, and no other. 2. Before it is accepted, this
                    # listener is told to leave. 3. It is accepted here, full or not: the other
                    # processes sleep on.
                    self._left = 1
                    self._accept(listening, clients)
                self._accept_rest(listening)
        finally:
            self.close()
            self._ended()

    def _accept_rest(self, listening: socket.socket) -> None:
        """Accept what waits when the drain begins: clients that come later do not prolong it."""
        self._left = self._backlog
        while self._phase is _Phase.DRAINING and (pause := self._accept(listening)):
            if self._pause(pause):
                self._signal.clear()

    def _pause(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for the signal only; return whether it is there."""
        return wait_ready(self._signal.descriptor, READ, seconds)

    def _accept(self, listening: socket.socket, clients: AcceptWait | None = None) -> float:
        """Accept until no client waits, or one client of a socket that is shared.

        Returns the seconds to pause then, unless woken; 0: wait for the next client. A change of
        the phase ends it.
        """
        phase = self._phase
        while self._phase is phase and self._left > 0 and (_owes(clients) or not self._full()):
            try:
                sock, address = listening.accept()
            except (BlockingIOError, InterruptedError):
                return 0
            except OSError as error:
                self.accept_errors += 1
                if error.errno in _CLIENT_LEFT:
                    continue
                return self._fail(listening, error)
            self._left -= 1
            try:
                self._begin(sock, peer_of(address))
            except OSError:
                self.accept_errors += 1
                close_socket(sock)
            except Exception as error:  # noqa: BLE001 - the next client must be accepted
                self.accept_errors += 1
                close_socket(sock)
                self._connecting.report(_log, error, "connecting %s failed", peer_of(address))
            if clients is not None and self.shared is not None:
                clients.accepted()
                return self.shared()
        if self._phase is not phase or not self._left:
            return 0
        if not wait_ready(listening.fileno(), READ, 0):
            return 0
        self._crowded()
        return _CROWD_PAUSE

    def _begin(self, sock: socket.socket, peer: Peer) -> None:
        if self._proxies is None:
            self._accepted(self.connect(sock, peer, self._timeouts))
            return
        if peer.host not in self._proxies:
            self.refused += 1
            close_socket(sock)
            self._rare_log.warning(
                "refused %s on %s: its address is not in the networks of proxy_protocol",
                peer,
                self.address,
            )
            return
        connection = self.connect(sock, peer, self._timeouts)
        connection.expect(ProxyPreamble(self._rare_log))
        self._accepted(connection)

    def _fail(self, listening: socket.socket, error: OSError) -> float:
        """Deal with an error of accepting; return the seconds to pause."""
        self._rare_errors.error("cannot accept on %s: %s", self.address, error.strerror)
        if error.errno in _EXHAUSTED:
            self._turn_away(listening)
        elif self._phase is not _Phase.ACCEPTING:
            return 0  # nothing to wait for
        return _BACK_OFF

    def _turn_away(self, listening: socket.socket) -> None:
        """Free the spare descriptor to close the next client's connection.

        That client learns at once that it is not served, instead of waiting in the backlog.
        """
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
            with suppress(OSError):
                close_socket(listening.accept()[0])
        with suppress(OSError):  # unless another thread took the descriptor that was freed
            self._spare = os.open(os.devnull, os.O_RDONLY)


def _owes(clients: AcceptWait | None) -> bool:
    """Return whether a client must be accepted, even if the server is full."""
    return clients is not None and clients.owes


def _address_of(sock: socket.socket) -> Address:
    try:
        name = sock.getsockname()
    except OSError:  # closed
        return TCPAddress("", 0)
    return address_of(name)
