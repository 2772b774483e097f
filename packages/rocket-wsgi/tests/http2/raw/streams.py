"""The states of streams, padding, bodies, and flow control."""

from __future__ import annotations

from raw.case import (
    GET,
    POST,
    answered,
    block,
    case,
    continuation,
    data,
    fails,
    headers,
    number,
    ping,
    post,
    reset,
    resets,
    seen,
    settings,
    silent,
    update,
)
from rocket_wsgi._http2.frames import DATA, HEADERS, PRIORITY, PRIORITY_UPDATE, frame
from rocket_wsgi._http2.limits import CONNECTION_WINDOW, STREAM_WINDOW

_STATES = "RFC 9113, 5.1"
_NUMBERS = "RFC 9113, 5.1.1"
_PADDING = "RFC 9113, 6.1"
_HEADERS = "RFC 9113, 6.2"
_LENGTH = "RFC 9113, 8.1.1"
_TRAILERS = "RFC 9113, 8.1"
_WINDOW = "RFC 9113, 6.9"
_INITIAL = "RFC 9113, 6.9.2"
_MADE = "CVE-2025-8671"
_POSTED = seen(1, "POST", end=False)
_FULL = 16_384


def _of_length(length: int) -> tuple[bytes, str]:
    field = ("content-length", str(length))
    return post(1, field), seen(1, "POST", "/", f"content-length={length}", end=False)


def _fill(size: int, stream: int = 1) -> bytes:
    """Return DATA frames with so many bytes."""
    return b"".join(data(b"x" * min(_FULL, size - at), stream) for at in range(0, size, _FULL))


def _filled(size: int, stream: int = 1) -> list[str]:
    return [f"{stream} body {min(_FULL, size - at)}" for at in range(0, size, _FULL)]


_LONG, _LONG_SEEN = _of_length(5)

