"""The end of a request body (RFC 9112, section 6)."""

from __future__ import annotations

from conformance.case import SENTINEL, Case, accepted, get, post, refused

_LENGTH = "RFC 9110, 8.6"
_CODING = "RFC 9112, 6.1"
_BOTH = "RFC 9112, 6.3"
_BODY = b"0\r\n\r\n"
_EMPTY = b"Transfer-Encoding: chunked"


def _length(value: bytes) -> bytes:
    return post(b"Content-Length: " + value, body=b"ab")


def _coding(value: bytes) -> bytes:
    return post(b"Transfer-Encoding: " + value, body=_BODY)


def _posted(name: str, source: str, data: bytes, body: bytes = b"", **settings: bool) -> Case:
    return accepted(name, source, data, method="POST", body=body, **settings)  # type: ignore[arg-type]


CASES = [
    _posted("length", _LENGTH, _length(b"2"), b"ab"),
    _posted("length zero", _LENGTH, post(b"Content-Length: 0")),
    _posted("length with leading zeros", _LENGTH, _length(b"0002"), b"ab"),
    _posted("length of two zeros", _LENGTH, post(b"Content-Length: 00")),
    _posted("length between white space", "RFC 9110, 5.5", _length(b"\t 2 \t"), b"ab"),
    _posted("neither length nor coding", _BOTH, post()),
    _posted(
        "a body that looks like a request",
        _BOTH,
        post(b"Content-Length: %d" % len(SENTINEL), body=SENTINEL),
        SENTINEL,
    ),
    accepted("length of GET", "RFC 9110, 9.3.1", get(b"Content-Length: 2") + b"ab", body=b"ab"),
    _posted(
        "length of HTTP/1.0",
        _BOTH,
        post(b"Content-Length: 2", body=b"ab", version=b"1.0"),
        b"ab",
        kept=False,
    ),
    *(
        refused(
            f"length {value!r}",
            "CVE-2022-24761" if value[:1] in "+-0" else _LENGTH,
            _length(value.encode("latin-1")),
        )
        for value in (
            "+2",
            "-2",
            "-0",
            "0x2",
            "0b10",
            "0o2",
            "2_0",
            "0_2",
            "2.0",
            "2e0",
            "2,2",
            "2, 2",
            "2,3",
            "2;",
            "2;q=1",
            "2 2",
            "2 ab",
            "'2'",
            '"2"',
            "two",
            "\xb2",
            "\xbd",
            "(2)",
            "2-",
            "--2",
            "0,2",
            ",2",
            "2,",
            "NaN",
            "inf",
            "#2",
        )
    ),
    refused("length empty", _LENGTH, _length(b"")),
    refused("length with Arabic digits", _LENGTH, _length("\u0662".encode())),
    refused("length with a vertical tab", "CVE-2019-16789", _length(b"\x0b2")),
    refused(
        "length twice",
        "CVE-2019-16792",
        post(b"Content-Length: 2", b"Content-Length: 3", body=b"ab"),
    ),
    refused(
        "length twice, the same",
        "CVE-2019-16792",
        post(b"Content-Length: 2", b"Content-Length: 2", body=b"ab"),
    ),
    refused(
        "length twice, the first zero",
        "CVE-2019-16792",
        post(b"Content-Length: 0", b"Content-Length: 2", body=b"ab"),
    ),
    refused(
        "length twice, in other letters",
        "CVE-2019-16792",
        post(b"Content-Length: 2", b"content-LENGTH: 2", body=b"ab"),
    ),
    refused(
        "length twice, the first empty",
        "CVE-2023-40175",
        post(b"Content-Length:", b"Content-Length: 2", body=b"ab"),
    ),
    refused("length empty, before a request", "CVE-2023-40175", post(b"Content-Length: ")),
    refused("length of 30 digits", "RFC 9110, 15.5.14", _length(b"9" * 30), 413),
    refused("length of 2 to the 64th", "RFC 9110, 15.5.14", _length(b"18446744073709551618"), 413),
    refused("length of 2 to the 32nd and 2", "RFC 9110, 15.5.14", _length(b"4294967298"), 413),
    refused("length one above the limit", "RFC 9110, 15.5.14", _length(b"65537"), 413),
    _posted("chunked", _CODING, _coding(b"chunked")),
    _posted("chunked in capitals", "RFC 9112, 7", _coding(b"CHUNKED")),
    _posted("chunked between white space", "RFC 9110, 5.5", _coding(b"\t chunked \t")),
    _posted(
        "chunked, field name in capitals",
        "RFC 9110, 5.1",
        post(b"TRANSFER-ENCODING: chunked", body=_BODY),
    ),
    accepted(
        "chunked GET",
        "RFC 9110, 9.3.1",
        get(b"Transfer-Encoding: chunked") + b"1\r\na\r\n0\r\n\r\n",
        body=b"a",
    ),
    *(
        refused(f"coding {value!r}", source, _coding(value.encode("latin-1")))
        for value, source in (
            ("identity", "CVE-2024-1135"),
            ("gzip", _CODING),
            ("xchunked", "CVE-2019-16786"),
            ("chunkedx", "CVE-2019-16786"),
            ("chunk", "CVE-2024-1135"),
            ("chunked, identity", "CVE-2024-1135"),
            ("chunked, gzip", "CVE-2024-6827"),
            ("chunked, chunked", "CVE-2024-1135"),
            ("chunked,chunked", "CVE-2022-24790"),
            ("chunked;q=1", _CODING),
            ("chunked ; a=b", _CODING),
            (",chunked", "CVE-2024-6827"),
            ("chunked,", "CVE-2024-6827"),
            (",", _CODING),
            ("chunked, ", "CVE-2024-6827"),
            ('"chunked"', "CVE-2022-24790"),
            ("'chunked'", "CVE-2022-24790"),
            ("chun ked", _CODING),
            ("chunked chunked", _CODING),
            ("gzip chunked", _CODING),
            ("\xa0chunked", "CVE-2019-16789"),
            ("chunked\x85", "CVE-2019-16789"),
            ("", "CVE-2020-11076"),
            ("cow", "CVE-2019-16786"),
            ("chunked=1", _CODING),
            ("[chunked]", "CVE-2022-24790"),
            ("*", _CODING),
            ("chunked, identity, chunked", "CVE-2024-1135"),
        )
    ),
    *(
        refused(
            f"coding with control character {code:02x}",
            "CVE-2019-16789",
            _coding(bytes([code]) + b"chunked"),
        )
        for code in (0, 8, 11, 12, 28, 31)
    ),
    *(
        refused(f"coding {value}", "RFC 9112, 7", _coding(value.encode()), 501)
        for value in ("gzip, chunked", "deflate,chunked", "identity, chunked", "br, gzip, chunked")
    ),
    refused("coding twice", "CVE-2020-11076", post(_EMPTY, _EMPTY, body=_BODY)),
    refused(
        "coding twice, the first unknown",
        "CVE-2020-11076",
        post(b"Transfer-Encoding: x", _EMPTY, body=_BODY),
        501,
    ),
    refused(
        "coding twice, the last unknown",
        "CVE-2024-6827",
        post(_EMPTY, b"Transfer-Encoding: x", body=_BODY),
    ),
    refused(
        "coding twice, the last empty",
        "CVE-2024-6827",
        post(_EMPTY, b"Transfer-Encoding:", body=_BODY),
    ),
    refused(
        "coding twice, in other letters",
        "CVE-2020-11076",
        post(_EMPTY, b"transfer-encoding: identity", body=_BODY),
    ),
    refused("coding and length", _BOTH, post(_EMPTY, b"Content-Length: 5", body=_BODY)),
    refused("length and coding", _BOTH, post(b"Content-Length: 5", _EMPTY, body=_BODY)),
    refused("coding and length zero", _BOTH, post(_EMPTY, b"Content-Length: 0", body=_BODY)),
    refused("coding and an empty length", _BOTH, post(_EMPTY, b"Content-Length:", body=_BODY)),
    refused(
        "unknown coding and length",
        "CVE-2024-1135",
        post(b"Transfer-Encoding: x", b"Content-Length: 5", body=_BODY),
    ),
    refused(
        "empty coding and length",
        "CVE-2024-1135",
        post(b"Transfer-Encoding:", b"Content-Length: 5", body=_BODY),
    ),
    refused(
        "identity and length",
        "CVE-2024-1135",
        post(b"Transfer-Encoding: identity", b"Content-Length: 5", body=_BODY),
    ),
    refused("coding of HTTP/1.0", _CODING, post(_EMPTY, body=_BODY, version=b"1.0")),
    refused(
        "coding and length of HTTP/1.0",
        _CODING,
        post(_EMPTY, b"Content-Length: 5", body=_BODY, version=b"1.0"),
    ),
    refused(
        "kept HTTP/1.0 connection without a length",
        "RFC 1945, 8.3",
        post(b"Connection: keep-alive", version=b"1.0"),
        411,
    ),
    _posted(
        "closed HTTP/1.0 connection without a length",
        "RFC 1945, 8.3",
        post(version=b"1.0"),
        kept=False,
    ),
]
