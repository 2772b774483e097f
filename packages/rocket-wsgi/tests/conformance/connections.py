"""Several requests on one connection, and its end (RFC 9112, sections 9.3 and 9.6)."""

from __future__ import annotations

from conformance.case import SENTINEL, Case, Seen, accepted, chunked, get, post, refused

_PERSISTENCE = "RFC 9112, 9.3"
_ERROR = "CVE-2024-49768"


def _option(name: str, value: bytes, *, kept: bool, version: bytes = b"1.1") -> Case:
    data = b"GET / HTTP/" + version + b"\r\nHost: a\r\nConnection: " + value + b"\r\n\r\n"
    return accepted(name, _PERSISTENCE, data, fields={"HTTP_CONNECTION": value.decode()}, kept=kept)


def _seen(method: str, body: bytes = b"") -> Seen:
    return Seen(method, "/", "", {"HTTP_HOST": "a"}, body)


_GET = _seen("GET")

CASES = [
    _option("close", b"close", kept=False),
    _option("close in capitals", b"CLOSE", kept=False),
    _option("close in a list", b"x, close", kept=False),
    _option("close before keep-alive", b"close, keep-alive", kept=False),
    _option("closed is not close", b"closed", kept=True),
    _option("keep-alive", b"keep-alive", kept=True),
    _option("Upgrade", b"Upgrade", kept=True),
    _option("HTTP/1.0 keep-alive", b"keep-alive", kept=True, version=b"1.0"),
    _option("HTTP/1.0 keep-alive in a list", b"x, Keep-Alive", kept=True, version=b"1.0"),
    _option("HTTP/1.0 keep-alive and close", b"keep-alive, close", kept=False, version=b"1.0"),
    _option("HTTP/1.0 another option", b"x", kept=False, version=b"1.0"),
    Case("two requests", "RFC 9112, 9.3.2", get() * 2, 200, (_GET, _GET), kept=True),
    Case(
        "three requests and bodies",
        "RFC 9112, 9.3.2",
        post(b"Content-Length: 2", body=b"ab") + chunked(b"1\r\nc\r\n0\r\n\r\n") + get(),
        200,
        (_seen("POST", b"ab"), _seen("POST", b"c"), _GET),
        kept=True,
    ),
    Case(
        "a request between empty lines",
        "RFC 9112, 2.2",
        get() + b"\r\n" + get() + b"\r\n",
        200,
        (_GET, _GET),
        kept=True,
    ),
    Case(
        "nothing after close",
        "RFC 9112, 9.6",
        get() + get(b"Connection: close") + get(),
        200,
        (_GET, Seen("GET", "/", "", {"HTTP_HOST": "a", "HTTP_CONNECTION": "close"}, b"")),
    ),
    *(
        Case(f"nothing after an error: {name}", _ERROR, get() + data + get(), status, (_GET,))
        for name, data, status in (
            ("request line", b"GET /\r\n\r\n", 400),
            ("version", b"GET / HTTP/2.0\r\n\r\n", 505),
            ("field", get(b"X : y"), 400),
            ("line end", get(b"X: y\nz"), 400),
            ("length", post(b"Content-Length: x"), 400),
            ("large length", post(b"Content-Length: 99999"), 413),
            ("coding", post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"), 501),
            ("chunk size", chunked(b"x\r\n"), 400),
            ("chunk end", chunked(b"1\r\naXX"), 400),
            ("trailer", chunked(b"0\r\nX\r\n\r\n"), 400),
            ("expectation", get(b"Expect: x"), 417),
            ("long line", b"A" * 8194, 501),
            ("long field", get(b"X: " + b"y" * 17_000), 431),
        )
    ),
    refused("two errors", _ERROR, b"GET /\r\n\r\n" * 2),
    Case(
        "a body longer than its length",
        "CVE-2022-24790",
        post(b"Content-Length: 1", body=b"ab c"),
        400,
        (_seen("POST", b"a"),),
    ),
    Case(
        "a body shorter than its length takes what follows",
        "RFC 9112, 6.3",
        post(b"Content-Length: %d" % len(SENTINEL), body=SENTINEL),
        200,
        (_seen("POST", SENTINEL),),
        kept=True,
    ),
]
