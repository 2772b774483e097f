"""Limits (RFC 9110, sections 15.5.14 and 15.5.15; RFC 6585, section 5), exact to the byte."""

from __future__ import annotations

from conformance.case import accepted, chunked, first, get, post, refused

_LINE = "RFC 9110, 15.5.15"
_FIELDS = "RFC 6585, 5"
_BODY = "RFC 9110, 15.5.14"


def _line(size: int) -> bytes:
    return b"GET /" + b"a" * (size - 14) + b" HTTP/1.1"


_START = [b"GET / HTTP/1.1", b"Host: a", *[b"F%d: " % n + b"f" * 16_000 for n in range(4)]]
_FILLED = {f"HTTP_F{n}": "f" * 16_000 for n in range(4)}
_FIXED = len(b"\r\n".join([*_START, b"X: "]))


def _head(size: int) -> bytes:
    """Return a request with a head of ``size`` bytes, without the empty line at its end."""
    return b"\r\n".join([*_START, b"X: " + b"x" * (size - _FIXED), b"", b""])


CASES = [
    accepted("longest request line", _LINE, first(_line(8192)), path="/" + "a" * 8178),
    accepted(
        "longest request line after an empty one",
        _LINE,
        b"\r\n" + first(_line(8192)),
        path="/" + "a" * 8178,
    ),
    refused("request line too long by a byte", _LINE, first(_line(8193)), 414),
    refused("request line without end", _LINE, b"GET /" + b"a" * 8189, 414, sentinel=False),
    refused("method without end", _LINE, b"A" * 8194, 501, sentinel=False),
    refused("request line far too long", _LINE, first(_line(40_000)), 414),
    refused("request line too long, before a stray byte", _LINE, _line(9000) + b"\0\r\n\r\n", 414),
    refused(
        "request line too long, after a stray byte",
        "RFC 9112, 2.2",
        b"\0" + _line(9000) + b"\r\n\r\n",
    ),
    accepted(
        "longest field", _FIELDS, get(b"X: " + b"y" * 16_381), fields={"HTTP_X": "y" * 16_381}
    ),
    refused("field too long by a byte", _FIELDS, get(b"X: " + b"y" * 16_382), 431),
    refused("field without end", _FIELDS, get()[:-2] + b"X: " + b"y" * 16_383, 431, sentinel=False),
    refused("field name without end", _FIELDS, get()[:-2] + b"y" * 16_386, 431, sentinel=False),
    refused(
        "field too long, others after it",
        _FIELDS,
        get(b"X: " + b"y" * 16_500, b"Z: y") + b"w",
        431,
    ),
    refused(
        "field of white space without end",
        _FIELDS,
        get()[:-2] + b"X:" + b" " * 16_384,
        431,
        sentinel=False,
    ),
    accepted(
        "most fields",
        _FIELDS,
        get(*[b"X%d: y" % n for n in range(99)]),
        fields={f"HTTP_X{n}": "y" for n in range(99)},
    ),
    refused("one field too many", _FIELDS, get(*[b"X%d: y" % n for n in range(100)]), 431),
    refused(
        "one field too many begins",
        _FIELDS,
        get(*[b"X%d: y" % n for n in range(99)])[:-2] + b"X:",
        431,
        sentinel=False,
    ),
    refused("the same field too often", _FIELDS, get(*[b"X: y"] * 100), 431),
    refused("fields without end", _FIELDS, get(*[b"X: y"] * 3000), 431),
    accepted(
        "longest head", _FIELDS, _head(65_536), fields=_FILLED | {"HTTP_X": "x" * (65_536 - _FIXED)}
    ),
    refused("head too long by a byte", _FIELDS, _head(65_537), 431),
    refused("head without end", _FIELDS, _head(70_000)[:66_000], 431, sentinel=False),
    accepted(
        "largest body",
        _BODY,
        post(b"Content-Length: 65536", body=b"x" * 65_536),
        method="POST",
        body=b"x" * 65_536,
    ),
    refused("body above the limit", _BODY, post(b"Content-Length: 65537"), 413, sentinel=False),
    accepted(
        "largest chunked body",
        _BODY,
        chunked(b"10000\r\n" + b"x" * 65_536 + b"\r\n0\r\n\r\n"),
        method="POST",
        body=b"x" * 65_536,
    ),
    accepted(
        "most trailers", _FIELDS, chunked(b"0\r\n" + b"X: y\r\n" * 100 + b"\r\n"), method="POST"
    ),
    refused("one trailer too many", _FIELDS, chunked(b"0\r\n" + b"X: y\r\n" * 101 + b"\r\n"), 431),
    accepted(
        "longest trailer",
        _FIELDS,
        chunked(b"0\r\nX: " + b"y" * 16_381 + b"\r\n\r\n"),
        method="POST",
    ),
    refused(
        "trailer too long by a byte",
        _FIELDS,
        chunked(b"0\r\nX: " + b"y" * 16_382 + b"\r\n\r\n"),
        431,
    ),
    refused(
        "trailer without end", _FIELDS, chunked(b"0\r\nX: " + b"y" * 16_383), 431, sentinel=False
    ),
    refused(
        "trailers too long together",
        _FIELDS,
        chunked(b"0\r\n" + (b"X: " + b"y" * 16_000 + b"\r\n") * 5),
        431,
        sentinel=False,
    ),
    accepted(
        "smallest chunks on average",
        "CVE-2024-21647",
        chunked((b"20\r\n" + b"x" * 32 + b"\r\n") * 1025 + b"0\r\n\r\n"),
        method="POST",
        body=b"x" * 32 * 1025,
    ),
    refused("chunks too small", "CVE-2024-21647", chunked(b"1\r\na\r\n" * 1026), sentinel=False),
]
