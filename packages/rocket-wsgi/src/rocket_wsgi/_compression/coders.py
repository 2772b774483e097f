"""The content codings that the server can produce, with what is installed.

gzip (RFC 1952) is part of Python. zstd (RFC 8878) is part of Python 3.14, and elsewhere in the
extra ``zstd``; br (RFC 7932) is in the extra ``brotli``.

A response is compressed for one client, so its levels are low: they cost a fraction of the time of
the best ones, for a few percent of the size. A file is compressed once, at higher levels.
"""

from __future__ import annotations

import importlib
import sys
import zlib
from collections.abc import Callable
from typing import Any, Final, NamedTuple, Protocol

from rocket_wsgi._compression.codings import Codings


class Encoder(Protocol):
    """Compresses one body in parts."""

    def add(self, data: bytes) -> bytes:
        """Add a part; return what there is of the output, which may be empty."""

    def flush(self) -> bytes:
        """Return the rest of the output that the client needs to read all parts so far."""

    def end(self) -> bytes:
        """Return the rest of the output."""


class Coder(NamedTuple):
    """A content coding.

    Attributes:
        name: its name in the registry (RFC 9110, section 8.4.1).
        compress: compresses a whole body, at the level for responses.
        compress_file: compresses a whole file, at the level for files.
        encoder: makes an encoder, at the level for responses.
    """

    name: str
    compress: Callable[[bytes], bytes]
    compress_file: Callable[[bytes], bytes]
    encoder: Callable[[], Encoder]


class Coders:
    """All codings that can be produced, the best one first."""

    def __init__(self) -> None:
        """Find out what is installed."""
        found = [make() for make in (_zstd, _brotli, _gzip)]
        self._by_name: Final = {each.name: each for each in found if each is not None}
        self._codings: Final = Codings(self._by_name)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the codings, the best one first."""
        return tuple(self._by_name)

    def choose(self, accepted: str) -> Coder | None:
        """Return the coding for a client that sends ``Accept-Encoding: accepted``.

        None: the client prefers uncompressed content, or accepts no coding that there is.
        """
        names = self._codings[accepted]
        return self._by_name[names[0]] if names else None


_GZIP_LEVEL: Final = 4
_GZIP_FILE_LEVEL: Final = 9
_ZSTD_LEVEL: Final = 3
_ZSTD_FILE_LEVEL: Final = 9
_BROTLI_QUALITY: Final = 4
_BROTLI_FILE_QUALITY: Final = 6

_WITH_GZIP_HEADER: Final = 16 + zlib.MAX_WBITS
"""What the functions of zlib take for the format of gzip; its header has neither name nor time."""


def _gzip() -> Coder:
    return Coder(
        "gzip",
        lambda data: zlib.compress(data, _GZIP_LEVEL, _WITH_GZIP_HEADER),
        lambda data: zlib.compress(data, _GZIP_FILE_LEVEL, _WITH_GZIP_HEADER),
        _GzipEncoder,
    )


class _GzipEncoder:
    __slots__ = ("_state",)

    def __init__(self) -> None:
        self._state = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _WITH_GZIP_HEADER)

    def add(self, data: bytes) -> bytes:
        return self._state.compress(data)

    def flush(self) -> bytes:
        return self._state.flush(zlib.Z_SYNC_FLUSH)

    def end(self) -> bytes:
        return self._state.flush(zlib.Z_FINISH)


def _zstd() -> Coder | None:
    later = sys.version_info >= (3, 14)
    try:
        module = importlib.import_module("compression.zstd" if later else "backports.zstd")
    except ImportError:
        return None
    return Coder(
        "zstd",
        lambda data: bytes(module.compress(data, _ZSTD_LEVEL)),
        lambda data: bytes(module.compress(data, _ZSTD_FILE_LEVEL)),
        lambda: _ZstdEncoder(module),
    )


class _ZstdEncoder:
    """Levels up to 19 have a window of 8 MiB or less, the maximum that browsers take (RFC 9659)."""

    __slots__ = ("_state",)

    def __init__(self, module: Any) -> None:
        self._state = module.ZstdCompressor(level=_ZSTD_LEVEL)

    def add(self, data: bytes) -> bytes:
        return bytes(self._state.compress(data))

    def flush(self) -> bytes:
        return bytes(self._state.flush(self._state.FLUSH_BLOCK))

    def end(self) -> bytes:
        return bytes(self._state.flush(self._state.FLUSH_FRAME))


def _brotli() -> Coder | None:
    try:
        brotli = importlib.import_module("brotli")
    except ImportError:
        return None
    return Coder(
        "br",
        lambda data: bytes(brotli.compress(data, quality=_BROTLI_QUALITY)),
        lambda data: bytes(brotli.compress(data, quality=_BROTLI_FILE_QUALITY)),
        lambda: _BrotliEncoder(brotli),
    )


class _BrotliEncoder:
    __slots__ = ("_state",)

    def __init__(self, module: Any) -> None:
        self._state = module.Compressor(quality=_BROTLI_QUALITY)

    def add(self, data: bytes) -> bytes:
        return bytes(self._state.process(data))

    def flush(self) -> bytes:
        return bytes(self._state.flush())

    def end(self) -> bytes:
        return bytes(self._state.finish())
