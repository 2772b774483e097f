"""Chunked bodies and their trailers (RFC 9112, section 7.1)."""

from __future__ import annotations

from conformance.case import SENTINEL, Case, accepted, chunked, refused

_SIZE = "RFC 9112, 7.1"
_EXTENSION = "RFC 9112, 7.1.1"
_TRAILER = "RFC 9112, 7.1.2"


def _read(name: str, source: str, wire: bytes, body: bytes = b"") -> Case:
    return accepted(name, source, chunked(wire), method="POST", body=body)


def _bad(name: str, source: str, wire: bytes, status: int = 400, *, sentinel: bool = True) -> Case:
    return refused(name, source, chunked(wire), status, sentinel=sentinel)


def _size(line: bytes) -> bytes:
    return line + b"\r\na\r\n0\r\n\r\n"


def _trailer(*lines: bytes) -> bytes:
    return b"1\r\na\r\n0\r\n" + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


CASES = [
    _read("no chunk", _SIZE, b"0\r\n\r\n"),
    _read("one chunk", _SIZE, b"3\r\nabc\r\n0\r\n\r\n", b"abc"),
    _read("two chunks", _SIZE, b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
    _read("size in capitals", _SIZE, b"A\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    _read("size in small letters", _SIZE, b"a\r\n0123456789\r\n0\r\n\r\n", b"0123456789"),
    _read("size with leading zeros", _SIZE, b"0000000000000001\r\na\r\n0\r\n\r\n", b"a"),
    _read("last chunk of several zeros", _SIZE, b"1\r\na\r\n000\r\n\r\n", b"a"),
    _read("data with line ends", _SIZE, b"8\r\n\r\n0\r\n\r\n\n\r\n0\r\n\r\n", b"\r\n0\r\n\r\n\n"),
    _read(
        "data that looks like a request",
        _SIZE,
        b"%x\r\n%b\r\n0\r\n\r\n" % (len(SENTINEL), SENTINEL),
        SENTINEL,
    ),
    *(
        _bad(
            f"size {line!r}",
            "CVE-2022-24761" if line[:1] in "+-0" else _SIZE,
            _size(line.encode("latin-1")),
        )
        for line in (
            "-1",
            "+1",
            "0x1",
            "0X1",
            "1_0",
            "_1",
            "1_",
            "g",
            "1g",
            "x1",
            "",
            " 1",
            "\t1",
            "1 ",
            "1\t",
            "1 1",
            "1,1",
            "1.",
            "#1",
            "'1'",
            "\xb1",
            "1h",
            "01h",
            "{1}",
            "1=1",
            "-0",
            "+0",
            "0x",
            "1 x",
            "&1",
        )
    ),
    _bad("size with NUL", _SIZE, _size(b"1\0")),
    _bad("size with a vertical tab", _SIZE, _size(b"1\x0b")),
    _bad("size of 17 digits", _SIZE, _size(b"1" * 17)),
    _bad("size of 17 digits, leading zeros", _SIZE, _size(b"0" * 16 + b"1")),
    _bad("size that overflows 64 bits", _SIZE, _size(b"10000000000000001")),
    _bad("size of 16 digits", "RFC 9110, 15.5.14", _size(b"ffffffffffffffff"), 413),
    _bad("size that overflows 32 bits", "RFC 9110, 15.5.14", _size(b"100000001"), 413),
    _bad("size one above the limit", "RFC 9110, 15.5.14", b"10001\r\n", 413, sentinel=False),
    _bad(
        "sizes together above the limit",
        "RFC 9110, 15.5.14",
        b"1\r\na\r\n10000\r\n",
        413,
        sentinel=False,
    ),
    _bad("size ended by LF", "CVE-2025-43859", b"1\na\r\n0\r\n\r\n"),
    _bad("size ended by LF, nothing after", "CVE-2025-43859", b"1\n", sentinel=False),
    _bad("size ended by CR", _SIZE, b"1\ra\r\n0\r\n\r\n"),
    _bad("size ended by CR CR LF", _SIZE, b"1\r\r\na\r\n0\r\n\r\n"),
    _bad("data ended by LF", "CVE-2025-43859", b"1\r\na\n0\r\n\r\n"),
    _bad("data ended by CR", "CVE-2025-43859", b"1\r\na\r0\r\n\r\n"),
    _bad("data ended by two other bytes", "CVE-2025-43859", b"1\r\naXX0\r\n\r\n"),
    _bad("data ended by LF CR", "CVE-2025-43859", b"1\r\na\n\r0\r\n\r\n"),
    _bad("data ended by nothing", "CVE-2025-43859", b"1\r\na0\r\n\r\n"),
    _bad("data longer than its size", _SIZE, b"1\r\nab\r\n0\r\n\r\n"),
    _bad("data shorter than its size", _SIZE, b"3\r\na\r\n0\r\n\r\n"),
    _bad("data ended by CR LF twice", _SIZE, b"1\r\na\r\n\r\n0\r\n\r\n"),
    _bad("last size ended by LF", "CVE-2023-40175", b"1\r\na\r\n0\n\r\n"),
    _bad("body ended by LF", "CVE-2023-40175", b"1\r\na\r\n0\r\n\n"),
    _bad("body ended by LF, nothing after", "CVE-2023-40175", b"0\r\n\n", sentinel=False),
    _bad("body ended by CR and more", _SIZE, b"1\r\na\r\n0\r\n\rX"),
    _bad("no end of the trailers before the next request", "CVE-2023-40175", b"1\r\na\r\n0\r\n"),
    _read("extension", _EXTENSION, b"1;a\r\na\r\n0\r\n\r\n", b"a"),
    _read("extension with a value", _EXTENSION, b"1;a=b\r\na\r\n0\r\n\r\n", b"a"),
    _read("extension with a quoted value", _EXTENSION, b'1;a="b;\\" c"\r\na\r\n0\r\n\r\n', b"a"),
    _read("extension with a quoted high byte", _EXTENSION, b'1;a="\xe9"\r\na\r\n0\r\n\r\n', b"a"),
    _read("extensions", _EXTENSION, b'1;a=b;c;d="e"\r\na\r\n0\r\n\r\n', b"a"),
    _read("extension of the last chunk", _EXTENSION, b"1\r\na\r\n0;a=b\r\n\r\n", b"a"),
    _read(
        "extension between white space",
        "RFC 9110, 5.6.3",
        b"1 ; a = b\t;\tc\r\na\r\n0\r\n\r\n",
        b"a",
    ),
    _read(
        "extension that fills the line",
        _EXTENSION,
        b"1;" + b"x" * 254 + b"\r\na\r\n0\r\n\r\n",
        b"a",
    ),
    *(
        _bad(f"extension {line!r}", _EXTENSION, _size(b"1" + line.encode("latin-1")))
        for line in (
            ";",
            ";;",
            ";;a",
            ";a;",
            ";=b",
            ";a=",
            ";a=b=c",
            ";a b",
            ";a=b c",
            ';a="b',
            ';a="b"c',
            ';a=b"',
            ";a,b",
            ";\xe9",
            ";a=\xe9",
            ";a ",
            ";a=b ",
            " ; ",
            ";a=[b]",
            ";a:b",
            ";@",
            ';a="\\',
            ';"a"',
        )
    ),
    _bad("extension with LF", "CVE-2024-21647", b"1;a\nb\r\na\r\n0\r\n\r\n"),
    _bad("extension with CR", "CVE-2024-21647", b"1;a\rb\r\na\r\n0\r\n\r\n"),
    _bad("extension ended by LF", "CVE-2024-21647", b"1;a\na\r\n0\r\n\r\n"),
    _bad("extension with NUL", _EXTENSION, b"1;a\0\r\na\r\n0\r\n\r\n"),
    _bad("extension with a quoted NUL", _EXTENSION, b'1;a="\0"\r\na\r\n0\r\n\r\n'),
    _bad("extension with a quoted LF", _EXTENSION, b'1;a="\n"\r\na\r\n0\r\n\r\n'),
    _bad(
        "extension too long by a byte", "CVE-2024-21647", b"1;" + b"x" * 255 + b"\r\na\r\n0\r\n\r\n"
    ),
    _bad("extension without end", "CVE-2024-21647", b"1;" + b"x" * 300, sentinel=False),
    _bad(
        "endless extensions of small chunks",
        "CVE-2024-21647",
        (b"1;" + b"x" * 20 + b"\r\na\r\n") * 1100,
    ),
    _read("trailer", _TRAILER, _trailer(b"X: y"), b"a"),
    _read("trailers", _TRAILER, _trailer(b"X: y", b"Z:"), b"a"),
    _bad("trailer Content-Length", "CVE-2023-40175", _trailer(b"Content-Length: 40")),
    _bad("trailer Transfer-Encoding", "CVE-2023-40175", _trailer(b"Transfer-Encoding: chunked")),
    _bad("trailer Host", "RFC 9110, 6.5.1", _trailer(b"Host: evil")),
    _read("trailer X-Forwarded-For", "RFC 9110, 6.5.1", _trailer(b"X-Forwarded-For: evil"), b"a"),
    _bad("trailer without a colon", _TRAILER, _trailer(b"X")),
    _bad("trailer that is a request line", _TRAILER, _trailer(b"GET /hidden HTTP/1.1")),
    _bad("trailer with a space before the colon", _TRAILER, _trailer(b"X : y")),
    _bad("trailer folded", "RFC 9112, 5.2", _trailer(b"X: y", b" z")),
    _bad("trailer without a name", _TRAILER, _trailer(b": y")),
    _bad("trailer with NUL", _TRAILER, _trailer(b"X: \0")),
    _bad("trailer with CR", _TRAILER, _trailer(b"X: y\rz")),
    _bad("trailer with LF", _TRAILER, _trailer(b"X: y\nZ: w")),
    _bad("trailer ended by LF", "CVE-2023-40175", b"1\r\na\r\n0\r\nX: y\n\r\n"),
    _bad("trailer with a high byte in its name", _TRAILER, _trailer(b"\xe9: y")),
]
