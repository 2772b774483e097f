"""The output of a session: frames in the order in which they are to be sent.

Three kinds of output wait here. Whole frames, mostly acknowledgements, leave in their order. What
needs no window follows: heads, trailers, and the ends of bodies. Parts of bodies come last, as far
as the windows of their stream and of the connection are open, in the order of `Scheduler`. They
become frames only when they are taken, so that a more urgent response overtakes what waits.

A small response takes a shortcut if nothing else waits: its frames are made at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rocket_core.extending import Transfer
from rocket_wsgi._http2.client_settings import GREETING, INITIAL_WINDOW
from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.faults import SessionError
from rocket_wsgi._http2.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEAD_SIZE,
    HEADERS,
    MAX_FRAME,
    STREAM_MASK,
    headers_frames,
    rst_stream,
)
from rocket_wsgi._http2.hpack_encoder import NO_TABLE
from rocket_wsgi._http2.limits import MAX_CONTROL
from rocket_wsgi._http2.scheduler import Scheduler
from rocket_wsgi._http2.stream import End, Stream
from rocket_wsgi._http2.stream_state import StreamStep

if TYPE_CHECKING:
    from rocket_core import Timeouts
    from rocket_wsgi._http2.guard import Guard

_pack: Final = HEAD.pack
_WE_END: Final = StreamStep.WE_END
_RESET: Final = StreamStep.RESET

_SHORTCUT: Final = 16 * 1024
"""The bytes of whole frames from which responses wait for their turn. Beyond it they are counted
with their stream, which keeps its slot until they are taken."""

_SMALL: Final = 1024
"""The bytes up to which parts of a body are joined: each costs some dozen bytes of its own."""


class Sender:
    """What is to be sent on a connection.

    Attributes:
        size: the bytes of the whole frames that wait.
        window: the bytes of bodies that the client allows for the connection.
        pending: the bytes of bodies that wait.
        outgoing: the pace of the client with the window of the connection, once it has made the
            server wait.
        completed: streams whose response has been taken completely since the caller looked.
    """

    __slots__ = (
        "_control",
        "_frames",
        "_guard",
        "_scheduled",
        "_scheduler",
        "_sent",
        "_sent_frames",
        "_shrink",
        "_shrunk",
        "_stuck",
        "_timeouts",
        "_unmetered",
        "completed",
        "outgoing",
        "pending",
        "size",
        "window",
    )

    def __init__(self, guard: Guard, timeouts: Timeouts) -> None:
        self._guard = guard
        self._timeouts = timeouts
        self._frames: list[bytes] = [GREETING]
        self.size = len(GREETING)
        self._control = 0
        """The bytes of frames that the client has provoked, in ``_frames``."""
        self._sent = self._sent_frames = 0
        """The bytes of bodies in ``_frames``, and of how many frames."""
        self._unmetered: dict[int, Stream] = {}
        """Streams with something to be sent that needs no window."""
        self._scheduler = Scheduler()
        self._scheduled = self._scheduler.levels
        """It is empty if no stream is in ``_scheduler``."""
        self._shrink = self._shrunk = False
        """Whether the next block is to say that there is no table, and whether one has said so."""
        self._stuck = False
        """Whether bodies wait for the window of the connection."""
        self.window = INITIAL_WINDOW
        self.pending = 0
        self.outgoing: Transfer | None = None
        self.completed: list[Stream] = []

    @property
    def waits(self) -> bool:
        """Whether there is something to be taken."""
        return (
            bool(self._frames)
            or bool(self._unmetered)
            or (self.window > 0 and bool(self._scheduled))
        )

    @property
    def stuck(self) -> bool:
        """Whether bodies wait for the window of the connection."""
        return self._stuck and self.window <= 0 and bool(self._scheduled)

    # What is to be sent.

    def control(self, frame: bytes) -> None:
        """Add a frame that the client has provoked. Raises `SessionError` if too many wait."""
        self._frames.append(frame)
        self.size += len(frame)
        self._control += len(frame)
        if self._control > MAX_CONTROL:
            raise SessionError(
                ErrorCode.ENHANCE_YOUR_CALM, "too many acknowledgements wait for the client"
            )

    def frame(self, frame: bytes) -> None:
        """Add another whole frame."""
        self._frames.append(frame)
        self.size += len(frame)

    def shrink_table(self) -> None:
        """Have the next block say that there is no table, as the client has demanded less."""
        self._shrink = not self._shrunk

    def head(self, stream: Stream, block: bytes) -> None:
        """Add the block of a head."""
        stream.blocks.append(block)
        self._unmetered[stream.number] = stream

    def whole(self, stream: Stream, block: bytes, body: bytes, now: float) -> None:
        """Add the last head and all of the body; the response is finished by it."""
        stream.answered = stream.finished = True
        if self.shortcut(stream, block, body):
            self._complete(stream, self._frames)
            return
        self.head(stream, block)
        if body:
            self.body(stream, body, now)

    def shortcut(self, stream: Stream, block: bytes, body: bytes) -> bool:
        """Add a whole response as frames, unless something else waits or a window is too small.

        Returns whether it was added. What becomes of the stream is up to the caller.
        """
        length = len(block)
        size = len(body)
        if (
            self.size + length + size >= _SHORTCUT  # which is no more than a frame holds
            or size > stream.window_out
            or size > self.window
            or self._unmetered
            or self._scheduled
            or self._shrink
        ):
            return False
        number = stream.number
        if size:
            self._frames += (
                _pack(length << 8 | HEADERS, END_HEADERS, number),
                block,
                _pack(size << 8 | DATA, END_STREAM, number),
                body,
            )
            self.size += length + size + 2 * HEAD_SIZE
            self.window -= size
            stream.window_out -= size
            self._sent += size
            self._sent_frames += 1
        else:
            ends = END_HEADERS | END_STREAM
            self._frames += (_pack(length << 8 | HEADERS, ends, number), block)
            self.size += length + HEAD_SIZE
        return True

    def body(self, stream: Stream, data: bytes, now: float) -> None:
        """Add a part of the body, which is not empty."""
        pieces = stream.pieces
        if pieces and len(pieces[-1]) + len(data) <= _SMALL:
            pieces[-1] += data
        else:
            pieces.append(data)
        stream.pending += len(data)
        self.pending += len(data)
        if stream.window_out > 0:
            self._scheduler.add(stream)
        elif not stream.blocked:
            self._block_stream(stream, now)

    def finish(self, stream: Stream, trailers: bytes) -> None:
        """Note that the response is complete with the block ``trailers``, which may be empty."""
        stream.finished = True
        stream.trailers = trailers
        if not stream.pieces:
            self._unmetered[stream.number] = stream

    def break_off(self, stream: Stream) -> None:
        """Note that the response ends here, and is not complete: a reset follows what there is."""
        stream.finished = stream.broken = True
        if not stream.pieces:
            self._unmetered[stream.number] = stream

    # What becomes of that.

    def drop(self, stream: Stream) -> None:
        """Forget what has not been taken of a stream."""
        self._unschedule(stream)
        self._unmetered.pop(stream.number, None)
        self.pending -= stream.pending
        stream.drop_output()

    def shorten(self, stream: Stream, keep: int, now: float) -> None:
        """Forget what waits of the body behind the first ``keep`` bytes."""
        left = keep + stream.offset
        pieces: list[bytes] = []
        for piece in stream.pieces:
            if left <= 0:
                break
            pieces.append(piece[:left])
            left -= len(piece)
        self.pending -= stream.pending - keep
        stream.pending = keep
        stream.pieces = pieces
        if not keep:
            stream.pieces = []
            stream.offset = 0
            self._unschedule(stream)
            if stream.blocked:
                stream.blocked = False
                _pause(stream.outgoing, now)

    def drop_all(self) -> None:
        """Forget all responses. Whole frames are still sent."""
        self._scheduler.clear()
        self._unmetered.clear()
        self.pending = 0

    def discard(self) -> None:
        """Forget whole frames, too, because nothing can be sent any more."""
        self._frames.clear()
        self.size = self._control = 0

    def prioritize(self, stream: Stream, urgency: int, incremental: bool) -> None:
        """Change the priority of a stream."""
        self._scheduler.prioritize(stream, urgency, incremental)

    def widen(self, stream: Stream, count: int, now: float) -> bool:
        """Change the window of a stream; return False if it would be too large (section 6.9)."""
        window = stream.window_out + count
        if window > STREAM_MASK:
            return False
        stream.window_out = window
        if stream.pieces:
            if window > 0:
                self._scheduler.add(stream)
                if stream.blocked:
                    stream.blocked = False
                    _pause(stream.outgoing, now)
            elif not stream.blocked:
                self._unschedule(stream)
                self._block_stream(stream, now)
        return True

    def widen_connection(self, count: int, now: float) -> bool:
        """Enlarge the window of the connection; return False if it would be too large."""
        if self.window + count > STREAM_MASK:
            return False
        if self._stuck and self.window <= 0:
            _pause(self.outgoing, now)
        self.window += count
        return True

    def pause(self, now: float) -> None:
        """Let the time stand still in which bodies wait for the window of the connection."""
        if self.stuck:
            _pause(self.outgoing, now)

    def resume(self, now: float) -> None:
        """Let it go on."""
        if self.stuck and self.outgoing is not None:
            self.outgoing.resume(now)

    def take(self, limit: int, now: float) -> bytes:
        """Take ``limit`` bytes to be sent, and up to a frame more, as far as there are.

        The bytes are whole frames. Empty if there is nothing to be sent.
        """
        frames = self._frames
        size = self.size
        self._frames = []
        self.size = self._control = 0
        if self._sent:
            self._guard.sent(self._sent, cut=False, frames=self._sent_frames)
            self._sent = self._sent_frames = 0
        while self._unmetered and size < limit:
            for stream in [*self._unmetered.values()]:
                if size >= limit:
                    break
                del self._unmetered[stream.number]
                size += self._take_heads(stream, frames)
        while self._scheduled and size < limit and self.window > 0:
            size += self._take_part(self._scheduler.next(), frames, now)
        if self._scheduled and self.window <= 0 and not self._stuck:
            self._stuck = True
            self.outgoing = self._begin_wait(self.outgoing, now)
        return b"".join(frames)

    def _take_heads(self, stream: Stream, frames: list[bytes]) -> int:
        """Make frames of the heads that wait, and of the end if nothing of the body waits."""
        count = len(frames)
        blocks = stream.blocks
        ends = stream.finished and not stream.pieces
        last = len(blocks) - 1
        for number, block in enumerate(blocks):
            end = ends and not stream.trailers and number == last and not stream.broken
            frames.append(headers_frames(stream.number, self._block(block), end=end))
        if ends:
            if stream.trailers:
                frames.append(headers_frames(stream.number, self._block(stream.trailers), end=True))
            elif not blocks and not stream.broken:
                frames.append(_pack(DATA, END_STREAM, stream.number))
            self._complete(stream, frames)
        stream.blocks = []
        return sum(map(len, frames[count:]))

    def _take_part(self, stream: Stream, frames: list[bytes], now: float) -> int:
        """Make a frame of the next part of a body."""
        most = min(MAX_FRAME, stream.window_out, self.window)
        parts: list[bytes] = []
        size = 0
        used = 0
        for piece in stream.pieces:
            start = stream.offset if used == 0 else 0
            part = (
                piece[start : start + most - size] if start or len(piece) > most - size else piece
            )
            parts.append(part)
            size += len(part)
            if start + len(part) < len(piece):
                stream.offset = start + len(part)
                break
            used += 1
            stream.offset = 0
            if size == most:
                break
        del stream.pieces[:used]
        stream.window_out -= size
        stream.pending -= size
        self.pending -= size
        self.window -= size
        self._stuck = False
        self._guard.sent(size, cut=size == most < MAX_FRAME and bool(stream.pieces))
        for transfer in (stream.outgoing, self.outgoing):
            if transfer is not None:
                transfer.resume(now)  # since its window has opened, the client was not waited for
                transfer.move(size, now)
        ends = stream.finished and not stream.pieces
        flags = END_STREAM if ends and not stream.trailers and not stream.broken else 0
        frames.append(_pack(size << 8 | DATA, flags, stream.number))
        frames += parts
        size += len(frames[-1 - len(parts)])
        if not stream.pieces:
            self._scheduler.remove(stream)
            if ends:
                if stream.trailers:
                    block = self._block(stream.trailers)
                    frames.append(headers_frames(stream.number, block, end=True))
                    size += len(frames[-1])
                self._complete(stream, frames)
        elif stream.window_out <= 0:
            self._scheduler.remove(stream)
            self._block_stream(stream, now)
        return size

    def _unschedule(self, stream: Stream) -> None:
        """Let a stream not wait for the window of the connection."""
        self._scheduler.remove(stream)
        if not self._scheduled:
            self._stuck = False

    def _block_stream(self, stream: Stream, now: float) -> None:
        stream.blocked = True
        stream.outgoing = self._begin_wait(stream.outgoing, now)

    def _begin_wait(self, transfer: Transfer | None, now: float) -> Transfer:
        """Begin, or go on, to measure how long the client keeps a window closed."""
        if transfer is None:
            return Transfer(self._timeouts, now)
        transfer.resume(now)
        return transfer

    def _block(self, block: bytes) -> bytes:
        """Return a block as it is to be sent now."""
        if self._shrink:
            self._shrink = False
            self._shrunk = True
            return NO_TABLE + block
        return block

    def _complete(self, stream: Stream, frames: list[bytes]) -> None:
        """Note that all that there is of a response is in ``frames``."""
        if stream.broken:
            frames.append(rst_stream(stream.number, ErrorCode.INTERNAL_ERROR))
            stream.step(_RESET)
            stream.end = End.RESET_SENT
        else:
            stream.step(_WE_END)
        stream.outgoing = None
        self.completed.append(stream)


def _pause(transfer: Transfer | None, now: float) -> None:
    """Note that a window has opened: the client is not waited for from ``now`` on."""
    if transfer is not None:
        transfer.pause(0, now)
