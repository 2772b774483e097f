"""No bytes of a client make a session raise, or hold more than it may."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from peer import Peer
from raw import connection, heads, streams
from raw.case import GET, HELLO
from rules import check_session, outcome

from conformance.cuts import between
from rocket_wsgi._http2.frames import frame

SENT = [b"".join(case.sent) for case in [*connection.CASES, *streams.CASES, *heads.CASES]]
SMALL = [each for each in SENT if len(each) < 500]

PAYLOADS = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([GET, b"\0\0\0\1", b"\0" * 5, b"\0" * 8, b"\0\4\0\0\0\0", b"\x82" * 200]),
)
FRAMES = st.one_of(
    st.builds(
        frame,
        st.one_of(st.integers(0, 0x10), st.integers(0, 255)),
        st.sampled_from([0, 1, 4, 5, 8, 0x20, 0x2D, 0xFF]),
        st.sampled_from([0, 1, 1, 2, 3, 5, 7, 1 << 31]),
        PAYLOADS,
    ),
    st.sampled_from(SMALL),
)
INPUTS = st.one_of(
    st.binary(max_size=200),
    st.builds(lambda data: HELLO + data, st.binary(max_size=200)),
    st.builds(lambda frames: HELLO + b"".join(frames), st.lists(FRAMES, max_size=12)),
)


@settings(max_examples=400)
@given(INPUTS, st.lists(st.integers(1, 400), max_size=8))
def test_any_bytes(sent: bytes, places: list[int]) -> None:
    results = []
    cuts = sorted(place for place in places if place < len(sent))
    for pieces in ([sent], between(sent, cuts)):
        peer = Peer()
        peer.receive(pieces)
        check_session(peer)
        results.append(outcome(peer))
        peer.answer()
        peer.flush()
        check_session(peer)
    assert results[0] == results[1]


@settings(max_examples=200)
@given(st.lists(st.tuples(FRAMES, st.booleans(), st.floats(0, 40)), max_size=15))
def test_any_frames_while_time_passes(steps: list[tuple[bytes, bool, float]]) -> None:
    peer = Peer()
    peer.receive([HELLO])
    for sent, answers, seconds in steps:
        peer.receive([sent])
        if answers:
            peer.answer(b"x" * 70_000)
            peer.take_output(peer.session.take(20_000, peer.now))
        peer.now += seconds
        for event in peer.session.tick(peer.now):
            peer.take_event(event)
        check_session(peer)
