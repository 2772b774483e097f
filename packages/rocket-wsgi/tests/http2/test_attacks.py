"""Attacks on a session: each ends with the right error, at a bounded cost in memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import pytest
from attacks import FLOODS, MADE
from hpacksupport import indexed, literal
from peer import Peer
from raw.case import (
    GET,
    HELLO,
    POST,
    block,
    continuation,
    data,
    headers,
    number,
    ping,
    post,
    reset,
    settings,
    update,
)

from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.frames import DATA, GOAWAY, WINDOW_UPDATE
from rocket_wsgi._http2.hpack_encoder import encode_once
from rocket_wsgi._http2.limits import (
    CONNECTION_WINDOW,
    MAX_CONTROL,
    MAX_IDLE_FRAMES,
    MAX_RESETS,
    MAX_STREAMS,
)
from rocket_wsgi._http2.session import Session
from rocket_wsgi._http2.session_state import SessionState

MEMORY = 300_000
"""The bytes that a session may take meanwhile."""


def begin() -> Peer:
    peer = Peer()
    peer.receive([HELLO])
    peer.flush()
    peer.lines.clear()
    return peer


def state(session: Session) -> SessionState:
    return session.state


def attack(
    frames: Iterator[bytes], *, answers: bool = False, takes: bool = True, seconds: float = 0.0
) -> tuple[Peer, int]:
    """Send frames, until the session has ended; return how many it took.

    ``answers`` says that the application answers at once, ``takes`` that the client takes what is
    sent, and ``seconds`` pass between two frames.
    """
    peer = begin()
    count = 0
    tracemalloc.start()
    try:
        for each in frames:
            count += 1
            peer.now += seconds
            peer.receive([each])
            if answers:
                peer.answer()
            if takes:
                peer.flush()
            if state(peer.session) is SessionState.CLOSED:
                break
            peer.forget()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < MEMORY
    return peer, count


def odd(count: int) -> Iterator[int]:
    return iter(range(1, 2 * count, 2))


def calmed(peer: Peer) -> bool:
    return peer.session.failure is ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("answers", [False, True], ids=["the application works", "it is quick"])
def test_rapid_reset(answers: bool) -> None:  # CVE-2023-44487
    frames = (headers(stream) + reset(stream) for stream in odd(100_000))
    peer, count = attack(frames, answers=answers)
    assert calmed(peer)
    assert count <= MAX_RESETS + 1
    assert peer.session.requests <= MAX_RESETS + 1
    assert peer.session.receive(headers(999_999) * 1000, peer.now) == []


def test_resets_beyond_the_slots_are_refused_while_the_application_works() -> None:
    peer = begin()
    for stream in odd(MAX_STREAMS):
        peer.receive([headers(stream), reset(stream)])
    peer.lines.clear()
    peer.receive([headers(2 * MAX_STREAMS + 1)])
    peer.flush()
    assert peer.lines == [f"{2 * MAX_STREAMS + 1} RST_STREAM REFUSED_STREAM"]
    peer.answer()
    assert peer.session.streams == 0
    peer.lines.clear()
    peer.receive([headers(2 * MAX_STREAMS + 3)])
    assert peer.lines == [f"{2 * MAX_STREAMS + 3} request GET https://h/ end"]


def test_a_slow_client_may_reset_for_ever() -> None:
    frames = (headers(stream) + reset(stream) for stream in odd(5000))
    peer, count = attack(frames, answers=True, seconds=0.05)
    assert count == 5000
    assert state(peer.session) is SessionState.OPEN


@pytest.mark.parametrize("kind", MADE)
@pytest.mark.parametrize("answers", [False, True], ids=["the application works", "it is quick"])
def test_made_you_reset(kind: str, answers: bool) -> None:  # CVE-2025-8671
    make: Callable[[int], bytes] = MADE[kind]
    peer, count = attack((make(stream) for stream in odd(100_000)), answers=answers)
    # On a stream that is refused, a frame of a wrong size is an error of the connection.
    assert calmed(peer) or peer.lines[-1].endswith("FRAME_SIZE_ERROR")
    assert count <= MAX_RESETS + 1


def test_refused_streams_count() -> None:
    peer, count = attack(headers(stream) for stream in odd(100_000))
    assert calmed(peer)
    assert count == MAX_STREAMS + MAX_RESETS + 1


@pytest.mark.parametrize("size", [0, 1, 16_000])
def test_continuation_flood(size: int) -> None:  # CVE-2024-27316
    def flood() -> Iterator[bytes]:
        yield headers(1, b"", flags=0)
        while True:
            yield continuation(1, b"\x82" * size, end=False)

    peer, count = attack(flood())
    assert calmed(peer)
    assert count <= 10


def test_hpack_bombs() -> None:  # CVE-2016-6581
    def bombs() -> Iterator[bytes]:
        yield headers(1, GET + literal(b"a", b"b" * 4000, kind=0x40))
        for stream in range(3, 100_000, 2):
            yield headers(stream, GET + indexed(62) * 16_000)

    peer, count = attack(bombs(), answers=True)
    assert calmed(peer)
    assert count <= MAX_RESETS + 2


@pytest.mark.parametrize("kind", FLOODS)
@pytest.mark.parametrize("takes", [True, False], ids=["the client reads", "it does not"])
def test_floods(kind: str, takes: bool) -> None:
    def flood() -> Iterator[bytes]:
        yield post(1) + headers(3, block(("A", "b")))
        for _ in range(100_000):
            yield FLOODS[kind]

    peer, count = attack(flood(), takes=takes)
    assert calmed(peer)
    assert count <= MAX_IDLE_FRAMES + 2
    if takes:
        assert peer.lines[-1].endswith("ENHANCE_YOUR_CALM")
    else:
        output = peer.session.take(1 << 30, peer.now)
        assert len(output) <= MAX_CONTROL + 1000
        assert GOAWAY in _kinds(output)


def _kinds(output: bytes) -> set[int]:
    kinds = set()
    while output:
        kinds.add(output[3])
        output = output[9 + int.from_bytes(output[:3], "big") :]
    return kinds


@pytest.mark.parametrize("kind", ["PING", "SETTINGS", "PRIORITY", "unknown types"])
def test_some_frames_in_a_second_are_no_flood(kind: str) -> None:
    peer, count = attack(iter([FLOODS[kind]] * 5000), seconds=0.02)
    assert count == 5000
    assert state(peer.session) is SessionState.OPEN


def test_settings_with_many_entries_count_as_several_frames() -> None:
    peer, count = attack(iter([settings(*[(4, 1), (4, 2)] * 1300)] * 1000))
    assert calmed(peer)
    assert count <= MAX_IDLE_FRAMES * 32 // 2600 + 1


def test_frames_behind_a_last_goaway_count() -> None:
    peer = begin()
    peer.receive([headers(1)])
    peer.session.drain(peer.now)
    peer.receive([ping(b"draining", flags=1)])
    assert state(peer.session) is SessionState.LEAVING
    for stream in range(3, 5000, 2):
        peer.receive([headers(stream)])
    assert calmed(peer)
    assert peer.session.requests == 1


def test_credit_that_was_earned_does_not_count() -> None:
    peer = begin()
    peer.receive([update(0x7FFFFFFF - 65535), settings((4, 0))])
    stream = 1
    for _ in range(100):
        peer.receive([headers(stream)])
        peer.answer(b"x" * 65_536)
        for _ in range(64):  # one for each KiB, for the stream alone
            peer.receive([update(1024, stream)])
            peer.flush()
        stream += 2
        peer.lines.clear()
    assert state(peer.session) is SessionState.OPEN


def test_credit_for_each_small_response_is_no_flood() -> None:
    """HAProxy gives it after each DATA frame: to the connection, and to a stream that has ended."""
    peer = begin()
    for stream in odd(5000):
        peer.receive([headers(stream)])
        peer.answer(b"x" * 100)
        peer.flush()
        peer.receive([update(100, stream) + update(100)])
        peer.forget()
    assert state(peer.session) is SessionState.OPEN


def test_credit_for_each_small_part_is_no_flood() -> None:
    """As of an event stream."""
    peer = begin()
    peer.session.receive(headers(1), peer.now)
    peer.session.respond(1, encode_once(":status", "200"), b"", peer.now, end=False)
    for _ in range(5000):
        peer.session.send(1, b"x" * 100, peer.now)
        assert peer.session.take(1 << 16, peer.now)
        peer.receive([update(100, 1) + update(100)])
    assert state(peer.session) is SessionState.OPEN


def test_windows_of_one_byte_are_a_flood() -> None:  # CVE-2019-9517
    def drip() -> Iterator[bytes]:
        yield settings((4, 1)) + headers(1)
        while True:
            yield update(1, 1)

    peer = begin()
    count = 0
    for each in drip():
        peer.receive([each])
        peer.answer(b"x" * 100_000)
        peer.flush()
        count += 1
        if state(peer.session) is SessionState.CLOSED:
            break
    assert calmed(peer)
    assert count < MAX_IDLE_FRAMES + 100


def test_no_window_under_a_hundred_large_responses() -> None:  # CVE-2019-9511
    peer = begin()
    peer.receive([settings((4, 0)), *(headers(stream) for stream in odd(100))])
    peer.answer(b"x" * 200_000)
    peer.flush()
    assert peer.session.pending == 100 * 200_000
    assert peer.session.streams == 100
    peer.now = peer.session.deadline
    events = peer.session.tick(peer.now)
    assert calmed(peer)
    assert peer.session.pending == 0
    assert events == []  # the application is done


def test_a_window_of_the_connection_that_stays_closed() -> None:
    peer = begin()
    peer.receive([settings((4, 1 << 20)), headers(1), headers(3)])
    peer.answer(b"x" * 200_000)
    peer.flush()
    assert sum(map(len, peer.sent.values())) == 65_535
    peer.now += 20
    peer.receive([update(1)])
    peer.flush()
    peer.now = peer.session.deadline
    peer.session.tick(peer.now)
    assert calmed(peer)


def test_slow_bodies_on_a_hundred_streams() -> None:
    peer = begin()
    for stream in odd(100):
        peer.receive([post(stream)])
    for _ in range(100):
        if state(peer.session) is SessionState.CLOSED:
            break
        peer.now = min(peer.session.deadline, peer.now + 10)
        for event in peer.session.tick(peer.now):
            peer.take_event(event)
        peer.receive([data(b"x", stream) for stream in odd(100)])
    assert calmed(peer)
    assert "1 late" in peer.lines


def test_bodies_that_are_sent_at_the_rate_are_not_too_slow() -> None:
    peer = begin()
    for stream in odd(100):
        peer.receive([post(stream)])
    for _ in range(100):
        peer.now += 10
        assert peer.session.deadline > peer.now
        peer.receive([data(b"x" * 2500, stream) for stream in odd(100)])
        peer.flush()
    assert state(peer.session) is SessionState.OPEN


def test_bodies_for_which_there_is_no_credit_are_not_too_slow() -> None:
    peer = begin()
    peer.session.receive(post(1), peer.now)
    for _ in range(16):
        peer.session.receive(data(b"x" * 16_384), peer.now)
    peer.now += 1000
    peer.session.tick(peer.now)
    assert peer.session.is_open(1)
    peer.session.credit(1, 1 << 18, peer.now)
    assert peer.session.deadline >= peer.now + 29
    assert b"\0\0\4\x08\0" in peer.session.take(1000, peer.now)


def test_a_body_of_one_stream_that_is_not_read_stalls_no_other() -> None:
    peer = begin()
    read = 0
    for stream in odd(20):
        peer.session.receive(post(stream), peer.now)
        for _ in range(16):
            for event in peer.session.receive(data(b"x" * 16_384, stream), peer.now):
                read += len(event.data)  # type: ignore[union-attr]
    assert read == 20 << 18 > CONNECTION_WINDOW
    assert peer.session.held == 20 << 18
    assert WINDOW_UPDATE in _kinds(peer.session.take(1 << 20, peer.now))
    assert peer.session.is_open(1)


def test_acknowledgements_that_the_client_does_not_take() -> None:
    peer = begin()
    count = 0
    while state(peer.session) is not SessionState.CLOSED:
        peer.now += 1  # the number of frames is no flood
        peer.receive([ping()])
        count += 1
    assert calmed(peer)
    assert count == MAX_CONTROL // 17 + 1


def test_a_large_frame_is_refused_by_its_head() -> None:
    peer = begin()
    peer.receive([b"\xff\xff\xff" + bytes([DATA, 0]) + number(1)])
    assert peer.session.failure is ErrorCode.FRAME_SIZE_ERROR


def test_bodies_are_not_kept() -> None:
    def upload() -> Iterator[bytes]:
        yield headers(1, POST, end=False)
        for _ in range(1000):
            yield data(b"x" * 16_000)

    peer = begin()
    tracemalloc.start()
    for each in upload():
        for event in peer.session.receive(each, peer.now):
            if hasattr(event, "data"):
                peer.session.credit(1, len(event.data), peer.now)
        peer.session.take(1 << 20, peer.now)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < MEMORY
    assert peer.session.held == 0
