"""Requests built by hypothesis: sound ones with every freedom the rules leave, and broken ones."""

from __future__ import annotations

import string

from hypothesis import strategies as st

from conformance.case import SENTINEL
from conformance.table import CASES

_TOKENS = st.text("!#$%&'*+-.^`|~" + string.digits + string.ascii_letters, min_size=1, max_size=12)
_VISIBLE = [chr(code) for code in range(0x21, 0x7F)]
_TARGETS = st.one_of(
    st.text([char for char in _VISIBLE if char != "#"], max_size=30).map(lambda rest: "/" + rest),
    st.sampled_from(["/", "/a?b", "http://b", "http://b:80/c?d", "https://[::1]/", "*", "b:1"]),
)
_VALUES = st.text(
    [chr(code) for code in (9, 32, *range(0x21, 0x7F), *range(0x80, 0x100))], max_size=30
)
_NAMES = st.one_of(
    _TOKENS,
    st.sampled_from(
        ["Accept", "cookie", "Cookie", "X_Y", "Proxy", "Content-Type", "Upgrade", "TE"]
    ),
)
_SPACES = st.text(" \t", max_size=3)
_FIELDS = st.lists(st.tuples(_NAMES, _SPACES, _VALUES, _SPACES), max_size=6)
_FRAMINGS = ("Connection", "Content-Length", "Transfer-Encoding", "Host", "Expect")
_EXTENSIONS = st.sampled_from(["", "", "", ";a", ";a=b", ';a="b;c"', ";a;b=c"])
_TRAILERS = st.sampled_from(["", "", "X: y\r\n", "X:\r\nZ: y\r\n"])


def _chunks(parts: list[tuple[bytes, str]], trailers: str) -> bytes:
    wire = b"".join(
        b"%X%b\r\n%b\r\n" % (len(data), extension.encode(), data) for data, extension in parts
    )
    return wire + b"0\r\n" + trailers.encode() + b"\r\n"


_BODIES = st.one_of(
    st.just((b"", b"")),
    st.binary(max_size=60).map(lambda data: (b"Content-Length: %d\r\n" % len(data), data)),
    st.builds(
        lambda parts, trailers: (b"Transfer-Encoding: chunked\r\n", _chunks(parts, trailers)),
        st.lists(st.tuples(st.binary(min_size=1, max_size=40), _EXTENSIONS), max_size=4),
        _TRAILERS,
    ),
)


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """A request that is most likely accepted."""
    method = draw(st.one_of(st.sampled_from(["GET", "HEAD", "POST", "PUT", "OPTIONS"]), _TOKENS))
    version = draw(st.sampled_from(["1.1", "1.1", "1.1", "1.0"]))
    lines = [f"{method} {draw(_TARGETS)} HTTP/{version}", "Host: a"]
    for name, before, value, after in draw(_FIELDS):
        if name.title() not in _FRAMINGS:
            lines.append(f"{name}:{before}{value}{after}")
    lines.extend(draw(st.sampled_from([[], [], ["Connection: close"], ["connection:keep-alive"]])))
    framing, body = draw(_BODIES)
    return "\r\n".join(lines).encode("latin-1") + b"\r\n" + framing + b"\r\n" + body


_PARTS = st.one_of(
    st.binary(max_size=3),
    st.sampled_from(
        [
            *(
                b"\r\n",
                b"\n",
                b"\r",
                b"\0",
                b" ",
                b"\t",
                b":",
                b";",
                b",",
                b"0",
                b"-1",
                b"+",
                b"0x",
                b"_",
            ),
            *(b"\r\n\r\n", b"\r\n ", b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"),
            *(
                b"0\r\n\r\n",
                b"Host: b\r\n",
                b"HTTP/1.0",
                b"chunked",
                b"\x0b",
                b"\x85",
                b"\xa0",
                SENTINEL,
            ),
        ]
    ),
)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A request, or a case of the table, that was damaged in a few places."""
    short = [case.sent for case in CASES.values() if len(case.sent) < 400]
    data = bytearray(draw(st.one_of(requests(), st.sampled_from(short))))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        data[at : at + draw(st.integers(0, 4))] = draw(_PARTS)
    return bytes(data)


def streams() -> st.SearchStrategy[bytes]:
    """What a client may send on one connection: sound requests, damaged ones, and any bytes."""
    one = st.one_of(requests(), requests(), mutated(), st.binary(max_size=80))
    return st.lists(one, min_size=1, max_size=3).map(b"".join)
