"""The buffers of a connection: what has come and is not yet taken, and what is yet to go.

No method here waits for the client. Each returns at once, and tells the caller what is not yet so.
What is kept for clients is bounded by budgets that all connections of a server share; see
`ServerState`.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Final

from rocket_core._connection.budget import GRAIN
from rocket_core._connection.output import OUTPUT_BOUND, Output
from rocket_core._connection.server_state import NO_SERVER, ServerState
from rocket_core._connection.transport import Transport
from rocket_core._errors import NotYet
from rocket_core._native_classes import mypyc_attr
from rocket_core._network.address import Peer
from rocket_core._system.unread_bytes import has_arrived
from rocket_core.http1 import HeadError, check_arriving

RECEIVE_SIZE: Final = 16 * 1024
"""Bytes asked of the system at once. A TLS record carries no more."""

_DISCARDS: Final = 64
"""Receives of bytes that are thrown away, in a row, before other clients get their share."""


@mypyc_attr(allow_interpreted_subclasses=True)
class Buffers(Transport):
    """A socket with a buffer each way.

    Attributes:
        buffered: bytes received and not yet taken.
        server: the state that the connection shares with all others of its server.
        unsent: whether the client has yet to take something that was written.
    """

    __slots__ = ("_buffer", "_output", "_position", "buffered", "server", "unsent")

    def __init__(
        self,
        sock: socket.socket,
        peer: Peer | None,
        local: Peer | None,
        secure: bool,
    ) -> None:
        """Begin with nothing in either buffer. Takes and raises what `Transport` does."""
        Transport.__init__(self, sock, peer, local, secure)
        self.server: ServerState = NO_SERVER
        self.buffered = 0
        self.unsent = False
        self._buffer: bytes | bytearray = b""
        self._position = 0
        """Where in ``_buffer`` the bytes begin that are not yet taken."""
        self._output: Output | None = None
        """What is kept for the client; None: nothing has been kept since all was sent."""

    # -- what has come -------------------------------------------------------------------------

    def fill(self, size: int = RECEIVE_SIZE) -> int | None:
        """Receive once, up to ``size`` bytes.

        Returns the number of bytes that came, 0 at the end of the stream, None: not yet. Raises
        `OSError` when the connection is broken.
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
        """Return up to ``size`` bytes of what is buffered (-1: all of it), without taking them."""
        end = len(self._buffer) if size < 0 else self._position + size
        return bytes(self._buffer[self._position : end])

    def take(self, size: int = -1) -> bytes:
        """Take up to ``size`` bytes of what is buffered (-1: all of it)."""
        buffer, start = self._buffer, self._position
        if 0 <= size < self.buffered:
            end = start + size
            taken = buffer[start:end]
            self.buffered = left = self.buffered - size
            self._move_to(end, left)
        else:
            taken = buffer[start:]
            self._buffer = b""  # an idle connection keeps nothing
            self._position = self.buffered = 0
        return taken if type(taken) is bytes else bytes(taken)

    def _move_to(self, end: int, left: int) -> None:
        """Drop what is before ``end``; the little that is ``left`` must not keep much memory."""
        size = len(self._buffer)
        if size > RECEIVE_SIZE and left < size // 4:
            self._buffer = self._buffer[end:]
            end = 0
        self._position = end

    def find(self, mark: bytes, start: int = 0) -> int:
        """Return where ``mark`` begins in what is buffered, from ``start`` on; -1: nowhere."""
        at = self._buffer.find(mark, self._position + start)
        return at if at < 0 else at - self._position

    def take_through(self, mark: bytes) -> bytes | None:
        """Take what is buffered up to ``mark``, which is taken too but not returned.

        Returns None, and takes nothing, while the mark has not come.
        """
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

    def discard(self) -> bool:
        """Throw away what the client sends; return whether it has stopped sending.

        Raises `OSError` when the connection is broken.
        """
        for _ in range(_DISCARDS):
            self.take()
            count = self.fill()
            if count is None:
                return False
            if count == 0:
                return True
        return False

    def has_unread(self) -> bool:
        """Return whether the client has sent more than was taken, which closing would not wait for.

        Call it only to close the connection then: what it receives stays in the buffer.
        """
        if self.buffered:
            return True
        # To be told by an exception that nothing has come costs ten times as much as this question.
        if self.drained and not has_arrived(self.descriptor):
            return False
        try:
            return bool(self.fill())
        except OSError:  # the client is gone
            return False

    # -- what is yet to go ---------------------------------------------------------------------

    @property
    def held(self) -> int:
        """Bytes held for the client, which has not taken them yet. Any thread may ask."""
        output = self._output  # the owner may drop it meanwhile
        return 0 if output is None else output.held

    def holds(self, size: int) -> bool:
        """Return whether `Connection.write` of ``size`` bytes never waits once all else is sent."""
        return size <= GRAIN or (size <= OUTPUT_BOUND and self.server.output.ample)

    def _kept(self) -> Output:
        if self._output is None:
            self._output = Output(self.server.output)
        return self._output

    def keep(self, view: memoryview) -> int:
        """Keep a copy of as many bytes of ``view`` as there is room for; return how many."""
        return self._kept().add(view)

    def lend(self, view: memoryview, size: int) -> bool:
        """Keep ``view`` without copying it, where `keep` has no room; return whether it is kept.

        The view is part of an object of ``size`` bytes, which must not change any more.
        """
        return self._kept().lend(view, size)

    def keep_spans(self, descriptor: int, spans: Sequence[tuple[bytes, int, int]]) -> None:
        """Keep parts of one open file, each (bytes before it, offset, count).

        The descriptor is duplicated. Raises `OSError` when no descriptor is left.
        """
        self._kept().add_spans(descriptor, spans)

    def send_kept(self) -> int:
        """Send what is kept, as far as the client takes it now; return how many bytes it took.

        Afterwards `unsent` tells whether something is left. Raises `OSError` when the client is
        gone.
        """
        output = self._output
        if output is None:
            self.unsent = False
            return 0
        moved = output.flush(self)
        if not output:
            self._output = None  # as small as it is, there are many connections
            self.unsent = False
        return moved

    def close(self) -> None:
        """Close the socket at once, and drop what was not sent, so that the client notices."""
        if self._output is not None:
            if self.unsent:
                self.break_off()
            self._output.clear()
            self._output = None
            self.unsent = False
        Transport.close(self)


def take_head(connection: Buffers) -> bytes | None:
    """Take a message head that has arrived whole, up to its empty line; otherwise return None.

    One empty line before it is ignored (RFC 9112, section 2.2). A head that is too long, or
    broken, is refused as soon as that is known: raises `HeadError` with status 400,
    414, 431 or 501.
    """
    head = connection.take_through(b"\r\n\r\n")
    if head is None:
        check_arriving(connection.peek())
        return None
    if not head:
        raise HeadError(400, "the request begins with more than one empty line")
    return head.removeprefix(b"\r\n")
