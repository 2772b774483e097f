from __future__ import annotations

import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given
from hypothesis import strategies as st

from rocket_wsgi._http2 import huffman

encoder = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
END = REQUEST_CODES[256]


def bits(text: str) -> bytes:
    """Return bits, filled up with ones."""
    text += "1" * (-len(text) % 8)
    return int(text or "0", 2).to_bytes(len(text) // 8, "big")


def test_every_symbol_has_its_code() -> None:
    for symbol in range(256):
        assert huffman.decode(encoder.encode(bytes([symbol]))) == chr(symbol)


@given(st.binary(max_size=200))
def test_what_another_encoder_encodes_is_decoded(data: bytes) -> None:
    assert huffman.decode(encoder.encode(data)) == data.decode("latin-1")


@given(st.binary(max_size=20))
def test_what_is_accepted_is_the_only_encoding(data: bytes) -> None:
    text = huffman.decode(data)
    if text is not None:
        assert encoder.encode(text.encode("latin-1")) == data


@pytest.mark.parametrize(
    "data",
    [
        bits(f"{END:030b}"),
        bits("00000" + f"{END:030b}" + "00000"),
        bits("00000") + b"\xff",
        b"\xff",
        b"\xff\xff\xff",
        bits("00011000"[:8]),
        b"\x00",
    ],
    ids=[
        "the end symbol",
        "the end symbol between others",
        "padding of eleven bits",
        "padding of eight bits",
        "padding of 24 bits",
        "padding with zeros",
        "three zeros behind a symbol",
    ],
)
def test_faults(data: bytes) -> None:
    assert huffman.decode(data) is None


def test_padding_of_up_to_seven_ones() -> None:
    for size in range(8):
        text = "0" * 5 * ((8 - size) * 5 % 8 or 8)
        padded = bits(text)
        assert huffman.decode(padded) == "0" * (len(text) // 5)
    assert huffman.decode(b"") == ""
