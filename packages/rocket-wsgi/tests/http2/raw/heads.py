"""Field blocks, fields, and pseudo-header fields."""

from __future__ import annotations

from hpacksupport import indexed, literal, resize

from raw.case import (
    GET,
    Case,
    answered,
    block,
    case,
    continuation,
    data,
    fails,
    headers,
    post,
    resets,
    seen,
    silent,
)

_BLOCK = "RFC 9113, 4.3"
_FIELDS = "RFC 9113, 8.2.1"
_CONNECTION = "RFC 9113, 8.2.2"
_COOKIE = "RFC 9113, 8.2.3"
_PSEUDO = "RFC 9113, 8.3"
_REQUEST = "RFC 9113, 8.3.1"
_CONNECT = "RFC 9113, 8.5"
_EXTENDED = "RFC 8441, 4"
_LIMIT = "RFC 9113, 10.5.1"
_BOMB = "CVE-2016-6581"
_M, _S, _A, _P = (":method", "GET"), (":scheme", "https"), (":authority", "h"), (":path", "/")
_ALL = [_M, _S, _A, _P]


def _malformed(name: str, source: str, *fields: tuple[str, str]) -> Case:
    """Return a case of a request that is refused with an error of its stream."""
    return resets(name, source, headers(1, block(*fields)), "PROTOCOL_ERROR")


def _served(name: str, source: str, *fields: tuple[str, str], line: str) -> Case:
    return case(name, source, headers(1, block(*fields)), line, *answered())


def _refused(name: str, source: str, status: int, *fields: tuple[str, str]) -> Case:
    """Return a case of a request that is answered with an error, as over HTTP/1.1."""
    return case(
        name,
        source,
        headers(1, block(*fields)),
        f"1 refuse {status} end",
        *answered(1, str(status)),
    )


def _with(*fields: tuple[str, str]) -> list[tuple[str, str]]:
    return [*_ALL, *fields]


def _pseudo(**changes: str | None) -> list[tuple[str, str]]:
    """Return the pseudo-header fields with others; None leaves one out."""
    values = {name[1:]: value for name, value in _ALL} | changes
    return [(":" + name, value) for name, value in values.items() if value is not None]


_LARGE = block(*_ALL, ("a", "b" * 16_384))
_LONG_PATH = block(_M, _S, _A, (":path", "/" * 16_384))

