"""A connection protected by TLS."""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import suppress
from enum import Enum
from typing import Final

from rocket_core import (
    READ,
    RECEIVE_SIZE,
    WRITE,
    CloseReason,
    Connection,
    NotYet,
    Peer,
    State,
    Timeouts,
)
from rocket_tls._challenges import PROTOCOL
from rocket_tls._client_hello import HelloPeek
from rocket_tls._contexts import ServerSocket
from rocket_tls._errors import TLSError
from rocket_tls._fault import TIMEOUT, UNREADABLE, TLSFaults, reason_of
from rocket_tls._identity import describe
from rocket_tls._waiting import waiting_in_system

RECORD: Final = 1 << 14
"""Bytes that one record carries at most (RFC 8446, section 5.1)."""

_READ_SIZE: Final = 4 * RECORD
_DISCARDS: Final = 64

_MESSAGE: Final = b"This port speaks TLS; use https://\n"
_PLAIN_ANSWER: Final = (
    b"HTTP/1.1 400 Bad Request\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Length: %d\r\n"
    b"Connection: close\r\n"
    b"\r\n"
    b"%s"
) % (len(_MESSAGE), _MESSAGE)

_DEFAULT_TIMEOUTS: Final = Timeouts()


class _Layer(Enum):
    """What the TLS layer is up to."""

    HANDSHAKE = "handshake"
    OPEN = "open"
    ENDED = "ended"
    """Closed by us, or broken: nothing goes through it any more."""


_ENDED: Final = _Layer.ENDED
"""An attribute of an enum costs a search, and this is needed twice a request."""

_CLEAN: Final = frozenset(
    {
        None,
        CloseReason.SERVED,
        CloseReason.CLIENT,
        CloseReason.KEEP_ALIVE_TIMEOUT,
        CloseReason.DRAINED,
    }
)
"""Reasons for closing that leave nothing half said."""


