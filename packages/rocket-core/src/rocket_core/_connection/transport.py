"""The transport of a connection: its non-blocking socket, and what TLS does differently.

Every method here is one step that never waits. A layer such as TLS replaces some of them:
`handshake`, `receive_now`, `send_now`, `send_file_now`, `shut_down` and `close`.

A connection is built from four classes in one line, because two bases with slots of their own
cannot be combined: `Exchange`, `Transport` (the socket), `Buffers` (what has come and what is to
go), and `Connection` (its state, its deadline, and the methods that wait).
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from rocket_core._exchange import Exchange
from rocket_core._native_classes import mypyc_attr
from rocket_core._network.address import Peer, peer_of
from rocket_core._system.forks import close_socket
from rocket_core._system.sendfile import send_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rocket_core._state import CloseReason

_RESET: Final = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
"""Closing waits for nothing, and sends nothing but a reset (socket(7), SO_LINGER)."""

_PLAIN: Final = os.name == "posix"
"""Whether a socket is a descriptor like others: `os.read` and `os.write` cost less than the methods
of `socket.socket`, whose arguments may be of more kinds."""

# A look-up in the module `os` costs a third of the call.
_read: Final = os.read
_write: Final = os.write

_POLL_TELLS_ENDS: Final = hasattr(select, "POLLRDHUP")
"""Whether `select.poll` tells the end of what the client sends, as it does on Linux."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Transport(Exchange):
    """A non-blocking socket.

    Attributes:
        close_reason: why the connection ends, once that is decided; otherwise None.
        descriptor: the number of the socket's file descriptor; -1 once it is closed.
        drained: whether the last `receive_now` took all there was. A subclass that does not tell,
            and leaves it False, is asked again whenever it is parked.
        environ: what a layer below the protocol tells applications of the connection, such as the
            client's certificate, under the names that they know; None where there is nothing. Set
            once, before the first request.
        local: the address that the client reached.
        peer: the client's address.
        protocol: the protocol that the TLS handshake has agreed on, by its ALPN name (RFC 7301),
            such as ``h2`` or ``http/1.1``; empty where none was agreed on, before that, and without
            TLS. A layer such as TLS sets it in `handshake`; it does not change afterwards.
        proxy: the other end of the socket, where that is a proxy that announced the client (see
            `Listener`); otherwise None.
        secure: whether TLS protects the connection, or the client's way to the proxy.
        wants: `READ` or `WRITE`, if the next step needs the socket to be ready for that, whatever
            the state says, as TLS may; otherwise 0.
    """

    __slots__ = (
        "_broken_off",
        "_socket",
        "close_reason",
        "descriptor",
        "drained",
        "environ",
        "local",
        "peer",
        "protocol",
        "proxy",
        "secure",
        "wants",
    )

    def __init__(
        self,
        sock: socket.socket,
        peer: Peer | None,
        local: Peer | None,
        secure: bool,
    ) -> None:
        """Take ``sock``, which becomes non-blocking; it is asked for addresses that are None.

        Raises `OSError` when the client is gone already.
        """
        Exchange.__init__(self)
        sock.setblocking(False)
        self._socket = sock
        self._broken_off = False
        self.descriptor = sock.fileno()
        self.peer = peer if peer is not None else peer_of(sock.getpeername())
        self.local = local if local is not None else peer_of(sock.getsockname())
        self.proxy: Peer | None = None
        self.secure = secure
        self.protocol = ""
        self.environ: Mapping[str, str] | None = None
        self.close_reason: CloseReason | None = None
        self.drained = False
        self.wants = 0

    # -- what a TLS connection does differently ------------------------------------------------

    def handshake(self) -> bool:
        """Take the handshake as far as it goes; return whether it is done. Raises `OSError`."""
        return True

    def receive_now(self, size: int) -> bytes:
        """Receive once, up to ``size`` bytes; return no bytes at the end of the stream.

        Raises `BlockingIOError` or `NotYet` when nothing is there, and `OSError` when the
        connection is broken.
        """
        data = _read(self.descriptor, size) if _PLAIN else self._socket.recv(size)
        self.drained = len(data) < size
        return data

    def send_now(self, data: bytes | bytearray | memoryview) -> int | None:
        """Send once; return the number of bytes taken, or None: not yet. Raises `OSError`."""
        try:
            return _write(self.descriptor, data) if _PLAIN else self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return None

    def send_file_now(self, descriptor: int, offset: int, count: int) -> int | None:
        """Send once from a file; return the number of bytes taken, 0 at its end, None: not yet.

        Raises `OSError`.
        """
        return send_file(self._socket, descriptor, offset, count)

    def shut_down(self) -> None:
        """Tell the client, unless it is gone, that nothing more will be sent. Raises `OSError`."""
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            if error.errno != errno.ENOTCONN:
                raise

    def close(self) -> None:
        """Close the socket at once; the connection ends even if a child process has it, too."""
        # 1. The socket is closed. 2. Another client's gets the same number. 3. A thread of the
        # application, which still has `write` of the ended response, calls it. 4. It must fail,
        # and not send anything to that client.
        self.descriptor = -1
        if self._broken_off:
            self._socket.close()  # a shutdown would end the stream, and no reset would follow
        else:
            close_socket(self._socket)

    # -- the socket itself ---------------------------------------------------------------------

    def keep_alive(self) -> None:
        """Have the system ask a silent client whether it is there. Raises `OSError`."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def client_left(self) -> bool:
        """Return whether the client has closed the connection, or its side of it. Never waits.

        What it sent before can still be received. A client that has closed the connection looks the
        same as one that has only closed its side and still reads, until something is sent to it.
        """
        if _POLL_TELLS_ENDS:
            ends = select.POLLRDHUP | select.POLLHUP | select.POLLERR | select.POLLNVAL
            return _poll(self._socket, ends)
        return _has_ended(self._socket, at_end=True)  # pragma: no cover - not Linux

    def is_broken(self) -> bool:
        """Return whether the client certainly reads nothing more. Never waits.

        It has reset the connection, or closed a Unix socket. A client that has closed its side of
        the connection may still read; where the system can tell, such a client is not broken.
        """
        if _POLL_TELLS_ENDS:
            return _poll(self._socket, 0)  # a reset and the end of both sides are always told
        return _has_ended(self._socket, at_end=False)  # pragma: no cover - not Linux

    def break_off(self) -> None:
        """Have the connection end in a reset, where it is TCP.

        Otherwise a client that finds the end of a response by the end of the connection would take
        what it has received for a whole response.
        """
        self._broken_off = True
        with suppress(OSError):  # it is broken already
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def abort(self) -> None:
        """Make every present and future operation on the socket fail. Any thread may call this.

        The owner of the connection finds out by such a failure, and closes it.
        """
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)


def _poll(sock: socket.socket, events: int) -> bool:
    """Return whether one of ``events``, an error or the end of both sides is reported now."""
    if sock.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(sock, events)
    return bool(poll.poll(0))


def _has_ended(sock: socket.socket, *, at_end: bool) -> bool:  # pragma: no cover - not Linux
    """Return whether the socket is broken; ``at_end``: or its client has closed its side."""
    try:
        return not sock.recv(1, socket.MSG_PEEK) and at_end
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True
