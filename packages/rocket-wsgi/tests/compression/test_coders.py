from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING

import brotli
import pytest

from rocket_wsgi._compression.coders import Coder, Coders

if TYPE_CHECKING:
    from collections.abc import Callable

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

NAMES = ["zstd", "br", "gzip"]

TEXT = b"".join(b"line %d of a text\n" % number for number in range(2000))


def decoder(name: str) -> Callable[[bytes], bytes]:
    """Return what a client does with the next part of a body."""
    match name:
        case "zstd":
            return zstd.ZstdDecompressor().decompress
        case "br":
            return brotli.Decompressor().process  # type: ignore[no-any-return]
        case _:
            return zlib.decompressobj(31).decompress


def coder(name: str) -> Coder:
    found = Coders().choose(name)
    assert found is not None
    return found


def test_the_best_coding_is_the_first() -> None:
    assert Coders().names == tuple(NAMES)
    assert coder("gzip, deflate, br, zstd").name == "zstd"
    assert coder("gzip, deflate, br").name == "br"
    assert coder("gzip, br;q=0.5").name == "gzip"
    assert Coders().choose("deflate") is None
    assert Coders().choose("") is None


def test_gzip_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("compression.zstd", "backports.zstd", "brotli"):
        monkeypatch.setitem(sys.modules, module, None)
    assert Coders().names == ("gzip",)


@pytest.mark.parametrize("name", NAMES)
def test_whole_body(name: str) -> None:
    for compress in (coder(name).compress, coder(name).compress_file):
        data = compress(TEXT)
        assert len(data) < len(TEXT) / 4
        assert decoder(name)(data) == TEXT


@pytest.mark.parametrize("name", NAMES)
def test_each_part_can_be_read_when_it_is_flushed(name: str) -> None:
    encoder, decode = coder(name).encoder(), decoder(name)
    for part in (b"one", b"two" * 1000, b"", b"three"):
        assert decode(encoder.add(part) + encoder.flush()) == part
    assert decode(encoder.end()) == b""


@pytest.mark.parametrize("name", NAMES)
def test_parts_that_are_not_flushed(name: str) -> None:
    encoder = coder(name).encoder()
    data = b"".join([encoder.add(TEXT[at : at + 100]) for at in range(0, len(TEXT), 100)])
    data += encoder.end()
    assert len(data) < len(TEXT) / 4
    assert decoder(name)(data) == TEXT


@pytest.mark.parametrize("name", NAMES)
def test_same_body_is_the_same(name: str) -> None:
    """A client can compare it with what it has: no time is in it."""
    assert coder(name).compress(TEXT) == coder(name).compress(TEXT)