class TLSConnection(Connection):
    """A client that speaks TLS. It begins in ``State.HANDSHAKE``.

    A client that closes the connection without saying so in TLS is taken at its word, as HTTP
    servers are asked to (RFC 9112, section 9.8): that is the end of the stream.
    """

    __slots__ = ("_faults", "_hello", "_layer", "_tls")

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        peer: Peer | None = None,
        local: Peer | None = None,
        *,
        timeouts: Timeouts = _DEFAULT_TIMEOUTS,
        faults: TLSFaults | None = None,
        validation: bool = False,
    ) -> None:
        """Take ``sock``, for the server's side of ``context``; otherwise as `Connection`.

        What fails in TLS is counted in ``faults``. ``validation``: the client may be an authority
        that validates a name (RFC 8737), which is then all that happens.

        Raises `OSError` when the client is gone already.
        """
        # Of a client that is gone, the SSL module would leave the socket open.
        sock.getpeername()
        self._tls = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        self._layer = _Layer.HANDSHAKE
        self._hello = HelloPeek() if validation else None
        self._faults = faults
        super().__init__(self._tls, peer, local, secure=True, timeouts=timeouts)
        self.state = State.HANDSHAKE

    def handshake(self) -> bool:
        """Take the handshake as far as it goes; whether it is complete.

        A client that speaks HTTP without TLS is told so. Raises `TLSError`, and `OSError` when the
        connection is broken.
        """
        if isinstance(self._tls, ServerSocket):
            self._tls.local = self.local  # which a proxy may have announced by now
            if self._hello is not None:
                protocols = self._hello.protocols(self._tls)
                if protocols is None:
                    self.wants = READ
                    return False
                self._tls.validating = protocols == [PROTOCOL.encode()]
                self._hello = None
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self.wants = READ
            return False
        except ssl.SSLWantWriteError:
            self.wants = WRITE
            return False
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                self._answer_plainly()
            raise self._broken(error) from error
        self._layer = _Layer.OPEN
        if self._tls.selected_alpn_protocol() == PROTOCOL:
            # The authority has seen what it came for, and has nothing to say.
            self.close_reason = CloseReason.SERVED
            raise TLSError(f"{self.peer}: a name has been validated")
        try:
            self.environ = describe(self._tls)
        except ValueError as error:
            self._count(UNREADABLE)
            self.close_reason = CloseReason.TLS
            raise TLSError(f"{self.peer}: the client certificate cannot be read") from error
        return True

    def receive_now(self, size: int) -> bytes:
        """One receive, with all that it decrypted: no poller sees what stays inside the TLS layer.

        Raises `BlockingIOError` or `NotYet` when nothing is there, `TLSError`, and `OSError`.
        """
        if self._layer is _ENDED:
            raise self._unusable()
        tls = self._tls
        try:
            data = tls.read(size)
            if len(data) == size:
                if pending := tls.pending():
                    data += tls.read(pending)
            elif data:
                # What OpenSSL has left in the socket is no news to the poller.
                self.drained = not waiting_in_system(self.descriptor)
        except ssl.SSLWantReadError:
            # Not NotYet: unsent output may be what the connection waits for next.
            raise BlockingIOError from None
        except ssl.SSLWantWriteError:
            raise NotYet(WRITE) from None
        except ssl.SSLError as error:
            if _is_end(error):
                return b""
            raise self._broken(error) from error
        return data

    def discard(self) -> bool:
        """Throw away what the client sends, encrypted as it is; whether it has stopped sending.

        Raises `OSError` when the connection is broken.
        """
        if self._layer is not _Layer.ENDED:
            return super().discard()
        try:
            for _ in range(_DISCARDS):
                if not socket.socket.recv(self._tls, RECEIVE_SIZE):
                    return True
        except (BlockingIOError, InterruptedError):
            pass
        return False

    def send_now(self, data: bytes | bytearray | memoryview) -> int | None:
        """Send record by record: the number of bytes taken, or None: not yet.

        Raises `TLSError`, and `OSError` when the connection is broken.
        """
        # OpenSSL keeps a record the socket did not take, and wants no less than its bytes at the
        # next attempt. Never offering more than one record, that is what a caller has left.
        if self._layer is _ENDED:
            raise self._unusable()
        sent = 0
        try:
            if len(data) <= RECORD and type(data) is bytes:
                return self._tls.write(data) if data else 0
            view = memoryview(data).cast("B")
            while sent < len(view):
                sent += self._tls.write(view[sent : sent + RECORD])
        except ssl.SSLWantWriteError:
            return sent or None
        except ssl.SSLWantReadError:
            self.wants = READ
            return sent or None
        except ssl.SSLError as error:
            raise self._broken(error) from error
        return sent

    def send_file_now(self, descriptor: int, offset: int, count: int) -> int | None:
        """Read from a file and send: the number of bytes taken, 0 at its end, None: not yet.

        Raises as `send_now`.
        """
        return self.send_now(os.pread(descriptor, min(count, _READ_SIZE), offset))

    def shut_down(self) -> None:
        """Tell the client, in TLS and in TCP, that nothing more will be sent.

        Nothing can be received either after that, only discarded. Raises `OSError`.
        """
        self._close_notify()
        super().shut_down()

    def close(self) -> None:
        """Close the socket at once, and drop what was not sent.

        Only a connection that ends as it should gets a close_notify; to a client without one, what
        it has received is cut short (RFC 8446, section 6.1).
        """
        if self.close_reason in _CLEAN and not self.unsent:
            self._close_notify()
        elif self.close_reason is CloseReason.HANDSHAKE_TIMEOUT:
            self._count(TIMEOUT)
        self._layer = _Layer.ENDED
        super().close()

    def abort(self) -> None:
        """Make every present and future operation on the socket fail. Any thread may call this."""
        # Not the TLS socket's own shutdown, which takes the TLS layer away from under its owner.
        with suppress(OSError):
            socket.socket.shutdown(self._tls, socket.SHUT_RDWR)

    def _close_notify(self) -> None:
        if self._layer is not _Layer.OPEN:
            return
        self._layer = _Layer.ENDED
        # After sending its own, unwrap looks for the client's close_notify, which is not awaited,
        # and fails for good if it finds anything else.
        with suppress(OSError):
            self._tls.unwrap()

    def _unusable(self) -> TLSError:
        # Python's TLS sockets turn into plain ones once both sides have said close_notify.
        return TLSError(f"{self.peer}: the TLS connection has ended")

    def _broken(self, error: ssl.SSLError) -> TLSError:
        self.close_reason = CloseReason.CLIENT if _is_end(error) else CloseReason.TLS
        self._layer = _Layer.ENDED
        if self.close_reason is CloseReason.TLS:
            refusal = self._tls.refusal if isinstance(self._tls, ServerSocket) else None
            self._count(refusal or reason_of(error), refusal or error)
        return TLSError(f"{self.peer}: {error}")

    def _count(self, reason: str, error: object = None) -> None:
        if self._faults is not None:
            self._faults.add(self.peer, reason, error)

    def _answer_plainly(self) -> None:
        with suppress(OSError):
            socket.socket.send(self._tls, _PLAIN_ANSWER)
            socket.socket.shutdown(self._tls, socket.SHUT_WR)
            # Closing with something unread would reset the connection, and lose the answer.
            socket.socket.recv(self._tls, RECEIVE_SIZE)


def _is_end(error: ssl.SSLError) -> bool:
    """Whether the client closed the connection, in TLS or without a word."""
    # Python 3.11.2 and earlier has other names for the ways in which OpenSSL 3 tells that.
    return (
        isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError)
        or error.reason == "UNEXPECTED_EOF_WHILE_READING"
    )
