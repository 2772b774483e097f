"""Request lines (RFC 9112, sections 2.2, 2.3 and 3)."""

from __future__ import annotations

from conformance.case import accepted, first, get, refused

_LINE = "RFC 9112, 3"
_METHODS = (
    "GET",
    "POST",
    "PUT",
    "DELETE",
    "PATCH",
    "OPTIONS",
    "TRACE",
    "PROPFIND",
    "get",
    "M-SEARCH",
)
_NO_TOKEN = '"(),/:;<=>?@[\\]{}'

CASES = [
    *(
        accepted(
            f"method {name}", "RFC 9110, 9.1", first(f"{name} / HTTP/1.1".encode()), method=name
        )
        for name in _METHODS
    ),
    accepted(
        "method of all token characters",
        "RFC 9110, 5.6.2",
        first(b"!#$%&'*+-.^_`|~09azAZ / HTTP/1.1"),
        method="!#$%&'*+-.^_`|~09azAZ",
    ),
    *(
        refused(f"method with {char}", "RFC 9110, 5.6.2", first(f"G{char}T / HTTP/1.1".encode()))
        for char in _NO_TOKEN
    ),
    refused("method with a high byte", "RFC 9110, 5.6.2", first(b"G\xc9T / HTTP/1.1")),
    refused("no method", _LINE, first(b" / HTTP/1.1")),
    refused("method only", _LINE, first(b"GET")),
    refused("no target", _LINE, first(b"GET HTTP/1.1")),
    refused("empty target", _LINE, first(b"GET  HTTP/1.1")),
    refused("HTTP/0.9 request", "RFC 1945, 4.1", first(b"GET /")),
    refused("no version", _LINE, first(b"GET / ")),
    refused("two spaces before the target", _LINE, first(b"GET  / HTTP/1.1")),
    refused("two spaces before the version", _LINE, first(b"GET /  HTTP/1.1")),
    refused("space before the method", _LINE, first(b" GET / HTTP/1.1")),
    refused("space after the version", _LINE, first(b"GET / HTTP/1.1 ")),
    refused("tab after the version", _LINE, first(b"GET / HTTP/1.1\t")),
    refused("tabs between the parts", _LINE, first(b"GET\t/\tHTTP/1.1")),
    refused("tab before the target", _LINE, first(b"GET \t/ HTTP/1.1")),
    refused("vertical tab between the parts", _LINE, first(b"GET\x0b/ HTTP/1.1")),
    refused("form feed between the parts", _LINE, first(b"GET /\x0cHTTP/1.1")),
    refused("no-break space between the parts", _LINE, first(b"GET\xa0/\xa0HTTP/1.1")),
    refused("next-line character between the parts", _LINE, first(b"GET\x85/\x85HTTP/1.1")),
    refused("space in the target", "RFC 9112, 3.2", first(b"GET /a b HTTP/1.1")),
    refused("four parts", _LINE, first(b"GET / HTTP/1.1 x")),
    refused("an answer instead of a request", _LINE, first(b"HTTP/1.1 200 OK")),
    refused("line ended by LF", "RFC 9112, 2.2", b"GET / HTTP/1.1\nHost: a\r\n\r\n"),
    refused("line ended by CR", "RFC 9112, 2.2", b"GET / HTTP/1.1\rHost: a\r\n\r\n"),
    refused("line ended by CR CR LF", "RFC 9112, 2.2", b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
    refused("line ended by LF CR", "RFC 9112, 2.2", b"GET / HTTP/1.1\n\rHost: a\r\n\r\n"),
    refused("LF in the target", "RFC 9112, 2.2", first(b"GET /a\nb HTTP/1.1")),
    refused("CR in the target", "RFC 9112, 2.2", first(b"GET /a\rb HTTP/1.1")),
    refused("CR in the method", "RFC 9112, 2.2", first(b"GE\rT / HTTP/1.1")),
    refused("NUL in the target", "RFC 9110, 5.5", first(b"GET /\0 HTTP/1.1")),
    accepted("an empty line before the request", "RFC 9112, 2.2", b"\r\n" + get()),
    refused("two empty lines before the request", "RFC 9112, 2.2", b"\r\n\r\n" + get()),
    refused("a hundred empty lines", "RFC 9112, 2.2", b"\r\n" * 100 + get()),
    refused("an LF before the request", "RFC 9112, 2.2", b"\n" + get()),
    refused("a CR before the request", "RFC 9112, 2.2", b"\r" + get()),
    refused("a space line before the request", "RFC 9112, 2.2", b" \r\n" + get()),
    refused(
        "white space before the first field", "RFC 9112, 2.2", b"GET / HTTP/1.1\r\n Host: a\r\n\r\n"
    ),
    refused("a byte order mark", _LINE, b"\xef\xbb\xbf" + get()),
    refused("a TLS handshake", _LINE, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    *(
        refused(f"version {version}", "RFC 9112, 2.3", first(b"GET / " + version.encode()))
        for version in (
            "http/1.1",
            "Http/1.1",
            "HTTP/1",
            "HTTP/1.",
            "HTTP/.1",
            "HTTP/11",
            "HTTP/1.10",
            "HTTP/01.1",
            "HTTP/1.01",
            "HTTP/+1.1",
            "HTTP/1.-1",
            "HTTP/1,1",
            "HTTP 1.1",
            "HTTP/x.1",
            "HTTP/1.x",
            "HTTP\\1.1",
            "HTTPS/1.1",
            "ICY/1.1",
            "1.1",
            "HTTP/",
        )
    ),
    refused("version with an Arabic digit", "RFC 9112, 2.3", first("GET / HTTP/1.\u0661".encode())),
    refused("version with a superscript digit", "RFC 9112, 2.3", first(b"GET / HTTP/1.\xb9")),
    *(
        refused(
            f"version HTTP/{version}",
            "RFC 9110, 15.6.6",
            first(f"GET / HTTP/{version}".encode()),
            505,
        )
        for version in ("0.9", "0.0", "2.0", "2.1", "3.0", "9.9")
    ),
    refused("HTTP/2 preface", "RFC 9113, 3.4", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    refused(
        "HTTP/2 preface and settings",
        "RFC 9113, 3.4",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0",
        505,
    ),
    refused(
        "HTTP/2 preface, nothing after its head",
        "RFC 9113, 3.4",
        b"PRI * HTTP/2.0\r\n\r\n",
        505,
        sentinel=False,
    ),
    refused("method PRI of HTTP/1.1", "RFC 9112, 3.2", first(b"PRI * HTTP/1.1")),
    accepted("version HTTP/1.2", "RFC 9110, 2.5", first(b"GET / HTTP/1.2")),
    accepted("version HTTP/1.9", "RFC 9110, 2.5", first(b"GET / HTTP/1.9")),
    accepted("version HTTP/1.0", "RFC 9112, 9.3", first(b"GET / HTTP/1.0"), kept=False),
    accepted(
        "version HTTP/1.0 without Host",
        "RFC 9112, 3.2",
        b"GET / HTTP/1.0\r\n\r\n",
        host=None,
        kept=False,
    ),
]
