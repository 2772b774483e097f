"""A field block that arrives in several frames (RFC 9113, section 6.10)."""

from __future__ import annotations

from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.faults import SessionError
from rocket_wsgi._http2.limits import MAX_BLOCK, MAX_CONTINUATIONS


class BlockAssembly:
    """The parts of the field block that is being continued, if there is one.

    Attributes:
        stream: the number of its stream, or 0.
        ended: whether the request ends with it.
    """

    __slots__ = ("_parts", "_size", "ended", "stream")

    def __init__(self) -> None:
        self.stream = 0
        self.ended = False
        self._parts: list[bytes] = []
        self._size = 0

    def begin(self, stream: int, part: bytes, ended: bool) -> None:
        """Begin with the part in HEADERS."""
        self.stream = stream
        self.ended = ended
        self._parts.append(part)
        self._size = len(part)

    def add(self, part: bytes) -> None:
        """Add the part in CONTINUATION. Raises `SessionError` if the block is too long."""
        self._parts.append(part)
        self._size += len(part)
        if self._size > MAX_BLOCK or len(self._parts) > MAX_CONTINUATIONS + 1:
            raise SessionError(ErrorCode.ENHANCE_YOUR_CALM, "a field block is too long")

    def take(self) -> bytes:
        """Return the whole block, which is no longer continued."""
        block = b"".join(self._parts)
        self.clear()
        return block

    def clear(self) -> None:
        """Forget the block."""
        self.stream = 0
        self._parts.clear()
