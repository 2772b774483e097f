"""Fuzz the decoder of field blocks with atheris: `nox -s fuzz`.

Any bytes are a few blocks of one connection, each behind a byte with its length. The library hpack
decodes them as well: of what both take, the fields must be the same, with the same table before.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rocket_wsgi._http2"]):
    from rocket_wsgi._http2.hpack_decoder import HpackDecoder

from hpack import Decoder, Encoder, HPACKError

from rocket_wsgi._http2.faults import SessionError
from rocket_wsgi._http2.limits import MAX_TABLE


def blocks(data: bytes) -> list[bytes]:
    """Return the blocks that an input stands for."""
    found = []
    while data:
        size, data = data[0], data[1:]
        found.append(data[:size])
        data = data[size:]
    return found


def one(data: bytes) -> None:
    """Compare both decoders. Neither goes on after an error, or after what exceeds our limits."""
    ours, other = HpackDecoder(), Decoder()
    other.max_allowed_table_size = MAX_TABLE
    for block in blocks(data):
        try:
            decoded = ours.decode(block)
        except SessionError:
            return
        if decoded.excess:
            return
        try:
            fields = other.decode(block, raw=True)
        except HPACKError:
            return
        found = [(each.name, each.value) for each in decoded.fields]
        wanted = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
        if found != wanted:
            raise AssertionError(f"{block!r} is {found}, and {wanted}")


def seed(directory: Path) -> None:
    """Write blocks of an encoder as the initial inputs of the fuzzer."""
    directory.mkdir(parents=True, exist_ok=True)
    head = [(":method", "GET"), (":scheme", "https"), (":path", "/"), ("cookie", "a=b")]
    for huffman in (False, True):
        encoder = Encoder()
        found = [encoder.encode(head, huffman=huffman) for _ in range(3)]
        encoder.header_table_size = 100
        found.append(encoder.encode([(":path", "/other"), ("x-y", "z" * 60)], huffman=huffman))
        data = b"".join(bytes([len(each)]) + each for each in found)
        (directory / f"blocks-{huffman}").write_bytes(data)


if __name__ == "__main__":
    seed(Path(sys.argv[1]))
    atheris.Setup([*sys.argv, "-max_len=1024"], one)
    atheris.Fuzz()
