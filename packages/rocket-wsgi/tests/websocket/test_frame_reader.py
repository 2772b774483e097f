from __future__ import annotations

import os
import zlib
from typing import Any

import pytest
import wsproto.extensions
import wsproto.frame_protocol as reference
from hypothesis import given, settings
from hypothesis import strategies as st

from rocket_wsgi._websocket.encoding import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FIN,
    PING,
    PONG,
    RSV1,
    TEXT,
    encode_message,
)
from rocket_wsgi._websocket.frame_reader import Closing, Event, FrameReader, Ping, Pong
from rocket_wsgi._websocket.masking import unmask

LIMIT = 100_000
KEY = b"\x11\xa2\x03\xf4"


def masked(first: int, payload: bytes, key: bytes = KEY) -> bytes:
    size = len(payload)
    if size < 126:
        head = bytes([first, 0x80 | size])
    elif size < 65536:
        head = bytes([first, 0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([first, 0x80 | 127]) + size.to_bytes(8, "big")
    return head + key + unmask(payload, key)


def packed(payload: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return (packer.compress(payload) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def plain(event: Event) -> object:
    """An event as something that can be compared."""
    if isinstance(event, (str, bytes)):
        return event
    if isinstance(event, (Ping, Pong)):
        return type(event).__name__, event.payload
    if isinstance(event, Closing):
        return "Closing", event.code, event.reason
    return "Failure", event.code


def read(*pieces: bytes, limit: int = LIMIT, compressed: bool = False) -> list[object]:
    reader = FrameReader(limit, compressed=compressed)
    events: list[object] = []
    for piece in pieces:
        reader.feed(piece)
        while (event := reader.next()) is not None:
            events.append(plain(event))
    return events


def failure(*pieces: bytes, limit: int = LIMIT, compressed: bool = False) -> int:
    *_, last = read(*pieces, limit=limit, compressed=compressed)
    assert isinstance(last, tuple)
    assert last[0] == "Failure"
    return int(last[1])


def cut(data: bytes, places: list[int]) -> list[bytes]:
    ends = sorted({place % (len(data) + 1) for place in places} | {len(data)})
    return [data[a:b] for a, b in zip([0, *ends], ends, strict=False)]


def test_messages_of_one_frame() -> None:
    data = masked(FIN | TEXT, "grüß".encode()) + masked(FIN | BINARY, b"\0\xff")
    assert read(data) == ["grüß", b"\0\xff"]


def test_size_of_the_last_message_counts_utf8_and_what_was_inflated() -> None:
    reader = FrameReader(LIMIT, compressed=True)
    reader.feed(masked(FIN | TEXT, "grüß".encode()) + masked(FIN | RSV1 | TEXT, packed(b"a" * 999)))
    assert (reader.next(), reader.size) == ("grüß", 6)
    assert (reader.next(), reader.size) == ("a" * 999, 999)


def test_fragments_with_control_frames_in_between() -> None:
    data = masked(TEXT, b"\xc3") + masked(FIN | PING, b"p") + masked(CONTINUATION, b"\xbc")
    assert read(data + masked(FIN | PONG, b"") + masked(FIN | CONTINUATION, b"")) == [
        ("Ping", b"p"),
        ("Pong", b""),
        "ü",
    ]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_sizes_at_the_bounds_of_the_length_field(size: int) -> None:
    payload = os.urandom(size)
    assert read(masked(FIN | BINARY, payload)) == [payload]


@pytest.mark.parametrize(
    "data",
    [
        bytes([FIN | TEXT, 1]) + b"x",  # not masked
        masked(FIN | 0x3, b""),
        masked(FIN | 0xB, b""),
        masked(FIN | RSV1 | TEXT, b""),
        masked(FIN | 0x20 | TEXT, b""),
        masked(FIN | RSV1 | PING, b""),
        masked(PING, b""),
        masked(FIN | PING, b"x" * 126),
        masked(FIN | CONTINUATION, b""),
        masked(TEXT, b"") + masked(FIN | TEXT, b""),
        masked(FIN | CLOSE, b"\x03"),
        masked(FIN | CLOSE, (1005).to_bytes(2, "big")),
        masked(FIN | CLOSE, (1015).to_bytes(2, "big")),
        masked(FIN | CLOSE, (2999).to_bytes(2, "big")),
        bytes([FIN | TEXT, 0x80 | 126, 0, 125]) + KEY + b"x" * 125,
        bytes([FIN | TEXT, 0x80 | 127, 0, 0, 0, 0, 0, 0, 255, 255]) + KEY,
        bytes([FIN | TEXT, 0x80 | 127, 128, 0, 0, 0, 0, 0, 0, 0]) + KEY,
    ],
)
def test_protocol_errors(data: bytes) -> None:
    assert failure(data) == 1002


def test_continuations_must_not_have_the_flag_of_compression() -> None:
    data = masked(RSV1 | TEXT, b"") + masked(FIN | RSV1 | CONTINUATION, b"")
    assert failure(data, compressed=True) == 1002


def test_text_is_checked_before_the_message_ends() -> None:
    head = masked(FIN | TEXT, b"abc\xff" + b"x" * 1000)
    assert failure(head[:50]) == 1007


@pytest.mark.parametrize(
    "text",
    [b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"],
    ids=["overlong", "surrogate", "beyond", "truncated"],
)
def test_text_that_is_not_utf8(text: bytes) -> None:
    assert failure(masked(FIN | TEXT, text)) == 1007
    assert failure(masked(TEXT, text), masked(FIN | CONTINUATION, b"")) == 1007


def test_nothing_follows_a_failure() -> None:
    data = masked(FIN | TEXT, b"\xff") + masked(FIN | TEXT, b"x")
    assert read(data, masked(FIN | TEXT, b"y")) == [("Failure", 1007)]


def test_reason_of_a_close_that_is_not_utf8() -> None:
    assert failure(masked(FIN | CLOSE, b"\x03\xe8\xff")) == 1007


def test_close_frames() -> None:
    assert read(masked(FIN | CLOSE, b"")) == [("Closing", 1005, "")]
    assert read(masked(FIN | CLOSE, b"\x03\xe8" + "ä".encode())) == [("Closing", 1000, "ä")]


def test_nothing_follows_a_close_frame() -> None:
    data = masked(FIN | CLOSE, b"") + masked(FIN | TEXT, b"x")
    assert read(data, b"\xff" * 99) == [("Closing", 1005, "")]


def test_message_is_too_big_as_soon_as_it_says_so() -> None:
    assert failure(masked(FIN | BINARY, b"x" * 11)[:2], limit=10) == 1009
    data = masked(BINARY, b"x" * 6) + masked(FIN | CONTINUATION, b"x" * 5)[:2]
    assert failure(data, limit=10) == 1009
    assert read(masked(FIN | BINARY, b"x" * 10), limit=10) == [b"x" * 10]


def test_compressed_messages() -> None:
    payload = b"hello " * 100
    data = packed(payload)
    whole = masked(FIN | RSV1 | TEXT, data)
    parts = masked(RSV1 | TEXT, data[:3]) + masked(FIN | CONTINUATION, data[3:])
    assert read(whole + parts, compressed=True) == [payload.decode()] * 2


def test_limit_counts_what_comes_out_of_compression() -> None:
    bomb = masked(FIN | RSV1 | BINARY, packed(b"\0" * 10_000_000))
    assert len(bomb) < 20_000
    assert failure(bomb, compressed=True) == 1009
    exact = masked(FIN | RSV1 | BINARY, packed(b"\0" * LIMIT))
    assert read(exact, compressed=True) == [b"\0" * LIMIT]


def test_data_that_is_not_compressed_correctly() -> None:
    assert failure(masked(FIN | RSV1 | TEXT, b"\xff\xff\xff"), compressed=True) == 1002


def test_final_block_is_the_last_of_a_message() -> None:
    # RFC 7692, section 7.2.3.4, and the same with another message behind the final block.
    final = b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00"
    assert read(masked(FIN | RSV1 | TEXT, final), compressed=True) == ["Hello"]
    twice = final[:-1] + packed(b"again")
    assert failure(masked(FIN | RSV1 | TEXT, twice), compressed=True) == 1002


def test_bytes_behind_an_event_wait_until_it_is_asked_for() -> None:
    reader = FrameReader(LIMIT, compressed=False)
    second = masked(FIN | TEXT, b"two")
    reader.feed(masked(FIN | TEXT, b"one") + second)
    assert reader.next() == "one"
    assert reader.held == len(second)
    assert reader.begun
    assert reader.next() == "two"
    assert not reader.begun


payloads = st.binary(max_size=300) | st.integers(1000, 2000).map(os.urandom)
texts = st.text(max_size=200).map(str.encode)
frames = st.one_of(
    st.builds(masked, st.just(FIN | TEXT), texts | payloads),
    st.builds(masked, st.just(FIN | BINARY), payloads),
    st.builds(masked, st.sampled_from([TEXT, BINARY]), texts),
    st.builds(masked, st.sampled_from([CONTINUATION, FIN | CONTINUATION]), texts),
    st.builds(masked, st.sampled_from([FIN | PING, FIN | PONG]), st.binary(max_size=125)),
    st.builds(masked, st.just(FIN | CLOSE), st.binary(max_size=20)),
    st.builds(masked, st.integers(0, 255), st.binary(max_size=130)),
    st.builds(masked, st.just(FIN | RSV1 | TEXT), texts.map(packed) | st.binary(max_size=30)),
    st.builds(masked, st.just(RSV1 | BINARY), payloads.map(packed)),
)
streams = st.lists(frames, max_size=8).map(b"".join) | st.binary(max_size=60)
cuts = st.lists(st.integers(0, 1 << 16), max_size=12)


@given(streams, cuts, st.booleans())
def test_events_do_not_depend_on_the_pieces(data: bytes, places: list[int], agreed: bool) -> None:
    whole = read(data, limit=500, compressed=agreed)
    pieces = read(*cut(data, places), limit=500, compressed=agreed)
    if agreed and whole and isinstance(whole[-1], tuple) and whole[-1][0] == "Failure":
        # Which of several faults of one compressed message is found first depends on the pieces.
        assert pieces[:-1] == whole[:-1]
        assert isinstance(pieces[-1], tuple)
        assert pieces[-1][0] == "Failure"
    else:
        assert pieces == whole


@given(streams)
def test_events_are_the_same_byte_by_byte(data: bytes) -> None:
    assert read(*[bytes([byte]) for byte in data]) == read(data)


def expected(data: bytes) -> list[object]:
    """What another implementation makes of the bytes; its last event is "failed" if it fails."""
    protocol = reference.FrameProtocol(client=False, extensions=[])
    protocol.receive_bytes(data)
    events: list[object] = []
    parts: list[Any] = []
    try:
        for frame in protocol.received_frames():
            payload: Any = frame.payload
            if frame.opcode is reference.Opcode.CLOSE:
                code, reason = payload
                events.append(("Closing", int(code), reason or ""))
                return events
            if frame.opcode is reference.Opcode.PING:
                events.append(("Ping", bytes(payload)))
            elif frame.opcode is reference.Opcode.PONG:
                events.append(("Pong", bytes(payload)))
            else:
                parts.append(payload)
                if frame.message_finished:
                    events.append(type(parts[0])().join(parts))
                    parts = []
    except (reference.ParseFailed, ValueError):
        events.append("failed")
    return events


def comparable(events: list[object]) -> list[object]:
    return [
        "failed" if isinstance(each, tuple) and each[0] == "Failure" else each for each in events
    ]


@settings(max_examples=300)
@given(st.lists(frames, max_size=8).map(b"".join))
def test_events_are_those_of_another_implementation(data: bytes) -> None:
    ours = comparable(read(data, limit=1 << 30))
    theirs = expected(data)
    assert ours == theirs


messages = st.text(max_size=600) | st.binary(max_size=600) | st.just("abc" * 40_000)


@given(messages, st.booleans())
def test_another_implementation_reads_what_is_encoded(data: str | bytes, agreed: bool) -> None:
    extension = wsproto.extensions.PerMessageDeflate(
        client_no_context_takeover=True, server_no_context_takeover=True
    )
    extension._enabled = True
    protocol = reference.FrameProtocol(client=True, extensions=[extension] if agreed else [])
    protocol.receive_bytes(encode_message(data, compressed=agreed))
    parts: list[Any] = [frame.payload for frame in protocol.received_frames()]
    assert type(data)().join(parts) == data


def test_compression_begins_at_200_bytes_and_only_where_it_helps() -> None:
    assert encode_message("a" * 199, compressed=True)[0] == FIN | TEXT
    assert encode_message("a" * 200, compressed=True)[0] == FIN | RSV1 | TEXT
    assert encode_message("a" * 200, compressed=False)[0] == FIN | TEXT
    assert encode_message(os.urandom(500), compressed=True)[0] == FIN | BINARY


def test_other_types_are_no_messages() -> None:
    with pytest.raises(TypeError, match="int"):
        encode_message(1, compressed=False)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="surrogates"):
        encode_message("\ud800", compressed=False)


@given(st.binary(max_size=3000), st.binary(min_size=4, max_size=4))
def test_masking_is_that_of_the_definition(data: bytes, key: bytes) -> None:
    assert unmask(data, key) == bytes(byte ^ key[i % 4] for i, byte in enumerate(data))
