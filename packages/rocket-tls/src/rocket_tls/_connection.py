"""A connection protected by TLS."""

from __future__ import annotations

import os
import socket
import ssl
from contextlib import suppress
from enum import Enum
from typing import Final

from rocket_core import CloseReason, Connection, Peer, State, Timeouts
from rocket_core.extending import RECEIVE_SIZE, WRITE, NotYet
from rocket_tls._backlog import Backlog
from rocket_tls._challenges import PROTOCOL
from rocket_tls._client_hello import Hello
from rocket_tls._contexts import ServerSide
from rocket_tls._errors import TLSError
from rocket_tls._fault import TIMEOUT, UNREAD, UNREADABLE, TLSFaults, reason_of
from rocket_tls._identity import describe
from rocket_tls._wire import wire_of

RECORD: Final = 1 << 14
"""Bytes that one record carries at most (RFC 8446, section 5.1)."""

_AROUND: Final = 5 + 256
"""Bytes that a record may have around what it carries, at most (section 5.2)."""

_BATCH: Final = 4 * RECORD
"""Bytes that are received and decrypted, or encrypted and sent, together; or read from a file."""

_FOR_RECORD: Final = RECORD + _AROUND
_FOR_BATCH: Final = _BATCH + _AROUND
"""Bytes asked of the system at once."""

