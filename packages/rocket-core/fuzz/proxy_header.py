"""Fuzz headers of the PROXY protocol with atheris: `nox -s fuzz`.

Any bytes are a line of version 1 or a header of version 2. They are refused, or announce addresses
that an operator can read, and nothing else happens. What is left of a header that is too short for
its own length is never looked at.
"""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rocket_core._network"]):
    from rocket_core._network.proxy_header import (
        FIXED,
        MAX_HEADER,
        SIGNATURE,
        Announcement,
        header_size,
        parse_header,
        parse_line,
    )

from rocket_core._errors import ProxyHeaderError

_SEEDS = [
    b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n",
    b"PROXY TCP6 2001:db8::1 2001:db8::2 56324 443\r\n",
    b"PROXY UNKNOWN\r\n",
    SIGNATURE + b"\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x02\xdc\x04\x01\xbb",
    SIGNATURE + b"\x20\x00\x00\x00",
    SIGNATURE + b"\x21\x31\x00\xd8" + b"/client".ljust(108, b"\0") + b"/server".ljust(108, b"\0"),
    SIGNATURE
    + b"\x21\x11\x00\x14\xc0\x00\x02\x01\xc0\x00\x02\x02\xdc\x04\x01\xbb"
    + b"\x20\x00\x05\x01\x00\x00\x00\x00",
]


def one(data: bytes) -> None:
    """Check the rules for one input."""
    try:
        if data.startswith(SIGNATURE) and len(data) >= FIXED:
            size = header_size(data[:FIXED])
            if not FIXED <= size <= MAX_HEADER:
                raise AssertionError(f"a header of {size} bytes")
            announced = parse_header(data[:size]) if len(data) >= size else None
        else:
            announced = parse_line(data)
    except ProxyHeaderError as error:
        if not str(error).isprintable():
            raise AssertionError(f"the message is not a line of text: {error}") from error
        return
    if announced is not None:
        check(announced)


def check(announced: Announcement) -> None:
    """Raise `AssertionError` unless both addresses can be shown."""
    for each in (announced.peer, announced.local):
        if not str(each).isprintable():
            raise AssertionError(f"{each!r} cannot be shown")


def seed(directory: Path) -> None:
    """Write headers that are in order as the initial inputs of the fuzzer."""
    directory.mkdir(parents=True, exist_ok=True)
    for number, data in enumerate(_SEEDS):
        (directory / f"header-{number}").write_bytes(data)


if __name__ == "__main__":
    seed(Path(sys.argv[1]))
    atheris.Setup([*sys.argv, "-max_len=512"], one)
    atheris.Fuzz()
