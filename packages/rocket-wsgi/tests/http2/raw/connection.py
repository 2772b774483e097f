"""The preface, frames in general, and frames about the connection."""

from __future__ import annotations

from raw.case import (
    GET,
    answered,
    case,
    continuation,
    data,
    fails,
    headers,
    number,
    ping,
    post,
    raw,
    reset,
    seen,
    settings,
    silent,
    update,
)
from rocket_wsgi._http2.frames import (
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    PRIORITY_UPDATE,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
)

_PREFACE = "RFC 9113, 3.4"
_SIZE = "RFC 9113, 4.2"
_SETTINGS = "RFC 9113, 6.5"
_VALUES = "RFC 9113, 6.5.2"
_PING = "RFC 9113, 6.7"
_GOAWAY = "RFC 9113, 6.8"
_EXTEND = "RFC 9113, 5.5"
_PUSH = "RFC 9113, 8.4"
_ACK = "0 SETTINGS ACK"
_BYE = "0 GOAWAY 0 NO_ERROR"

CASES = [
    raw("nothing but the preface", _PREFACE, PREFACE),
    raw("preface and settings", _PREFACE, PREFACE + settings(), _ACK),
    *(
        raw(f"instead of the preface: {name}", _PREFACE, sent, "0 GOAWAY 0 PROTOCOL_ERROR")
        for name, sent in (
            ("a request of HTTP/1.1", b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"),
            ("frames", settings() + headers()),
            ("a TLS handshake", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 20),
            ("one of another version", b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n"),
            ("one with another end", PREFACE[:-1] + b"x"),
            ("one in small letters", PREFACE.lower()),
        )
    ),
    *(
        raw(f"first frame: {name}", _PREFACE, PREFACE + sent, "0 GOAWAY 0 PROTOCOL_ERROR")
        for name, sent in (
            ("HEADERS", headers()),
            ("PING", ping()),
            ("WINDOW_UPDATE", update(1)),
            ("an acknowledgement of settings", settings(flags=1)),
            ("GOAWAY", frame(GOAWAY, 0, 0, number(0) * 2)),
            ("an unknown one", frame(0x77, 0, 0, b"")),
        )
    ),
    # Sizes.
    *(
        fails(
            f"payload of 16,385 bytes: type {kind}",
            _SIZE,
            frame(kind, 0, stream, b"\0" * 16385),
            "FRAME_SIZE_ERROR",
        )
        for kind, stream in (
            (0, 1),
            (HEADERS, 1),
            (SETTINGS, 0),
            (PING, 0),
            (GOAWAY, 0),
            (0x9, 1),
            (0x99, 0),
        )
    ),
    silent(
        "payload of 16,384 bytes", _SIZE, frame(0x99, 0, 0, b"\0" * 16384) + ping(), "0 PING ACK"
    ),
    fails(
        "the size alone is too large",
        _SIZE,
        b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
        "FRAME_SIZE_ERROR",
    ),
    # Types, flags and the reserved bit.
    *(
        silent(
            f"unknown type {kind:#x} on stream {stream}",
            _EXTEND,
            frame(kind, 0xFF, stream, b"anything") + ping(),
            "0 PING ACK",
        )
        for kind, stream in ((0xA, 0), (0xC, 0), (0xF, 1), (0x11, 0), (0x42, 8), (0xFF, 99))
    ),
    case("unknown flags", "RFC 9113, 4.1", headers(flags=0x4 | 0xD2), seen(), *answered()),
    silent("PING with unknown flags", "RFC 9113, 4.1", ping(flags=0xFE), "0 PING ACK"),
    case(
        "reserved bit of the stream",
        "RFC 9113, 4.1",
        frame(HEADERS, 5, 0x8000_0001, GET),
        seen(),
        *answered(),
    ),
    silent(
        "reserved bit of stream 0",
        "RFC 9113, 4.1",
        frame(PING, 0, 1 << 31, b"12345678"),
        "0 PING ACK",
    ),
    fails(
        "unknown type within a field block",
        _EXTEND,
        headers(flags=0) + frame(0x99, 0, 0, b""),
        "PROTOCOL_ERROR",
    ),
    # SETTINGS.
    silent("settings", _SETTINGS, settings((3, 5), (6, 100)), _ACK),
    silent("empty settings", _SETTINGS, settings(), _ACK),
    silent("acknowledgement", _SETTINGS, settings(flags=1) + ping(), "0 PING ACK"),
    silent("two settings frames", _SETTINGS, settings() * 2, _ACK, _ACK),
    fails("settings on a stream", _SETTINGS, settings(stream=1), "PROTOCOL_ERROR"),
    fails("acknowledgement on a stream", _SETTINGS, settings(flags=1, stream=1), "PROTOCOL_ERROR"),
    fails(
        "acknowledgement with settings", _SETTINGS, settings((3, 1), flags=1), "FRAME_SIZE_ERROR"
    ),
    *(
        fails(
            f"settings of {size} bytes",
            _SETTINGS,
            frame(SETTINGS, 0, 0, b"\0" * size),
            "FRAME_SIZE_ERROR",
        )
        for size in (1, 5, 7, 13)
    ),
    *(
        silent(f"setting {key:#x} = {value}", _VALUES, settings((key, value)), _ACK)
        for key, value in (
            (1, 0),
            (1, 4096),
            (1, 0xFFFFFFFF),
            (2, 0),
            (2, 1),
            (3, 0),
            (3, 0xFFFFFFFF),
            (4, 0),
            (4, 0x7FFFFFFF),
            (5, 16384),
            (5, 16777215),
            (6, 0),
            (6, 0xFFFFFFFF),
        )
    ),
    *(
        fails(f"setting {key:#x} = {value}", _VALUES, settings((key, value)), code)
        for key, value, code in (
            (2, 2, "PROTOCOL_ERROR"),
            (2, 0xFFFFFFFF, "PROTOCOL_ERROR"),
            (4, 0x80000000, "FLOW_CONTROL_ERROR"),
            (4, 0xFFFFFFFF, "FLOW_CONTROL_ERROR"),
            (5, 0, "PROTOCOL_ERROR"),
            (5, 16383, "PROTOCOL_ERROR"),
            (5, 16777216, "PROTOCOL_ERROR"),
        )
    ),
    *(
        silent(f"unknown setting {key:#x}", _VALUES, settings((key, 0xFFFFFFFF)), _ACK)
        for key in (0x0, 0x7, 0xA, 0xF000, 0xFFFF)
    ),
    silent("connect protocol of a client", "RFC 8441, 3", settings((8, 1)), _ACK),
    fails("connect protocol = 2", "RFC 8441, 3", settings((8, 2)), "PROTOCOL_ERROR"),
    raw("no RFC 7540 priorities", "RFC 9218, 2.1", PREFACE + settings((9, 1)), _ACK),
    raw(
        "no RFC 7540 priorities, said twice",
        "RFC 9218, 2.1",
        PREFACE + settings((9, 1)) + settings((9, 1)),
        _ACK,
        _ACK,
    ),
    silent("RFC 7540 priorities, said later", "RFC 9218, 2.1", settings((9, 0)), _ACK),
    fails("no RFC 7540 priorities = 2", "RFC 9218, 2.1", settings((9, 2)), "PROTOCOL_ERROR"),
    fails(
        "no RFC 7540 priorities, said later", "RFC 9218, 2.1", settings((9, 1)), "PROTOCOL_ERROR"
    ),
    raw(
        "no RFC 7540 priorities, changed",
        "RFC 9218, 2.1",
        PREFACE + settings((9, 1)) + settings((9, 0)),
        _ACK,
        "0 GOAWAY 0 PROTOCOL_ERROR",
    ),
    # PING.
    silent("ping", _PING, ping(), "0 PING ACK"),
    silent("answer to a ping that was not sent", _PING, ping(flags=1) + ping(), "0 PING ACK"),
    fails("ping on a stream", _PING, ping(stream=1), "PROTOCOL_ERROR"),
    *(
        fails(f"ping of {size} bytes", _PING, ping(b"x" * size), "FRAME_SIZE_ERROR")
        for size in (0, 7, 9)
    ),
    fails("answer of 6 bytes", _PING, ping(b"x" * 6, flags=1), "FRAME_SIZE_ERROR"),
    # GOAWAY.
    silent("goaway", _GOAWAY, frame(GOAWAY, 0, 0, number(0) * 2), _BYE),
    silent(
        "goaway with an error", _GOAWAY, frame(GOAWAY, 0, 0, number(0) + number(2) + b"why"), _BYE
    ),
    silent(
        "goaway with an unknown error", _GOAWAY, frame(GOAWAY, 0, 0, number(0) + b"\xff" * 4), _BYE
    ),
    case(
        "goaway behind a request",
        _GOAWAY,
        headers() + frame(GOAWAY, 0, 0, number(0) * 2),
        seen(),
        "0 GOAWAY 1 NO_ERROR",
        *answered(),
    ),
    case("goaway before a request", _GOAWAY, frame(GOAWAY, 0, 0, number(0) * 2) + headers(), _BYE),
    silent(
        "goaway before an error",
        _GOAWAY,
        frame(GOAWAY, 0, 0, number(0) * 2) + headers(1, b"\x80"),
        _BYE,
    ),
    case(
        "goaway between two requests",
        _GOAWAY,
        post() + frame(GOAWAY, 0, 0, number(0) * 2) + headers(3) + data(b"x", end=True),
        seen(1, "POST", end=False),
        "1 body 1 end",
        "0 GOAWAY 1 NO_ERROR",
        *answered(),
    ),
    fails("goaway on a stream", _GOAWAY, frame(GOAWAY, 0, 1, number(0) * 2), "PROTOCOL_ERROR"),
    fails("goaway of 7 bytes", _GOAWAY, frame(GOAWAY, 0, 0, b"\0" * 7), "FRAME_SIZE_ERROR"),
    # PUSH_PROMISE.
    *(
        fails(
            f"push promise on stream {stream}",
            _PUSH,
            frame(PUSH_PROMISE, 4, stream, number(2) + GET),
            "PROTOCOL_ERROR",
        )
        for stream in (0, 1, 2)
    ),
    fails(
        "push promise on an open stream",
        _PUSH,
        post() + frame(PUSH_PROMISE, 4, 1, number(2) + GET),
        "PROTOCOL_ERROR",
        seen(1, "POST", end=False),
        last=1,
    ),
    # Field blocks that are not continued.
    *(
        fails(
            f"within a field block: {name}",
            "RFC 9113, 4.3",
            headers(flags=0) + sent,
            "PROTOCOL_ERROR",
        )
        for name, sent in (
            ("DATA", data(b"x")),
            ("HEADERS", headers()),
            ("HEADERS of another stream", headers(3)),
            ("PRIORITY", frame(PRIORITY, 0, 1, b"\0" * 5)),
            ("RST_STREAM", reset()),
            ("SETTINGS", settings()),
            ("PING", ping()),
            ("GOAWAY", frame(GOAWAY, 0, 0, number(0) * 2)),
            ("WINDOW_UPDATE", update(1)),
            ("PRIORITY_UPDATE", frame(PRIORITY_UPDATE, 0, 0, number(1) + b"u=1")),
            ("CONTINUATION of another stream", continuation(3, b"")),
            ("CONTINUATION of stream 0", continuation(0, b"")),
        )
    ),
    # Streams of frames.
    *(
        fails(f"{name} without a stream", source, sent, "PROTOCOL_ERROR")
        for name, source, sent in (
            ("DATA", "RFC 9113, 6.1", data(b"x", 0)),
            ("HEADERS", "RFC 9113, 6.2", headers(0)),
            ("PRIORITY", "RFC 9113, 6.3", frame(PRIORITY, 0, 0, b"\0" * 5)),
            ("RST_STREAM", "RFC 9113, 6.4", reset(0)),
            ("CONTINUATION", "RFC 9113, 6.10", continuation(0, GET)),
        )
    ),
    fails("CONTINUATION behind nothing", "RFC 9113, 6.10", continuation(1, GET), "PROTOCOL_ERROR"),
    fails(
        "CONTINUATION behind a whole block",
        "RFC 9113, 6.10",
        headers() + continuation(1, b""),
        "PROTOCOL_ERROR",
        seen(),
        last=1,
    ),
    fails(
        "CONTINUATION behind DATA",
        "RFC 9113, 6.10",
        post() + data(b"x") + continuation(1, b""),
        "PROTOCOL_ERROR",
        seen(1, "POST", end=False),
        "1 body 1",
        last=1,
    ),
    # Priorities.
    *(
        fails(
            f"PRIORITY of {size} bytes before the stream",
            "RFC 9113, 6.3",
            frame(PRIORITY, 0, 1, b"\0" * size),
            "FRAME_SIZE_ERROR",
        )
        for size in (0, 4, 6)
    ),
    silent(
        "PRIORITY before the stream",
        "RFC 9113, 6.3",
        frame(PRIORITY, 0, 1, b"\0" * 5) + headers(),
        seen(),
    ),
    silent(
        "PRIORITY of a stream that depends on itself",
        "RFC 9113, 5.3.2",
        frame(PRIORITY, 0, 1, number(1) + b"\0") + ping(),
        "0 PING ACK",
    ),
    silent(
        "PRIORITY of an even stream",
        "RFC 9113, 6.3",
        frame(PRIORITY, 0, 2, b"\0" * 5) + ping(),
        "0 PING ACK",
    ),
    *(
        silent(
            f"priority update: {value!r}",
            "RFC 9218, 7.1",
            frame(PRIORITY_UPDATE, 0, 0, number(1) + value) + ping(),
            "0 PING ACK",
        )
        for value in (b"", b"u=0", b"u=7, i", b"i=?0", b"u=9", b"nonsense!", b"\xff\x00")
    ),
    silent(
        "priority update of an open stream",
        "RFC 9218, 7.1",
        headers() + frame(PRIORITY_UPDATE, 0, 0, number(1) + b"u=0"),
        seen(),
        "1 urgency 0",
    ),
    fails(
        "priority update on a stream",
        "RFC 9218, 7.1",
        frame(PRIORITY_UPDATE, 0, 1, number(1) + b"u=0"),
        "PROTOCOL_ERROR",
    ),
    fails(
        "priority update of stream 0",
        "RFC 9218, 7.1",
        frame(PRIORITY_UPDATE, 0, 0, number(0) + b"u=0"),
        "PROTOCOL_ERROR",
    ),
    fails(
        "priority update of a pushed stream",
        "RFC 9218, 7.1",
        frame(PRIORITY_UPDATE, 0, 0, number(2) + b"u=0"),
        "PROTOCOL_ERROR",
    ),
    fails(
        "priority update of 3 bytes",
        "RFC 9218, 7.1",
        frame(PRIORITY_UPDATE, 0, 0, b"\0\0\1"),
        "FRAME_SIZE_ERROR",
    ),
    # Wrong sizes.
    *(
        fails(
            f"RST_STREAM of {size} bytes",
            "RFC 9113, 6.4",
            headers() + frame(RST_STREAM, 0, 1, b"\0" * size),
            "FRAME_SIZE_ERROR",
            seen(),
            last=1,
        )
        for size in (0, 3, 5)
    ),
    *(
        fails(
            f"WINDOW_UPDATE of {size} bytes on stream {stream}",
            "RFC 9113, 6.9",
            headers() + frame(WINDOW_UPDATE, 0, stream, b"\1" * size),
            "FRAME_SIZE_ERROR",
            seen(),
            last=1,
        )
        for size in (0, 3, 5)
        for stream in (0, 1)
    ),
]