CASES = [
    case("a request", _STATES, headers(), seen(), *answered()),
    case(
        "three requests",
        _STATES,
        headers(1) + headers(3) + headers(5),
        seen(1),
        seen(3),
        seen(5),
        *answered(1),
        *answered(3),
        *answered(5),
    ),
    case(
        "requests one after another",
        _STATES,
        (headers(1), headers(3)),
        seen(1),
        *answered(1),
        seen(3),
        *answered(3),
    ),
    case(
        "a request with a body",
        _STATES,
        post() + data(b"abc", end=True),
        _POSTED,
        "1 body 3 end",
        *answered(),
    ),
    case(
        "a body in two parts",
        _STATES,
        post() + data(b"abc") + data(b"de", end=True),
        _POSTED,
        "1 body 3",
        "1 body 2 end",
        *answered(),
    ),
    case(
        "an empty body", _STATES, post() + data(b"", end=True), _POSTED, "1 body 0 end", *answered()
    ),
    case(
        "two bodies in turns",
        _STATES,
        post(1)
        + post(3)
        + data(b"a", 1)
        + data(b"b", 3)
        + data(b"c", 1, end=True)
        + data(b"d", 3, end=True),
        _POSTED,
        seen(3, "POST", end=False),
        "1 body 1",
        "3 body 1",
        "1 body 1 end",
        "3 body 1 end",
        *answered(1),
        *answered(3),
    ),
    # Idle streams.
    fails("DATA of an idle stream", _STATES, data(b"x"), "PROTOCOL_ERROR"),
    fails("RST_STREAM of an idle stream", _STATES, reset(), "PROTOCOL_ERROR"),
    fails("WINDOW_UPDATE of an idle stream", _STATES, update(1, 1), "PROTOCOL_ERROR"),
    fails(
        "DATA of an idle stream behind a request",
        _STATES,
        headers() + data(b"x", 3),
        "PROTOCOL_ERROR",
        seen(),
        last=1,
    ),
    fails(
        "DATA of an even stream",
        _STATES,
        headers(5) + data(b"x", 2),
        "PROTOCOL_ERROR",
        seen(5),
        last=5,
    ),
    fails(
        "WINDOW_UPDATE of an even stream",
        _STATES,
        headers(5) + update(1, 2),
        "PROTOCOL_ERROR",
        seen(5),
        last=5,
    ),
    # Numbers.
    fails("HEADERS of an even stream", _NUMBERS, headers(2), "PROTOCOL_ERROR"),
    fails("a lower number", _NUMBERS, headers(5) + headers(3), "PROTOCOL_ERROR", seen(5), last=5),
    case(
        "a gap in the numbers",
        _NUMBERS,
        headers(5) + headers(11),
        seen(5),
        seen(11),
        *answered(5),
        *answered(11),
    ),
    case(
        "the highest number", _NUMBERS, headers(0x7FFFFFFF), seen(0x7FFFFFFF), *answered(0x7FFFFFFF)
    ),
    # Half-closed (remote) streams.
    resets(
        "DATA behind the end",
        _STATES,
        headers() + data(b"x"),
        "STREAM_CLOSED",
        seen(),
        "1 reset STREAM_CLOSED",
    ),
    resets(
        "an empty end behind the end",
        _STATES,
        headers() + data(b"", end=True),
        "STREAM_CLOSED",
        seen(),
        "1 reset STREAM_CLOSED",
    ),
    resets(
        "HEADERS behind the end",
        _STATES,
        headers() + headers(),
        "STREAM_CLOSED",
        seen(),
        "1 reset STREAM_CLOSED",
    ),
    resets(
        "DATA behind the end of a body",
        _STATES,
        post() + data(b"x", end=True) + data(b"y"),
        "STREAM_CLOSED",
        _POSTED,
        "1 body 1 end",
        "1 reset STREAM_CLOSED",
    ),
    resets(
        "a block in two frames behind the end",
        _STATES,
        headers() + headers(flags=0) + continuation(1, b""),
        "STREAM_CLOSED",
        seen(),
        "1 reset STREAM_CLOSED",
    ),
    case("WINDOW_UPDATE behind the end", _STATES, headers() + update(1, 1), seen(), *answered()),
    case(
        "PRIORITY behind the end",
        _STATES,
        headers() + frame(PRIORITY, 0, 1, b"\0" * 5),
        seen(),
        *answered(),
    ),
    silent("RST_STREAM behind the end", _STATES, headers() + reset(), seen(), "1 reset CANCEL"),
    # Closed streams.
    *(
        case(
            f"behind a complete stream: {name}",
            _STATES,
            (headers(), sent + ping()),
            seen(),
            *answered(),
            "0 PING ACK",
        )
        for name, sent in (
            ("WINDOW_UPDATE", update(1, 1)),
            ("WINDOW_UPDATE of 0", update(0, 1)),
            ("a large WINDOW_UPDATE", update(0x7FFFFFFF, 1)),
            ("RST_STREAM", reset()),
            ("PRIORITY", frame(PRIORITY, 0, 1, b"\0" * 5)),
            ("PRIORITY_UPDATE", frame(PRIORITY_UPDATE, 0, 0, number(1) + b"u=1")),
        )
    ),
    *(
        case(
            f"behind a complete stream: {name}",
            _STATES,
            (headers(), sent),
            seen(),
            *answered(),
            "0 GOAWAY 1 STREAM_CLOSED",
        )
        for name, sent in (
            ("DATA", data(b"x")),
            ("the end", data(b"", end=True)),
            ("HEADERS", headers()),
            ("HEADERS in two frames", headers(flags=0) + continuation(1, b"")),
        )
    ),
    *(
        silent(
            f"behind a reset by the client: {name}",
            _STATES,
            headers() + reset() + sent,
            seen(),
            "1 reset CANCEL",
            "1 RST_STREAM STREAM_CLOSED",
        )
        for name, sent in (("DATA", data(b"x")), ("HEADERS", headers()))
    ),
    silent(
        "behind a reset by the client: one answer for two frames",
        _STATES,
        headers() + reset() + data(b"x") + data(b"y"),
        seen(),
        "1 reset CANCEL",
        "1 RST_STREAM STREAM_CLOSED",
    ),
    *(
        silent(
            f"behind a reset by the client: {name}",
            _STATES,
            headers() + reset() + sent,
            seen(),
            "1 reset CANCEL",
        )
        for name, sent in (
            ("RST_STREAM", reset()),
            ("WINDOW_UPDATE", update(1, 1)),
            ("PRIORITY", frame(PRIORITY, 0, 1, b"\0" * 5)),
        )
    ),
    *(
        resets(
            f"behind a reset by the server: {name}",
            _STATES,
            headers(1, POST + block(("Upper", "x")), end=False) + sent,
            "PROTOCOL_ERROR",
        )
        for name, sent in (
            ("DATA", data(b"x")),
            ("HEADERS", headers()),
            ("RST_STREAM", reset()),
            ("WINDOW_UPDATE", update(1, 1)),
            ("WINDOW_UPDATE of 0", update(0, 1)),
        )
    ),
    silent(
        "reset with an unknown code",
        "RFC 9113, 7",
        headers() + reset(1, 0xBEEF),
        seen(),
        "1 reset INTERNAL_ERROR",
    ),
    silent(
        "reset of a body",
        "RFC 9113, 6.4",
        post() + data(b"x") + reset(),
        _POSTED,
        "1 body 1",
        "1 reset CANCEL",
    ),
    # Padding.
    case(
        "padded DATA",
        _PADDING,
        post() + data(b"abc", end=True, padding=10),
        _POSTED,
        "1 body 3 end",
        *answered(),
    ),
    case(
        "padding of length 0",
        _PADDING,
        post() + data(b"abc", end=True, padding=0),
        _POSTED,
        "1 body 3 end",
        *answered(),
    ),
    silent(
        "nothing but padding",
        _PADDING,
        post() + data(b"", padding=255) + data(b"x"),
        _POSTED,
        "1 body 1",
    ),
    fails(
        "padding as long as the frame",
        _PADDING,
        post() + frame(DATA, 8, 1, b"\x04abc"),
        "PROTOCOL_ERROR",
        _POSTED,
        last=1,
    ),
    fails(
        "padding longer than the frame",
        _PADDING,
        post() + frame(DATA, 8, 1, b"\xffabc"),
        "PROTOCOL_ERROR",
        _POSTED,
        last=1,
    ),
    fails(
        "no length of the padding",
        _PADDING,
        post() + frame(DATA, 8, 1, b""),
        "FRAME_SIZE_ERROR",
        _POSTED,
        last=1,
    ),
    case(
        "padded HEADERS",
        _HEADERS,
        frame(HEADERS, 0xD, 1, b"\x03" + GET + b"\0\0\0"),
        seen(),
        *answered(),
    ),
    case(
        "HEADERS with a priority",
        _HEADERS,
        frame(HEADERS, 0x25, 1, b"\x80\0\0\x03\xff" + GET),
        seen(),
        *answered(),
    ),
    case(
        "padded HEADERS with a priority",
        _HEADERS,
        frame(HEADERS, 0x2D, 1, b"\x02\0\0\0\x03\xff" + GET + b"\0\0"),
        seen(),
        *answered(),
    ),
    case(
        "HEADERS that depend on themselves",
        "RFC 9113, 5.3.2",
        frame(HEADERS, 0x25, 1, b"\0\0\0\x01\xff" + GET),
        seen(),
        *answered(),
    ),
    fails(
        "padding longer than the block",
        _HEADERS,
        frame(HEADERS, 0xD, 1, b"\xff" + GET),
        "PROTOCOL_ERROR",
    ),
    fails(
        "padding that leaves no priority",
        _HEADERS,
        frame(HEADERS, 0x2D, 1, b"\x03" + b"\0" * 7),
        "PROTOCOL_ERROR",
    ),
    fails(
        "HEADERS without their padding", _HEADERS, frame(HEADERS, 0xD, 1, b""), "FRAME_SIZE_ERROR"
    ),
    fails(
        "HEADERS without their priority",
        _HEADERS,
        frame(HEADERS, 0x25, 1, b"\0\0\0\0"),
        "FRAME_SIZE_ERROR",
    ),
    # Blocks in several frames.
    case(
        "a block in two frames",
        "RFC 9113, 6.10",
        headers(content=GET[:2], flags=0) + continuation(1, GET[2:]),
        seen(),
        *answered(),
    ),
    case(
        "a block in nine frames",
        "RFC 9113, 6.10",
        headers(content=b"", flags=0) + continuation(1, b"", end=False) * 7 + continuation(1, GET),
        seen(),
        *answered(),
    ),
    case(
        "the end of the stream in the first frame of a block",
        "RFC 9113, 6.2",
        headers(content=GET[:1], flags=0) + continuation(1, GET[1:]),
        seen(),
        *answered(),
    ),
    fails(
        "a block in ten frames",
        "CVE-2024-27316",
        headers(content=b"", flags=0) + continuation(1, b"", end=False) * 9,
        "ENHANCE_YOUR_CALM",
    ),
    fails(
        "a block of more than 64 KiB",
        "CVE-2023-45288",
        headers(content=b"\x82" * _FULL, flags=0)
        + continuation(1, b"\x82" * _FULL, end=False) * 3
        + continuation(1, b"\x82"),
        "ENHANCE_YOUR_CALM",
    ),
    # The announced length of a body.
    case(
        "a body of its length",
        _LENGTH,
        _LONG + data(b"abcde", end=True),
        _LONG_SEEN,
        "1 body 5 end",
        *answered(),
    ),
    case(
        "a body whose end follows",
        _LENGTH,
        _LONG + data(b"abcde") + data(b"", end=True),
        _LONG_SEEN,
        "1 body 5",
        "1 body 0 end",
        *answered(),
    ),
    case(
        "an announced length of 0",
        _LENGTH,
        headers(1, POST + block(("content-length", "0"))),
        seen(1, "POST", "/", "content-length=0"),
        *answered(),
    ),
    resets(
        "a longer body",
        _LENGTH,
        _LONG + data(b"abcdef"),
        "PROTOCOL_ERROR",
        _LONG_SEEN,
        "1 reset PROTOCOL_ERROR",
    ),
    resets(
        "a longer body with its end",
        _LENGTH,
        _LONG + data(b"abcdef", end=True),
        "PROTOCOL_ERROR",
        _LONG_SEEN,
        "1 reset PROTOCOL_ERROR",
    ),
    resets(
        "a shorter body",
        _LENGTH,
        _LONG + data(b"abcd", end=True),
        "PROTOCOL_ERROR",
        _LONG_SEEN,
        "1 reset PROTOCOL_ERROR",
    ),
    resets(
        "a shorter body with trailers",
        _LENGTH,
        _LONG + data(b"abcd") + headers(1, b""),
        "PROTOCOL_ERROR",
        _LONG_SEEN,
        "1 body 4",
        "1 reset PROTOCOL_ERROR",
    ),
    resets(
        "no body in spite of the length",
        _LENGTH,
        headers(1, POST + block(("content-length", "5"))),
        "PROTOCOL_ERROR",
    ),
    silent(
        "the padding does not count",
        _LENGTH,
        _LONG + data(b"abcde", end=True, padding=7),
        _LONG_SEEN,
        "1 body 5 end",
    ),
    # Trailers.
    case(
        "trailers",
        _TRAILERS,
        post() + data(b"x") + headers(1, block(("a", "b"))),
        _POSTED,
        "1 body 1",
        "1 trailers a=b",
        *answered(),
    ),
    case(
        "trailers without a body",
        _TRAILERS,
        post() + headers(1, block(("a", "b"))),
        _POSTED,
        "1 trailers a=b",
        *answered(),
    ),
    case("empty trailers", _TRAILERS, post() + headers(1, b""), _POSTED, "1 trailers", *answered()),
    resets(
        "trailers that do not end the stream",
        _TRAILERS,
        post() + headers(1, block(("a", "b")), end=False),
        "PROTOCOL_ERROR",
        _POSTED,
        "1 reset PROTOCOL_ERROR",
    ),
    *(
        resets(
            f"trailers with {name}",
            _TRAILERS,
            post() + headers(1, block((name, value))),
            "PROTOCOL_ERROR",
            _POSTED,
            "1 reset PROTOCOL_ERROR",
        )
        for name, value in (
            (":path", "/"),
            (":status", "200"),
            ("A", "b"),
            ("connection", "x"),
            ("a", "b\n"),
            ("te", "gzip"),
            ("content-length", "0"),
            ("host", "h"),
        )
    ),
    case(
        "100 trailer fields",
        _TRAILERS,
        post() + headers(1, block(*[("a", "b")] * 100)),
        _POSTED,
        "1 trailers " + " ".join(["a=b"] * 100),
        *answered(),
    ),
    *(
        resets(
            f"{count} trailer fields",
            _TRAILERS,
            post() + headers(1, block(*[("a", "b")] * count)),
            "ENHANCE_YOUR_CALM",
            _POSTED,
            "1 reset ENHANCE_YOUR_CALM",
        )
        for count in (101, 106)
    ),
    resets(
        "DATA behind trailers",
        _STATES,
        post() + headers(1, b"") + data(b"x"),
        "STREAM_CLOSED",
        _POSTED,
        "1 trailers",
        "1 reset STREAM_CLOSED",
    ),
    # Windows of the server: what the client may send.
    silent(
        "a full window of a stream",
        _WINDOW,
        post() + _fill(STREAM_WINDOW),
        _POSTED,
        *_filled(STREAM_WINDOW),
        f"1 WINDOW_UPDATE {STREAM_WINDOW // 2}",
        f"1 WINDOW_UPDATE {STREAM_WINDOW // 2}",
    ),
    silent(
        "half of the window of the connection",
        _WINDOW,
        post(1) + post(3) + _fill(STREAM_WINDOW, 1) + _fill(STREAM_WINDOW, 3),
        _POSTED,
        seen(3, "POST", end=False),
        *_filled(STREAM_WINDOW, 1),
        *_filled(STREAM_WINDOW, 3),
        f"0 WINDOW_UPDATE {CONNECTION_WINDOW // 2}",
        *[f"1 WINDOW_UPDATE {STREAM_WINDOW // 2}"] * 2,
        *[f"3 WINDOW_UPDATE {STREAM_WINDOW // 2}"] * 2,
    ),
    resets(
        "a byte beyond the window of a stream",
        "RFC 9113, 6.9.1",
        post() + _fill(STREAM_WINDOW) + data(b"x"),
        "FLOW_CONTROL_ERROR",
        _POSTED,
        *_filled(STREAM_WINDOW),
        "1 reset FLOW_CONTROL_ERROR",
    ),
    resets(
        "padding beyond the window of a stream",
        "RFC 9113, 6.9.1",
        post() + _fill(STREAM_WINDOW - 1) + data(b"", padding=0) * 2,
        "FLOW_CONTROL_ERROR",
        _POSTED,
        *_filled(STREAM_WINDOW - 1),
        "1 reset FLOW_CONTROL_ERROR",
    ),
    case(
        "the window of a stream is renewed",
        _WINDOW,
        (post() + _fill(STREAM_WINDOW), _fill(STREAM_WINDOW) + data(b"", end=True)),
        _POSTED,
        *_filled(STREAM_WINDOW),
        *[f"1 WINDOW_UPDATE {STREAM_WINDOW // 2}"] * 2,
        *_filled(STREAM_WINDOW),
        "1 body 0 end",
        f"0 WINDOW_UPDATE {CONNECTION_WINDOW // 2}",
        "1 HEADERS 200",
        "1 DATA 2 end",
    ),
    # Windows of the client: what the server may send.
    fails("credit of 0 for the connection", _WINDOW, update(0), "PROTOCOL_ERROR"),
    fails(
        "too much credit for the connection",
        "RFC 9113, 6.9.1",
        update(0x7FFFFFFF),
        "FLOW_CONTROL_ERROR",
    ),
    silent(
        "the most credit for the connection",
        "RFC 9113, 6.9.1",
        update(0x7FFFFFFF - 65535) + ping(),
        "0 PING ACK",
    ),
    silent("the reserved bit of credit", _WINDOW, update(0x80000001) + ping(), "0 PING ACK"),
    resets(
        "credit of 0 for a stream",
        _WINDOW,
        headers() + update(0, 1),
        "PROTOCOL_ERROR",
        seen(),
        "1 reset PROTOCOL_ERROR",
    ),
    resets(
        "too much credit for a stream",
        "RFC 9113, 6.9.1",
        headers() + update(0x7FFFFFFF, 1),
        "FLOW_CONTROL_ERROR",
        seen(),
        "1 reset FLOW_CONTROL_ERROR",
    ),
    silent(
        "the most credit for a stream",
        "RFC 9113, 6.9.1",
        headers() + update(0x7FFFFFFF - 65535, 1) + ping(),
        seen(),
        "0 PING ACK",
    ),
    case(
        "no window for a stream",
        _INITIAL,
        settings((4, 0)) + headers(),
        seen(),
        "0 SETTINGS ACK",
        "1 HEADERS 200",
    ),
    case(
        "a window of one byte",
        _INITIAL,
        settings((4, 1)) + headers(),
        seen(),
        "0 SETTINGS ACK",
        "1 HEADERS 200",
        "1 DATA 1",
    ),
    case(
        "credit byte by byte",
        _INITIAL,
        (settings((4, 0)) + headers(), update(1, 1), update(1, 1)),
        seen(),
        "0 SETTINGS ACK",
        "1 HEADERS 200",
        "1 DATA 1",
        "1 DATA 1 end",
    ),
    case(
        "a window that is enlarged for all streams",
        _INITIAL,
        (settings((4, 0)) + headers(1) + headers(3), settings((4, 1))),
        seen(1),
        seen(3),
        "0 SETTINGS ACK",
        "1 HEADERS 200",
        "3 HEADERS 200",
        "0 SETTINGS ACK",
        "1 DATA 1",
        "3 DATA 1",
    ),
    case(
        "a window that becomes negative",
        _INITIAL,
        (settings((4, 1)) + headers(), settings((4, 0)), update(1, 1), update(1, 1)),
        seen(),
        "0 SETTINGS ACK",
        "1 HEADERS 200",
        "1 DATA 1",
        "0 SETTINGS ACK",
        "1 DATA 1 end",
    ),
    fails(
        "an initial window that makes another one too large",
        _INITIAL,
        headers() + update(0x7FFFFFFF - 65535, 1) + settings((4, 65536)),
        "FLOW_CONTROL_ERROR",
        seen(),
        last=1,
    ),
    silent(
        "values of the initial window before the last do not count",
        _INITIAL,
        headers() + update(0x7FFFFFFF - 65535, 1) + settings((4, 65536), (4, 65535)),
        seen(),
        "0 SETTINGS ACK",
    ),
    # Resets that a client provokes are the same, and are counted: see test_attacks.
    resets(
        "PRIORITY of a wrong size on an open stream",
        _MADE,
        headers() + frame(PRIORITY, 0, 1, b"\0" * 4),
        "FRAME_SIZE_ERROR",
        seen(),
        "1 reset FRAME_SIZE_ERROR",
    ),
]
