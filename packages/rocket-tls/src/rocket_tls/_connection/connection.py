"""A connection protected by TLS.

Theory of operation: OpenSSL never sees the socket. For each operation the connection takes its
memory wire, gives OpenSSL what has arrived, lets it work, and takes what it has made; see
`MemoryWire` for the rule that keeps clients apart. So the connection decides how much is received
and sent by one system call, and an operation of OpenSSL never waits.

As for every connection, one thread at a time owns it and calls its methods (see `State` of
rocket-core); only `abort` may be called by any thread. What is shared with other connections are
the wire, under its lock, and the counts of failures, which have a lock of their own.

What the socket does not take at once is kept encrypted in a `Backlog`. The bytes that such records
were made of count as not sent until the socket has taken the record, and the caller offers them
again; they are claimed then, not encrypted again.
"""

from __future__ import annotations

import os
import socket
import ssl
import time
from contextlib import suppress
from enum import Enum
from typing import Final

from rocket_core import CloseReason, Connection, Peer, State, Timeouts
from rocket_core.extending import RECEIVE_SIZE, WRITE, NotYet
from rocket_tls._connection.backlog import Backlog
from rocket_tls._connection.environ import tls_environ
from rocket_tls._connection.memory_wire import memory_wire_of
from rocket_tls._connection.plain_http import PLAIN_HTTP_RESPONSE
from rocket_tls._context.alpn import ACME_TLS
from rocket_tls._context.client_hello import ClientHello
from rocket_tls._context.server_side import ServerSide
from rocket_tls._errors import TLSError
from rocket_tls._faults import TIMEOUT, UNREAD, UNREADABLE, TLSFaults, reason_of

RECORD: Final = 1 << 14
"""The most bytes of content that a record carries (RFC 8446, section 5.1)."""

_OVERHEAD: Final = 5 + 256
"""The most bytes that a record has besides its content (section 5.2)."""

_BATCH: Final = 4 * RECORD
"""Bytes of content that are received, sent, or read from a file, at once."""

_RECEIVE_RECORD: Final = RECORD + _OVERHEAD
_RECEIVE_BATCH: Final = _BATCH + _OVERHEAD
"""Bytes that one call of `recv` asks for."""

_ANSWERS: Final = 1024
"""The most bytes of OpenSSL's own answers that wait for a client; beyond that the connection ends.

A client that asks for new keys, or for anything else, needs one answer of some thirty bytes (RFC
8446, section 4.6.3), and nothing is received from it until it has taken that answer."""

_DISCARDS: Final = 64
"""Calls of `recv` in which one call of `discard` drops data."""

_DEFAULT_TIMEOUTS: Final = Timeouts()


class _Layer(Enum):
    """The state of the TLS layer, which only moves down this list."""

    HANDSHAKE = "handshake"
    OPEN = "open"
    ENDED = "ended"
    """The server has sent its close_notify, or TLS has failed: the layer cannot be used."""


# Global names, because the attribute of an enum costs a search.
_HANDSHAKE: Final = _Layer.HANDSHAKE
_OPEN: Final = _Layer.OPEN
_ENDED: Final = _Layer.ENDED

_TLS_1_3: Final = "TLSv1.3"

_COMPLETE: Final = frozenset(
    {
        None,
        CloseReason.SERVED,
        CloseReason.CLIENT,
        CloseReason.KEEP_ALIVE_TIMEOUT,
        CloseReason.DRAINED,
    }
)
"""Reasons for closing that leave no response incomplete."""


