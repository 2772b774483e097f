"""The extension permessage-deflate without context takeover (RFC 7692).

Each message is compressed for itself, on both sides. So an open websocket holds no state of zlib,
and a message to many clients is compressed once for all of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Final

MIN_SIZE: Final = 200
"""The size in bytes from which a message is compressed. Shorter ones hardly become smaller."""

NAME: Final = "permessage-deflate"
AGREED: Final = f"{NAME}; server_no_context_takeover; client_no_context_takeover"
"""The answer to an offer that is accepted.

A server may demand both parameters, whether the client names them or not (RFC 7692, sections
7.1.1.1 and 7.1.1.2).
"""

_WINDOWS: Final = frozenset(str(bits) for bits in range(8, 16))
_WIDEST: Final = "15"
_SERVER_WINDOW: Final = "server_max_window_bits"
_TAIL: Final = b"\x00\x00\xff\xff"
"""The end of each message after a flush, which is not sent (section 7.2.1)."""

Offer = tuple[str, list[tuple[str, str | None]]]
"""An extension's name and its parameters."""


def agreement(offers: Iterable[Offer]) -> str:
    """Return the answer to the first of ``offers`` that the server accepts; empty: it accepts none.

    A client that limits the server's window must be told that this is accepted (section 7.1.2.1).
    """
    for offer in offers:
        if _agrees(offer):
            limited = any(parameter == _SERVER_WINDOW for parameter, _ in offer[1])
            return f"{AGREED}; {_SERVER_WINDOW}={_WIDEST}" if limited else AGREED
    return ""


def _agrees(offer: Offer) -> bool:
    """Return whether the server can agree to ``offer`` (RFC 7692, section 7.1).

    An offer is declined if it has an unknown parameter, a wrong value, or a parameter twice. So is
    one with a smaller window for the server, since messages are compressed once for all clients.
    """
    name, parameters = offer
    names = [parameter for parameter, _ in parameters]
    if name.lower() != NAME or len(set(names)) < len(names):
        return False
    return all(_acceptable(parameter, value) for parameter, value in parameters)


def _acceptable(parameter: str, value: str | None) -> bool:
    if parameter in {"server_no_context_takeover", "client_no_context_takeover"}:
        return value is None
    if parameter == "client_max_window_bits":
        return value is None or value in _WINDOWS
    return parameter == _SERVER_WINDOW and value == _WIDEST


def deflate(payload: bytes) -> bytes | None:
    """Return the compressed form of a message; None if it would not be smaller."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    packed = packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH)
    packed = packed[: -len(_TAIL)]
    return packed if len(packed) < len(payload) else None


class Inflater:
    """Decompresses one message, which arrives in pieces."""

    __slots__ = ("_stream",)

    def __init__(self) -> None:
        self._stream = zlib.decompressobj(-zlib.MAX_WBITS)

    def inflate(self, data: bytes, limit: int, *, last: bool) -> bytes | None:
        """Return what ``data`` stands for: at most ``limit`` + 1 bytes; None for malformed data.

        A result of more than ``limit`` bytes says that the message is too large. ``last`` says that
        the message ends with ``data``. Behind a final block of DEFLATE only the empty block of
        section 7.2.3.5 may follow: the compression of what follows it would cost the client
        nothing, and the server a new state of zlib for every other byte.
        """
        if last:
            data += _TAIL
        try:
            plain = self._stream.decompress(data, limit + 1)
        except zlib.error:
            return None
        rest = self._stream.unused_data
        if rest and not (b"\x00" + _TAIL).startswith(rest) and rest != _TAIL:
            return None
        return plain