CASES = [
    _served("pseudo-header fields in another order", _PSEUDO, _P, _A, _S, _M, line=seen()),
    _served(
        "fields",
        _FIELDS,
        *_with(("a", "b"), ("c-d", "e f")),
        line=seen(1, "GET", "/", "a=b", "c-d=e f"),
    ),
    _served(
        "a repeated field",
        _FIELDS,
        *_with(("a", "b"), ("a", "c")),
        line=seen(1, "GET", "/", "a=b", "a=c"),
    ),
    _served("an empty value", _FIELDS, *_with(("a", "")), line=seen(1, "GET", "/", "a=")),
    _served(
        "a value with a tab and other bytes",
        _FIELDS,
        *_with(("a", "b\tc\x80\xff")),
        line=seen(1, "GET", "/", "a=b\tc\x80\xff"),
    ),
    # Names and values.
    *(
        _malformed(f"field name {name!r}", _FIELDS, *_with((name, "v")))
        for name in (
            "A",
            "a-B",
            "",
            " ",
            "a b",
            "a ",
            " a",
            "a:b",
            "a\x00",
            "a\n",
            "a\r\nb",
            "a\x7f",
            "\xe9",
            "a(b)",
            "a,b",
            "a/b",
            "a;b",
            "a=b",
            "a@b",
            "a[b]",
            "a{b}",
            'a"b',
            "a\\b",
        )
    ),
    *(
        _malformed(f"field value {value!r}", _FIELDS, *_with(("a", value)))
        for value in (
            "\x00",
            "b\x00c",
            "\n",
            "b\nc",
            "\r",
            "b\rc",
            "b\r\nc: d",
            " b",
            "b ",
            "\tb",
            "b\t",
            " ",
            "b\x01c",
            "b\x0bc",
            "b\x1fc",
            "b\x7fc",
        )
    ),
    *(
        _malformed(f"field {name}: {value}", _CONNECTION, *_with((name, value)))
        for name, value in (
            ("connection", "close"),
            ("connection", ""),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("te", "gzip"),
            ("te", "trailers, deflate"),
            ("te", ""),
        )
    ),
    _served(
        "field te: trailers",
        _CONNECTION,
        *_with(("te", "trailers")),
        line=seen(1, "GET", "/", "te=trailers"),
    ),
    _served(
        "field te: Trailers",
        _CONNECTION,
        *_with(("te", "Trailers")),
        line=seen(1, "GET", "/", "te=Trailers"),
    ),
    _served(
        "one cookie", _COOKIE, *_with(("cookie", "a=b")), line=seen(1, "GET", "/", "cookie=a=b")
    ),
    _served(
        "cookies",
        _COOKIE,
        *_with(("cookie", "a=b"), ("x", "y"), ("cookie", "c=d")),
        line=seen(1, "GET", "/", "x=y", "cookie=a=b; c=d"),
    ),
    # Pseudo-header fields.
    *(
        _malformed(f"without :{name}", _REQUEST, *_pseudo(**{name: None}))
        for name in ("method", "scheme", "path")
    ),
    *(_malformed(f"{name} twice", _PSEUDO, *_with((name, value))) for name, value in [*_ALL]),
    *(
        _malformed(
            f"{field[0]} behind a field",
            _PSEUDO,
            *(each for each in _ALL if each != field),
            ("a", "b"),
            field,
        )
        for field in _ALL
    ),
    _malformed("a pseudo-header field behind a cookie", _PSEUDO, _M, _S, _A, ("cookie", "a"), _P),
    _malformed("a pseudo-header field behind host", _PSEUDO, _M, _S, _P, ("host", "h"), _A),
    _malformed(
        "a pseudo-header field behind content-length",
        _PSEUDO,
        _M,
        _S,
        _A,
        ("content-length", "0"),
        _P,
    ),
    *(
        _malformed(f"unknown {name}", _PSEUDO, *_with((name, "x")))
        for name in (":status", ":unknown", ":", ":Path", ":host", "::path")
    ),
    _malformed("no fields", _REQUEST),
    _malformed("no pseudo-header fields", _REQUEST, ("a", "b")),
    *(
        _malformed(f"method {value!r}", _REQUEST, *_pseudo(method=value))
        for value in ("", "G T", "GET\x00", "GE(T", "G\xe9T", "GET,")
    ),
    _served("an unusual method", _REQUEST, *_pseudo(method="M-SEARCH"), line=seen(1, "M-SEARCH")),
    _served("a method in small letters", _REQUEST, *_pseudo(method="get"), line=seen(1, "get")),
    *(
        _malformed(f"path {value!r}", _REQUEST, *_pseudo(path=value))
        for value in ("", "a", "http://h/", "*", "?a", "h:80", "\\")
    ),
    *(
        _refused(f"path {value!r}", "RFC 3986, 3.3", 400, *_pseudo(path=value))
        for value in ("/a b", "/\xe9", "/a\tb")
    ),
    _malformed("path with NUL", _FIELDS, *_pseudo(path="/\x00")),
    _served(
        "path with a query",
        _REQUEST,
        *_pseudo(path="/a%20b?c=d"),
        line=seen(1, "GET", "/a%20b?c=d"),
    ),
    _served(
        "OPTIONS *", _REQUEST, *_pseudo(method="OPTIONS", path="*"), line=seen(1, "OPTIONS", "*")
    ),
    _refused("path of 8 KiB", "RFC 9110, 15.5.15", 414, *_pseudo(path="/" + "a" * 8180)),
    _served(
        "the longest path",
        "RFC 9110, 15.5.15",
        *_pseudo(path="/" + "a" * 8178),
        line=seen(1, "GET", "/" + "a" * 8178),
    ),
    _refused("method of 8 KiB", "RFC 9110, 15.6.2", 501, *_pseudo(method="A" * 8192)),
    *(
        _refused(f"scheme {value!r}", _REQUEST, 400, *_pseudo(scheme=value))
        for value in ("", "ftp", "ws", "https:")
    ),
    _served("scheme HTTPS", _REQUEST, *_pseudo(scheme="HTTPS"), line=seen()),
    # The authority.
    *(
        _malformed(f"authority {value!r}", _REQUEST, *_pseudo(authority=value))
        for value in ("", "user@h", "user:secret@h")
    ),
    *(
        _refused(f"authority {value!r}", "RFC 9110, 7.2", 400, *_pseudo(authority=value))
        for value in ("a b", "h:99999", "[::1", "h/path", "h:x", "a" * 256)
    ),
    _refused("no authority", _REQUEST, 400, *_pseudo(authority=None)),
    _served(
        "host instead of the authority",
        _REQUEST,
        *_pseudo(authority=None),
        ("host", "h"),
        line=seen(),
    ),
    _served("host beside the authority", _REQUEST, *_with(("host", "h")), line=seen()),
    _served("host in capitals beside the authority", _REQUEST, *_with(("host", "H")), line=seen()),
    *(
        _malformed(f"host {value!r} beside the authority h", _REQUEST, *_with(("host", value)))
        for value in ("i", "", "h:443", "h.")
    ),
    _malformed("host twice", "RFC 9112, 3.2", *_with(("host", "h"), ("host", "h"))),
    _malformed("an empty host", _REQUEST, *_pseudo(authority=None), ("host", "")),
    # Fields that occur once.
    _malformed(
        "content-length twice",
        "RFC 9110, 8.6",
        *_with(("content-length", "0"), ("content-length", "0")),
    ),
    _malformed(
        "content-type twice",
        "RFC 9110, 8.3",
        *_with(("content-type", "a/b"), ("content-type", "a/b")),
    ),
    *(
        _malformed(
            f"content-length {value!r}", "RFC 9113, 8.1.1", *_with(("content-length", value))
        )
        for value in ("", "-1", "+1", "1.0", "0x1", "1, 1", "a", "\xb2", "1_0")
    ),
    _refused(
        "a large content-length", "RFC 9110, 15.5.14", 413, *_with(("content-length", "9" * 20))
    ),
    # CONNECT.
    _refused("CONNECT", _CONNECT, 501, (":method", "CONNECT"), (":authority", "h:443")),
    _refused("CONNECT without a port", _CONNECT, 400, (":method", "CONNECT"), (":authority", "h")),
    _refused("CONNECT with no digit", _CONNECT, 400, (":method", "CONNECT"), (":authority", "h:")),
    _malformed("CONNECT with a path", _CONNECT, (":method", "CONNECT"), _A, _P),
    _malformed("CONNECT with a scheme", _CONNECT, (":method", "CONNECT"), _A, _S),
    _malformed("CONNECT without an authority", _CONNECT, (":method", "CONNECT"), ("a", "b")),
    silent(
        "CONNECT with a protocol",
        _EXTENDED,
        headers(1, block(*_pseudo(method="CONNECT"), (":protocol", "websocket")), end=False)
        + data(b"x"),
        "1 request CONNECT https://h/ protocol=websocket",
        "1 body 1",
    ),
    resets(
        "HEADERS on a stream with another protocol",
        _EXTENDED,
        headers(1, block(*_pseudo(method="CONNECT"), (":protocol", "websocket")), end=False)
        + headers(1, b""),
        "PROTOCOL_ERROR",
        "1 request CONNECT https://h/ protocol=websocket",
        "1 reset PROTOCOL_ERROR",
    ),
    *(
        _malformed(
            f"CONNECT with a protocol and no {name}",
            _EXTENDED,
            *_pseudo(method="CONNECT", **{name: None}),
            (":protocol", "websocket"),
        )
        for name in ("scheme", "path")
    ),
    _malformed(
        "CONNECT with a protocol and no authority",
        _EXTENDED,
        *_pseudo(method="CONNECT", authority=None),
        (":protocol", "websocket"),
    ),
    _malformed(
        "CONNECT with an empty protocol", _EXTENDED, *_pseudo(method="CONNECT"), (":protocol", "")
    ),
    _malformed("GET with a protocol", _EXTENDED, *_with((":protocol", "websocket"))),
    _malformed(
        "CONNECT with two protocols",
        _EXTENDED,
        *_pseudo(method="CONNECT"),
        (":protocol", "websocket"),
        (":protocol", "websocket"),
    ),
    # Limits.
    _served(
        "100 fields with the authority",
        _LIMIT,
        *_with(*[("a", "b")] * 99),
        line=seen(1, "GET", "/", *["a=b"] * 99),
    ),
    _refused("101 fields with the authority", _LIMIT, 431, *_with(*[("a", "b")] * 100)),
    _refused(
        "101 fields with the host", _LIMIT, 431, _M, _S, _P, ("host", "h"), *[("a", "b")] * 100
    ),
    _refused("1,000 fields", _LIMIT, 431, *_with(*[("a", "b")] * 1000)),
    case(
        "a path of more than 16 KiB",
        _LIMIT,
        headers(1, _LONG_PATH[:16_384], flags=0) + continuation(1, _LONG_PATH[16_384:]),
        "1 refuse 414 end",
        *answered(1, "414"),
    ),
    case(
        "a field of more than 16 KiB",
        _LIMIT,
        headers(1, _LARGE[:16_384], flags=0) + continuation(1, _LARGE[16_384:]),
        "1 refuse 431 end",
        *answered(1, "431"),
    ),
    silent(
        "a request behind one that is refused",
        _LIMIT,
        headers(1, block(*_with(*[("a", "b")] * 101))) + headers(3),
        "1 refuse 431 end",
        seen(3),
    ),
    silent(
        "a head that is a little too long",
        _BOMB,
        headers(1, GET + literal(b"a", b"b" * 4000, kind=0x40))
        + headers(3, GET + indexed(62) * 30)
        + headers(5),
        seen(1, "GET", "/", "a=" + "b" * 4000),
        "3 refuse 431 end",
        seen(5),
    ),
    fails(
        "a bomb",
        _BOMB,
        headers(1, GET + literal(b"a", b"b" * 4000, kind=0x40))
        + headers(3, GET + indexed(62) * 16_000)
        + headers(5),
        "ENHANCE_YOUR_CALM",
        seen(1, "GET", "/", "a=" + "b" * 4000),
        last=1,
    ),
    # Compression: the kinds of faults are in test_hpack_decoder.
    *(
        fails(f"compression: {name}", source, headers(1, sent), "COMPRESSION_ERROR")
        for name, source, sent in (
            ("index 0", "RFC 7541, 6.1", b"\x80"),
            ("index beyond the table", "RFC 7541, 2.3.3", GET + indexed(70)),
            ("name index beyond the table", "RFC 7541, 2.3.3", GET + literal(70, b"x")),
            ("cut integer", "RFC 7541, 5.1", GET + b"\xff"),
            ("endless integer", "RFC 7541, 5.1", GET + b"\xff" * 12),
            ("cut string", "RFC 7541, 5.2", GET + b"\x00\x05ab"),
            ("padding of a string", "RFC 7541, 5.2", GET + b"\x00\x82\x07\xff\x00"),
            ("end symbol", "RFC 7541, 5.2", GET + b"\x00\x84\xff\xff\xff\xff\x00"),
            ("large table", "RFC 7541, 6.3", resize(4097) + GET),
            ("late change of the table", "RFC 7541, 4.2", GET + resize(100)),
        )
    ),
    fails(
        "compression: a fault in trailers",
        _BLOCK,
        post() + headers(1, b"\x80"),
        "COMPRESSION_ERROR",
        seen(1, "POST", end=False),
        last=1,
    ),
    fails(
        "compression: a fault in a block of an ended stream",
        _BLOCK,
        headers() + headers(1, b"\x80"),
        "COMPRESSION_ERROR",
        seen(),
        last=1,
    ),
    silent(
        "compression: blocks of refused requests count",
        _BLOCK,
        headers(1, block(("X", "y")) + literal(b"a", b"b", kind=0x40))
        + headers(3, GET + indexed(62)),
        seen(3, "GET", "/", "a=b"),
        "1 RST_STREAM PROTOCOL_ERROR",
    ),
    silent(
        "compression: a size change",
        "RFC 7541, 4.2",
        headers(1, resize(0) + resize(4096) + GET),
        seen(),
    ),
]