class TLSConnection(Connection):
    """A client that speaks TLS. The connection begins in ``State.HANDSHAKE``.

    A request takes one system call each way. A client that closes the connection without a
    close_notify has ended its stream (RFC 9112, section 9.8).
    """

    __slots__ = ("_backlog", "_early", "_faults", "_held", "_hello", "_layer", "_tls", "_wire")

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        peer: Peer | None = None,
        local: Peer | None = None,
        *,
        timeouts: Timeouts = _DEFAULT_TIMEOUTS,
        faults: TLSFaults | None = None,
        reads_hello: bool = False,
    ) -> None:
        """Take ``sock``, as the server's side of ``context``; the rest is as for `Connection`.

        Args:
            sock: the accepted socket.
            context: what the handshake begins with.
            peer: as for `Connection`.
            local: as for `Connection`.
            timeouts: as for `Connection`.
            faults: counts the failures of TLS.
            reads_hello: what the client offers decides how it is answered, so that the
                ClientHello must be complete before OpenSSL reads it.

        Raises:
            OSError: the client has left already.
        """
        super().__init__(sock, peer, local, secure=True, timeouts=timeouts)
        self._wire = wire = memory_wire_of(self.descriptor)
        self._tls = context.wrap_bio(wire.incoming, wire.outgoing, server_side=True)
        if isinstance(self._tls, ServerSide):
            self._tls.began = time.monotonic()
        self._layer = _HANDSHAKE
        self._hello = ClientHello() if reads_hello else None
        self._faults = faults
        self._backlog: Backlog | None = None
        self._early = b""
        """The data that has arrived together with the end of the handshake."""
        self._held = b""
        """What OpenSSL has made at the end of the handshake, until it is sent before the rest."""
        self.state = State.HANDSHAKE

    def handshake(self) -> bool:
        """Go on with the handshake, without waiting; return whether it is complete.

        A client that speaks HTTP without TLS gets a response. Raises `TLSError`, and `OSError` if
        the connection is broken.
        """
        if self._backlog is not None and not self._flush():
            self.wants = WRITE
            return False
        while self._layer is _HANDSHAKE:
            try:
                received = self._socket.recv(_RECEIVE_RECORD)
            except (BlockingIOError, InterruptedError):
                return False
            if not received:
                self._layer = _ENDED
                self.close_reason = CloseReason.CLIENT
                raise TLSError(f"{self.peer}: the client left during the handshake")
            self.drained = drained = len(received) < _RECEIVE_RECORD
            made = self._shake_hands(received)
            if made and not self._send_made(made):
                self.wants = WRITE
                return False
            if drained and self._layer is _HANDSHAKE:
                return False
        return self._complete_handshake()

    def _shake_hands(self, received: bytes) -> bytes:
        """Let OpenSSL read ``received``; return what it has made for the client.

        Once the handshake is complete, the layer is open. What the client gets then is held.
        """
        tls = self._tls
        if self._hello is not None:
            received = self._collect_hello(received, self._hello)
            if self._hello is not None:
                return b""
        if isinstance(tls, ServerSide):
            tls.local = self.local  # a proxy may have announced it by now
        wire = self._wire
        incoming, outgoing = wire.incoming, wire.outgoing
        try:
            with wire.lock:
                wire.clear()
                try:
                    incoming.write(received)
                    tls.do_handshake()
                    self._layer = _OPEN
                    self._held = outgoing.read()
                    if incoming.pending:
                        self._early = self._read_rest(tls.read(RECORD))
                except ssl.SSLWantReadError:
                    if self._layer is _HANDSHAKE:
                        return outgoing.read()
                    self._empty_wire()  # a part of the first record has come
                except BaseException as error:
                    self._give_up(error)
                    raise
        except ssl.SSLError as error:
            if error.reason == "HTTP_REQUEST":
                self._respond_without_tls()
            raise self._failed(error) from error
        return b""

    def _collect_hello(self, received: bytes, hello: ClientHello) -> bytes:
        """Note the ClientHello, once it is complete; return all data received so far."""
        if hello.take(received):
            self._hello = None
            if isinstance(self._tls, ServerSide):
                self._tls.hello = hello.received
        return hello.received

    def _complete_handshake(self) -> bool:
        """Note what was agreed on; return whether the client has all that it waits for.

        Raises `TLSError` if the connection must end here.
        """
        tls = self._tls
        if isinstance(tls, ServerSide):
            tls.hello = None  # which may take up a kilobyte or two
        version = tls.version() or ""
        # In TLS 1.3 what is held are session tickets, which no client waits for (RFC 8446, section
        # 4.6.1). If the client has sent its request already, they go with the response.
        if self._held and not (version == _TLS_1_3 and self._has_early()) and not self._send_held():
            self.wants = WRITE
            return False
        self.protocol = tls.selected_alpn_protocol() or ""
        if self.protocol == ACME_TLS:
            # The CA has the certificate that it asked for, and sends no request.
            self.close_reason = CloseReason.SERVED
            raise TLSError(f"{self.peer}: the CA has validated a name")
        try:
            self.environ = tls_environ(tls, version)
        except ValueError as error:
            self._count(UNREADABLE)
            self.close_reason = CloseReason.TLS
            raise TLSError(f"{self.peer}: the client certificate cannot be parsed") from error
        return True

    def _has_early(self) -> bool:
        """Receive what the client has sent behind its handshake; return whether it has."""
        if not self._early:
            try:
                self._early = self.receive_now(RECORD)
            except (BlockingIOError, InterruptedError):
                return False
        return bool(self._early)

    # One function, because every request runs it, and each call of another one costs time.
    def receive_now(self, size: int) -> bytes:  # noqa: C901
        """Receive once, and return everything that can be decrypted.

        No poller would report data that stays inside the TLS layer. Raises `BlockingIOError` or
        `NotYet` if no data is there, `TLSError`, and `OSError`.
        """
        if self._layer is _ENDED:
            raise self._ended_error()
        if self._backlog is not None:
            self._send_answers_first()
        if self._early:
            data, self._early = self._early, b""
            return data
        wanted = _RECEIVE_RECORD if size <= RECORD else _RECEIVE_BATCH
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
                        data = self._read_rest(data)
                except BaseException as error:
                    self._give_up(error)
                    raise
        except ssl.SSLWantReadError:
            self._send_answers()
            # Not `NotYet`, which says what to wait for: that may be unsent output instead.
            raise BlockingIOError from None
        except ssl.SSLError as error:
            raise self._failed(error) from error
        if self._backlog is not None:
            self._send_answers()
        return data

    def _read_rest(self, data: bytes) -> bytes:
        """Return ``data`` with everything that follows it. The caller holds the wire's lock.

        Empty ``data`` means that OpenSSL has read a close_notify.
        """
        parts = [data]
        try:
            while data and self._wire.incoming.pending:
                data = self._tls.read(RECORD)
                parts.append(data)
        except ssl.SSLWantReadError:  # for the rest of a record
            pass
        self._empty_wire()
        if not data:
            # The end of the stream was sent in TLS. Shutting the socket down makes the poller and
            # the next receive see it, too.
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RD)
        return b"".join(parts)

    def _send_answers_first(self) -> None:
        """Send the answers of OpenSSL that wait. Raises `NotYet` while the client takes none.

        Data that is received now could lead to more of them.
        """
        self._flush()
        if self._backlog is not None and self._backlog.answers:
            raise NotYet(WRITE)

    def _send_answers(self) -> None:
        """Send the answers that OpenSSL makes by itself, such as alerts and new keys.

        If the socket does not take them, the connection waits for readiness to write. Raises
        `TLSError` if too many of them wait.
        """
        if self._flush() or self._backlog is None or not self._backlog.answers:
            return
        if self._backlog.answers > _ANSWERS:
            self.close_reason = CloseReason.TLS
            self._layer = _ENDED
            self._count(UNREAD)
            raise TLSError(f"{self.peer}: the client keeps asking and takes no answer")
        self.wants = WRITE

    def _give_up(self, error: BaseException) -> None:
        """Leave the wire after an error. The caller holds the wire's lock.

        Only after an error of its own OpenSSL is in a known state.
        """
        if not isinstance(error, ssl.SSLError):
            self._layer = _ENDED
        self._empty_wire()

    def _empty_wire(self) -> None:
        """Keep what OpenSSL has made, and drop what it has not read. The caller holds the lock."""
        self._wire.incoming.read()
        made = self._wire.outgoing.read()
        if made:
            if self._held:
                made = self._take_held() + made
            if self._backlog is None:
                self._backlog = Backlog(self.server.output)
            self._backlog.add(made)

    def _take_held(self) -> bytes:
        """Return what is held, for the caller to send before anything else."""
        held, self._held = self._held, b""
        return held

    def _send_held(self) -> bool:
        """Send what is held; return whether the socket has taken all of it. Raises `OSError`."""
        if self._backlog is None:
            return self._send_made(self._take_held())
        return self._flush()  # what was held is a part of the backlog

    def _send_made(self, made: bytes) -> bool:
        """Send what OpenSSL has made by itself, while there is no backlog.

        Returns whether the socket has taken all of it. Raises `OSError`.
        """
        try:
            count = self._socket.send(made)
        except (BlockingIOError, InterruptedError):
            count = 0
        if count == len(made):
            return True
        self._backlog = backlog = Backlog(self.server.output)
        backlog.add(made)
        backlog.took(count)
        return False

    def _flush(self) -> bool:
        """Send the backlog; return whether the socket has taken all of it. Raises `OSError`."""
        backlog = self._backlog
        if backlog is None:
            return True
        all_sent = backlog.send(self._socket)
        if all_sent and not backlog.owed:
            self._backlog = None
        return all_sent

    def discard(self) -> bool:
        """Drop what the client sends, encrypted as it is; return whether its stream has ended.

        Raises `OSError` if the connection is broken.
        """
        if self._layer is not _ENDED:
            return super().discard()
        try:
            for _ in range(_DISCARDS):
                if not self._socket.recv(RECEIVE_SIZE):
                    return True
        except (BlockingIOError, InterruptedError):
            pass
        return False

    # The first part is in one function with the look at the state, as in `receive_now`.
    def send_now(self, data: bytes | bytearray | memoryview) -> int | None:
        """Send without waiting; return the number of bytes taken, or None for "not yet".

        The next call must offer the bytes that were not taken again, at least as many as one
        record holds. Raises `TLSError`, and `OSError` if the connection is broken.
        """
        if self._layer is _ENDED:
            raise self._ended_error()
        if self._backlog is not None or type(data) is not bytes or not 0 < len(data) <= RECORD:
            return self._send_several(memoryview(data).cast("B"))
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
            raise self._failed(error) from error
        if self._held:
            record = self._take_held() + record
        try:
            count = self._socket.send(record)
        except (BlockingIOError, InterruptedError):
            count = 0
        if count < len(record):
            return self._keep_records([(record, size)], count) or None
        return size

    def _send_several(self, view: memoryview) -> int | None:
        """`send_now` for any number of records, and what waits before them."""
        sent = 0
        backlog = self._backlog
        if backlog is not None:
            self.wants = 0  # the caller waits for readiness to write by itself
            self._flush()
            sent = backlog.claim(len(view))
            if backlog.size or backlog.owed:
                return sent or None
            self._backlog = None
        # While the server holds much output, no more is encrypted at once than must be.
        batch = _BATCH if self.server.output.ample else RECORD
        while sent < len(view):
            end = sent + batch
            # A batch takes up to a record more, because a response is often a head longer.
            part = view[sent:] if len(view) - end <= RECORD else view[sent:end]
            taken = self._send_batch(part)
            sent += taken
            if taken < len(part):
                return sent or None
        return sent

    def _send_batch(self, view: memoryview) -> int:
        """Encrypt and send several records at once; return the number of bytes taken."""
        wire = self._wire
        records = [(self._take_held(), 0)] if self._held else []
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
            raise self._failed(error) from error
        try:
            count = self._socket.sendmsg([record for record, _ in records])
        except (BlockingIOError, InterruptedError):
            count = 0
        if count < sum(len(record) for record, _ in records):
            return self._keep_records(records, count)
        return size

    def _keep_records(self, records: list[tuple[bytes, int]], count: int) -> int:
        """Put ``records`` into the backlog, of which the socket has taken ``count`` bytes.

        Returns the number of bytes of content in the records that it has taken whole.
        """
        self._backlog = backlog = Backlog(self.server.output)
        for record, content in records:
            backlog.add(record, content)
        backlog.took(count)
        return backlog.claim(backlog.owed)

    def send_file_now(self, descriptor: int, offset: int, count: int) -> int | None:
        """Send from a file; return the number of bytes taken, 0 at its end, None for "not yet".

        Raises what `send_now` does.
        """
        data = os.pread(descriptor, min(count, _BATCH), offset)
        return self.send_now(data) if data else 0

    def shut_down(self) -> None:
        """Send a close_notify, and the FIN of TCP.

        After that data can only be discarded, not received. Raises `OSError`.
        """
        self._close_notify()
        super().shut_down()

    def close(self) -> None:
        """Close the socket at once, and drop output that was not sent.

        The client gets a close_notify only if it has every response. Without one it knows that the
        stream was cut short (RFC 8446, section 6.1).
        """
        if self.close_reason in _COMPLETE and not self.unsent:
            self._close_notify()
        elif self.close_reason is CloseReason.HANDSHAKE_TIMEOUT:
            self._count(TIMEOUT)
        self._layer = _ENDED
        if self._backlog is not None:
            self._backlog.clear()
        super().close()

    def _close_notify(self) -> None:
        if self._layer is not _OPEN:
            return
        self._layer = _ENDED
        backlog = self._backlog
        if backlog is not None and backlog.owed:
            return
        # After making its own close_notify, unwrap looks for that of the client, and raises an
        # error if it finds none or anything else. The server does not wait for it.
        wire = self._wire
        incoming, outgoing = wire.incoming, wire.outgoing
        made = b""
        with wire.lock:
            if incoming.pending or outgoing.pending:
                wire.clear()
            try:
                self._tls.unwrap()
            except OSError:
                pass
            finally:
                made = outgoing.read()
        try:
            if self._held:
                made = self._take_held() + made
            if backlog is None:
                self._socket.send(made)
            else:
                backlog.add(made)
                self._flush()
        except OSError:  # the client is gone, or takes no more
            pass

    def _ended_error(self) -> TLSError:
        return TLSError(f"{self.peer}: the TLS connection has ended")

    def _failed(self, error: ssl.SSLError) -> TLSError:
        """End the layer after an error of OpenSSL; return the error to raise."""
        ended = isinstance(error, ssl.SSLZeroReturnError)
        self.close_reason = CloseReason.CLIENT if ended else CloseReason.TLS
        self._layer = _ENDED
        with suppress(OSError):
            self._flush()  # with the alert for the client
        if not ended:
            refusal = self._tls.refusal if isinstance(self._tls, ServerSide) else None
            self._count(refusal or reason_of(error), refusal or error)
        return TLSError(f"{self.peer}: {error}")

    def _count(self, reason: str, error: object = None) -> None:
        if self._faults is not None:
            self._faults.add(self.peer, reason, error)

    def _respond_without_tls(self) -> None:
        with suppress(OSError):
            self._socket.send(PLAIN_HTTP_RESPONSE)
            self._socket.shutdown(socket.SHUT_WR)
            # Closing the socket with unread data would reset the connection, and the client might
            # lose the response.
            self._socket.recv(RECEIVE_SIZE)