_ANSWERS: Final = 1024
"""Bytes of OpenSSL's own answers that wait for a client, beyond which it is cut. A client that asks
for new keys, or for anything else, needs one answer of some thirty bytes (RFC 8446, section 4.6.3),
and nothing of it is received until it has taken that."""

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

    OpenSSL works in memory: what is between it and the socket is received and sent here, so that
    a request takes one call of the system each way.

    A client that closes the connection without saying so in TLS is taken at its word, as HTTP
    servers are asked to (RFC 9112, section 9.8): that is the end of the stream.
    """

    __slots__ = ("_backlog", "_early", "_faults", "_hello", "_layer", "_tls", "_wire")

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
        super().__init__(sock, peer, local, secure=True, timeouts=timeouts)
        self._wire = wire = wire_of(self.descriptor)
        self._tls = context.wrap_bio(wire.incoming, wire.outgoing, server_side=True)
        self._layer = _Layer.HANDSHAKE
        self._hello = Hello() if validation else None
        self._faults = faults
        self._backlog: Backlog | None = None
        self._early = b""
        """What has come with the end of the handshake."""
        self.state = State.HANDSHAKE

    def handshake(self) -> bool:
        """Take the handshake as far as it goes; whether it is complete.

        A client that speaks HTTP without TLS is told so. Raises `TLSError`, and `OSError` when the
        connection is broken.
        """
        more = True
        while self._flush():
            if self._layer is not _Layer.HANDSHAKE:
                return self._admit()
            if not more:
                return False
            try:
                received = self._socket.recv(_FOR_RECORD)
            except (BlockingIOError, InterruptedError):
                return False
            if not received:
                self._layer = _Layer.ENDED
                self.close_reason = CloseReason.CLIENT
                raise TLSError(f"{self.peer}: the client has left within the handshake")
            self.drained = len(received) < _FOR_RECORD
            more = not self.drained
            self._shake_hands(received)
        self.wants = WRITE
        return False

    def _shake_hands(self, received: bytes) -> None:
        """Go on with the handshake after ``received``; where it is complete, the layer is open."""
        tls = self._tls
        if self._hello is not None:
            received = self._look_at(received, self._hello)
            if self._hello is not None:
                return
        if isinstance(tls, ServerSide):
            tls.local = self.local  # which a proxy may have announced by now
        wire = self._wire
        try:
            with wire.lock:
                wire.clear()
                try:
                    wire.incoming.write(received)
                    tls.do_handshake()
                    self._layer = _Layer.OPEN
                    if wire.incoming.pending:
                        self._early = self._read_on(tls.read(RECORD))
                except BaseException as error:
                    self._give_up(error)
                    raise
                self._empty_wire()
        except ssl.SSLWantReadError:
            return
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                self._answer_plainly()
            raise self._broken(error) from error

    def _look_at(self, received: bytes, hello: Hello) -> bytes:
        """Look at what the client offers, once that is known; all that is received so far."""
        protocols = hello.take(received)
        if protocols is not None:
            self._hello = None
            if isinstance(self._tls, ServerSide):
                self._tls.validating = protocols == [PROTOCOL.encode()]
        return hello.received

    def _admit(self) -> bool:
        """The handshake is complete, and the client is told so: True. Raises `TLSError`."""
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

    # In one piece, because every request passes through it and each call costs.
    def receive_now(self, size: int) -> bytes:  # noqa: C901
        """One receive, with all that it decrypts: no poller sees what stays inside the TLS layer.

        Raises `BlockingIOError` or `NotYet` when nothing is there, `TLSError`, and `OSError`.
        """
        if self._layer is _ENDED:
            raise self._unusable()
        if self._backlog is not None:
            self._make_way()
        if self._early:
            data, self._early = self._early, b""
            return data
        wanted = _FOR_RECORD if size <= RECORD else _FOR_BATCH
        received = self._socket.recv(wanted)
        self.drained = len(received) < wanted
        if not received:
            return b""
        wire = self._wire
        incoming = wire.incoming
        try:
            with wire.lock:
                if incoming.pending or wire.outgoing.pending:
                    wire.clear()
                try:
                    incoming.write(received)
                    data = self._tls.read(RECORD)
                    if incoming.pending or wire.outgoing.pending or not data:
                        data = self._read_on(data)
                except BaseException as error:
                    self._give_up(error)
                    raise
        except ssl.SSLWantReadError:
            self._answer()
            # Not NotYet: unsent output may be what the connection waits for next.
            raise BlockingIOError from None
        except ssl.SSLError as error:
            raise self._broken(error) from error
        if self._backlog is not None:
            self._answer()
        return data

    def _read_on(self, data: bytes) -> bytes:
        """With the lock: all there is, ``data`` being its beginning, or empty at its end."""
        parts = [data]
        try:
            while data and self._wire.incoming.pending:
                data = self._tls.read(RECORD)
                parts.append(data)
        except ssl.SSLWantReadError:  # for the rest of a record
            pass
        self._empty_wire()
        if not data:
            # What the client has said in TLS, the poller and the next receive are to see, too.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RD)
        return b"".join(parts)

    def _make_way(self) -> None:
        """Raise `NotYet` while an answer of OpenSSL's waits, which what follows could add to."""
        self._flush()
        if self._backlog is not None and self._backlog.answers:
            raise NotYet(WRITE)

    def _answer(self) -> None:
        """Send what OpenSSL has to say of its own; what the socket does not take is waited for.

        Raises `TLSError` where that is too much.
        """
        if self._flush() or self._backlog is None or not self._backlog.answers:
            return
        if self._backlog.answers > _ANSWERS:
            self.close_reason = CloseReason.TLS
            self._layer = _Layer.ENDED
            self._count(UNREAD)
            raise TLSError(f"{self.peer}: the client asks again and again and takes no answer")
        self.wants = WRITE

    def _give_up(self, error: BaseException) -> None:
        """With the lock: leave the wire. OpenSSL knows how to go on after its own errors only."""
        if not isinstance(error, ssl.SSLError):
            self._layer = _Layer.ENDED
        self._empty_wire()

    def _empty_wire(self) -> None:
        """With the lock: keep what OpenSSL has made, and drop what it has refused to read."""
        self._wire.incoming.read()
        made = self._wire.outgoing.read()
        if made:
            if self._backlog is None:
                self._backlog = Backlog(self.server.output)
            self._backlog.add(made)

    def _flush(self) -> bool:
        """Send what is kept; whether the socket has taken all of it. Raises `OSError`."""
        backlog = self._backlog
        if backlog is None:
            return True
        all_sent = backlog.send(self._socket)
        if all_sent and not backlog.owed:
            self._backlog = None
        return all_sent

    def discard(self) -> bool:
        """Throw away what the client sends, encrypted as it is; whether it has stopped sending.

        Raises `OSError` when the connection is broken.
        """
        if self._layer is not _Layer.ENDED:
            return super().discard()
        try:
            for _ in range(_DISCARDS):
                if not self._socket.recv(RECEIVE_SIZE):
                    return True
        except (BlockingIOError, InterruptedError):
            pass
        return False

    def send_now(self, data: bytes | bytearray | memoryview) -> int | None:
        """Send record by record: the number of bytes taken, or None: not yet.

        Raises `TLSError`, and `OSError` when the connection is broken.
        """
        if self._layer is _ENDED:
            raise self._unusable()
        sent = 0
        backlog = self._backlog
        if backlog is not None:
            self.wants = 0  # but what the caller waits for
            self._flush()
            sent = backlog.claim(memoryview(data).nbytes)
            if backlog.size or backlog.owed:
                return sent or None
            self._backlog = None
        elif type(data) is bytes and 0 < len(data) <= RECORD:
            return self._send_record(data) or None
        view = memoryview(data).cast("B")
        # While much is held already, no more is encrypted at once than must be.
        batch = _BATCH if self.server.output.ample else RECORD
        while sent < len(view):
            end = sent + batch
            # The head of a response is often what a batch has no room for.
            part = view[sent:] if len(view) - end <= RECORD else view[sent:end]
            taken = self._send_batch(part)
            sent += taken
            if taken < len(part):
                return sent or None
        return sent

    def _send_record(self, data: bytes) -> int:
        """Encrypt and send so many bytes as one record has; how many were taken."""
        wire = self._wire
        outgoing = wire.outgoing
        try:
            with wire.lock:
                if wire.incoming.pending or outgoing.pending:
                    wire.clear()
                try:
                    size = self._tls.write(data)
                    record = outgoing.read()
                except BaseException as error:
                    self._give_up(error)
                    raise
        except ssl.SSLError as error:
            raise self._broken(error) from error
        try:
            count = self._socket.send(record)
        except (BlockingIOError, InterruptedError):
            count = 0
        if count < len(record):
            return self._hold_back([(record, size)], count)
        return size

    def _send_batch(self, view: memoryview) -> int:
        """Encrypt and send several records at once; how many bytes were taken."""
        wire = self._wire
        records = []
        size = 0
        try:
            with wire.lock:
                wire.clear()
                try:
                    while size < len(view):
                        content = self._tls.write(view[size : size + RECORD])
                        records.append((wire.outgoing.read(), content))
                        size += content
                except BaseException as error:
                    self._give_up(error)
                    raise
        except ssl.SSLError as error:
            raise self._broken(error) from error
        try:
            count = self._socket.sendmsg([record for record, _ in records])
        except (BlockingIOError, InterruptedError):
            count = 0
        if count < sum(len(record) for record, _ in records):
            return self._hold_back(records, count)
        return size

    def _hold_back(self, records: list[tuple[bytes, int]], count: int) -> int:
        """Of ``records``, ``count`` bytes are sent; how many bytes of content that completes."""
        self._backlog = backlog = Backlog(self.server.output)
        for record, content in records:
            backlog.add(record, content)
        backlog.took(count)
        return backlog.claim(backlog.owed)

    def send_file_now(self, descriptor: int, offset: int, count: int) -> int | None:
        """Read from a file and send: the number of bytes taken, 0 at its end, None: not yet.

        Raises as `send_now`.
        """
        data = os.pread(descriptor, min(count, _BATCH), offset)
        return self.send_now(data) if data else 0

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
        if self._backlog is not None:
            self._backlog.clear()
        super().close()

    def _close_notify(self) -> None:
        if self._layer is not _Layer.OPEN:
            return
        self._layer = _Layer.ENDED
        if self._backlog is not None and self._backlog.owed:
            return
        # After making its own, unwrap looks for the client's close_notify, which is not awaited,
        # and fails for good if it finds anything else.
        wire = self._wire
        with wire.lock, suppress(OSError):
            wire.clear()
            try:
                self._tls.unwrap()
            finally:
                self._empty_wire()
        with suppress(OSError):
            self._flush()

    def _unusable(self) -> TLSError:
        return TLSError(f"{self.peer}: the TLS connection has ended")

    def _broken(self, error: ssl.SSLError) -> TLSError:
        ended = isinstance(error, ssl.SSLZeroReturnError)
        self.close_reason = CloseReason.CLIENT if ended else CloseReason.TLS
        self._layer = _Layer.ENDED
        with suppress(OSError):
            self._flush()  # the alert that tells the client
        if not ended:
            refusal = self._tls.refusal if isinstance(self._tls, ServerSide) else None
            self._count(refusal or reason_of(error), refusal or error)
        return TLSError(f"{self.peer}: {error}")

    def _count(self, reason: str, error: object = None) -> None:
        if self._faults is not None:
            self._faults.add(self.peer, reason, error)

    def _answer_plainly(self) -> None:
        with suppress(OSError):
            self._socket.send(_PLAIN_ANSWER)
            self._socket.shutdown(socket.SHUT_WR)
            # Closing with something unread would reset the connection, and lose the answer.
            self._socket.recv(RECEIVE_SIZE)
