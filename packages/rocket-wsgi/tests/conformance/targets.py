"""Request targets and authorities (RFC 9112, section 3.2; RFC 9110, section 7.2; RFC 3986)."""

from __future__ import annotations

from conformance.case import accepted, first, refused

_ORIGIN = "RFC 9112, 3.2.1"
_ABSOLUTE = "RFC 9112, 3.2.2"
_AUTHORITY = "RFC 9112, 3.2.3"
_ASTERISK = "RFC 9112, 3.2.4"
_HOST = "RFC 9110, 7.2"


def _host(value: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: " + value + b"\r\n\r\n"


CASES = [
    accepted("path", _ORIGIN, first(b"GET /a/b HTTP/1.1"), path="/a/b"),
    accepted("path and query", _ORIGIN, first(b"GET /a?b=c&d HTTP/1.1"), path="/a", query="b=c&d"),
    accepted("empty query", _ORIGIN, first(b"GET /? HTTP/1.1")),
    accepted(
        "question mark in the query", _ORIGIN, first(b"GET /a?b?c HTTP/1.1"), path="/a", query="b?c"
    ),
    accepted("path is decoded once", "RFC 3986, 2.4", first(b"GET /%2541 HTTP/1.1"), path="/%41"),
    accepted("query is not decoded", "RFC 3875, 4.1.7", first(b"GET /?%41 HTTP/1.1"), query="%41"),
    accepted("encoded slash", "PEP 3333", first(b"GET /a%2Fb HTTP/1.1"), path="/a/b"),
    accepted("encoded question mark", "PEP 3333", first(b"GET /a%3Fb HTTP/1.1"), path="/a?b"),
    accepted(
        "encoded CR LF stays in the path",
        "PEP 3333",
        first(b"GET /%0D%0AX:y HTTP/1.1"),
        path="/\r\nX:y",
    ),
    accepted("encoded UTF-8", "PEP 3333", first(b"GET /caf%C3%A9 HTTP/1.1"), path="/caf\xc3\xa9"),
    accepted(
        "incomplete percent sign", "RFC 3986, 2.4", first(b"GET /100% HTTP/1.1"), path="/100%"
    ),
    accepted(
        "dot segments are kept", "RFC 3986, 6.2.2.3", first(b"GET /a/../b HTTP/1.1"), path="/a/../b"
    ),
    accepted("two slashes are no authority", _ORIGIN, first(b"GET //b/c HTTP/1.1"), path="//b/c"),
    accepted(
        "what browsers leave as it is",
        _ORIGIN,
        first(b'GET /?a|b{c}[d]^`"<> HTTP/1.1'),
        query='a|b{c}[d]^`"<>',
    ),
    refused("high byte in the path", _ORIGIN, first(b"GET /\xe9 HTTP/1.1")),
    refused("UTF-8 in the query", _ORIGIN, first(b"GET /?\xc3\xa9 HTTP/1.1")),
    refused("tab in the path", _ORIGIN, first(b"GET /a\tb HTTP/1.1")),
    refused("DEL in the path", _ORIGIN, first(b"GET /\x7f HTTP/1.1")),
    refused("escape character in the path", "CVE-2020-7694", first(b"GET /\x1b[31m HTTP/1.1")),
    refused("fragment", _ORIGIN, first(b"GET /a#b HTTP/1.1")),
    refused("relative path", _ORIGIN, first(b"GET a HTTP/1.1")),
    refused("query only", _ORIGIN, first(b"GET ?a HTTP/1.1")),
    refused("backslash first", _ORIGIN, first(b"GET \\a HTTP/1.1")),
    refused("dot", _ORIGIN, first(b"GET . HTTP/1.1")),
    accepted(
        "absolute form",
        _ABSOLUTE,
        first(b"GET http://b/c?d HTTP/1.1"),
        path="/c",
        query="d",
        host="b",
    ),
    accepted(
        "absolute form replaces Host",
        _ABSOLUTE,
        b"GET http://good/ HTTP/1.1\r\nHost: evil\r\n\r\n",
        host="good",
    ),
    accepted("absolute form without a path", _ABSOLUTE, first(b"GET http://b HTTP/1.1"), host="b"),
    accepted(
        "absolute form with a query only",
        _ABSOLUTE,
        first(b"GET http://b?c HTTP/1.1"),
        query="c",
        host="b",
    ),
    accepted(
        "absolute form in capitals", "RFC 3986, 3.1", first(b"GET HTTP://b/ HTTP/1.1"), host="b"
    ),
    accepted(
        "absolute form with a port", _ABSOLUTE, first(b"GET http://b:8080/ HTTP/1.1"), host="b:8080"
    ),
    accepted("absolute form, https", _ABSOLUTE, first(b"GET https://b/ HTTP/1.1"), host="b"),
    accepted(
        "absolute form, IPv6",
        "RFC 3986, 3.2.2",
        first(b"GET http://[::1]:8/ HTTP/1.1"),
        host="[::1]:8",
    ),
    accepted(
        "absolute form of HTTP/1.0",
        _ABSOLUTE,
        b"GET http://b/ HTTP/1.0\r\n\r\n",
        host="b",
        kept=False,
    ),
    accepted(
        "a path may look absolute", _ORIGIN, first(b"GET /http://b/ HTTP/1.1"), path="/http://b/"
    ),
    refused("absolute form without Host", "RFC 9112, 3.2", b"GET http://b/ HTTP/1.1\r\n\r\n"),
    refused(
        "absolute form with a malformed Host",
        "RFC 9112, 3.2",
        b"GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n",
    ),
    refused(
        "absolute form without an authority", "RFC 9110, 4.2.1", first(b"GET http:///c HTTP/1.1")
    ),
    refused("absolute form with one slash", _ABSOLUTE, first(b"GET http:/b HTTP/1.1")),
    refused(
        "absolute form with user information", "RFC 9110, 4.2.4", first(b"GET http://u@b/ HTTP/1.1")
    ),
    refused(
        "absolute form with a password", "RFC 9110, 4.2.4", first(b"GET http://u:p@b/ HTTP/1.1")
    ),
    refused(
        "absolute form with a backslash", "RFC 3986, 3.2", first(b"GET http://good\\evil/ HTTP/1.1")
    ),
    refused("absolute form with a fragment", _ABSOLUTE, first(b"GET http://b/#c HTTP/1.1")),
    refused(
        "absolute form with a large port", "RFC 3986, 3.2.3", first(b"GET http://b:65536/ HTTP/1.1")
    ),
    refused(
        "absolute form with a negative port", "RFC 3986, 3.2.3", first(b"GET http://b:-1/ HTTP/1.1")
    ),
    refused("absolute form, ftp", _ABSOLUTE, first(b"GET ftp://b/ HTTP/1.1")),
    refused("absolute form, file", _ABSOLUTE, first(b"GET file:///etc/passwd HTTP/1.1")),
    refused("absolute form, javascript", _ABSOLUTE, first(b"GET javascript:x HTTP/1.1")),
    refused(
        "absolute form, unclosed bracket", "RFC 3986, 3.2.2", first(b"GET http://[::1/ HTTP/1.1")
    ),
    refused("authority form of GET", _AUTHORITY, first(b"GET b:80 HTTP/1.1")),
    refused("CONNECT", _AUTHORITY, first(b"CONNECT b:443 HTTP/1.1"), 501),
    refused("CONNECT to IPv6", _AUTHORITY, first(b"CONNECT [::1]:443 HTTP/1.1"), 501),
    refused("CONNECT without a port", _AUTHORITY, first(b"CONNECT b HTTP/1.1")),
    refused("CONNECT with an empty port", _AUTHORITY, first(b"CONNECT b: HTTP/1.1")),
    refused("CONNECT to IPv6 without a port", _AUTHORITY, first(b"CONNECT [::1] HTTP/1.1")),
    refused("CONNECT with a path", _AUTHORITY, first(b"CONNECT / HTTP/1.1")),
    refused("CONNECT with a URL", _AUTHORITY, first(b"CONNECT http://b/ HTTP/1.1")),
    refused("CONNECT with user information", _AUTHORITY, first(b"CONNECT u@b:443 HTTP/1.1")),
    accepted("asterisk form", _ASTERISK, first(b"OPTIONS * HTTP/1.1"), method="OPTIONS", path="*"),
    refused("asterisk form of GET", _ASTERISK, first(b"GET * HTTP/1.1")),
    refused("asterisk and more", _ASTERISK, first(b"OPTIONS ** HTTP/1.1")),
    refused("asterisk and a query", _ASTERISK, first(b"OPTIONS *?a HTTP/1.1")),
    accepted(
        "OPTIONS of a path", _ORIGIN, first(b"OPTIONS /a HTTP/1.1"), method="OPTIONS", path="/a"
    ),
    *(
        accepted(f"Host {value}", _HOST, _host(value.encode()), host=value)
        for value in (
            "b",
            "b.c",
            "b:80",
            "b:",
            "B",
            "127.0.0.1",
            "127.0.0.1:65535",
            "[::1]",
            "[::1]:80",
            "[::ffff:1.2.3.4]",
            "xn--bcher-kva.example",
            "a_b",
            "b%20c",
            "1",
            "b.",
        )
    ),
    accepted("Host empty", _HOST, _host(b""), host=""),
    accepted("Host between white space", "RFC 9110, 5.5", _host(b" \t b \t "), host="b"),
    *(
        refused(f"Host {value}", _HOST, _host(value.encode("latin-1")))
        for value in (
            "b c",
            "b/c",
            "b\\c",
            "b?c",
            "b#c",
            "u@b",
            "u:p@b",
            "http://b",
            "b:c",
            "b:80:80",
            "b:-1",
            "b:+80",
            "b:0x50",
            "b:65536",
            "b:99999",
            "b:123456",
            "b: 80",
            "b :80",
            "::1",
            "[::1",
            "::1]",
            "[]",
            "[:]",
            "[:::]",
            "[1.2.3.4]",
            "[g::1]",
            "[::1]b",
            "[::1%25lo]",
            "[b]",
            "b%",
            "b%2",
            "b%zz",
            "b, c",
            "b\tc",
            "<b>",
            '"b"',
            "b|c",
            "{b}",
            "b^",
            "\xe9",
            ":80",
        )
    ),
    refused("no Host", "RFC 9112, 3.2", b"GET / HTTP/1.1\r\n\r\n"),
    refused("no Host in HTTP/1.2", "RFC 9112, 3.2", b"GET / HTTP/1.2\r\n\r\n"),
    refused("no Host but another field", "RFC 9112, 3.2", b"GET / HTTP/1.1\r\nX: y\r\n\r\n"),
    refused("Host twice", "RFC 9112, 3.2", b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    refused(
        "Host twice, the same", "RFC 9112, 3.2", b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"
    ),
    refused(
        "Host twice, once in capitals",
        "RFC 9112, 3.2",
        b"GET / HTTP/1.1\r\nHost: a\r\nHOST: b\r\n\r\n",
    ),
    refused(
        "Host twice, the first empty",
        "RFC 9112, 3.2",
        b"GET / HTTP/1.1\r\nHost:\r\nHost: b\r\n\r\n",
    ),
    refused(
        "Host twice in HTTP/1.0", "RFC 9112, 3.2", b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"
    ),
    refused("Host malformed in HTTP/1.0", "RFC 9112, 3.2", b"GET / HTTP/1.0\r\nHost: a b\r\n\r\n"),
]
