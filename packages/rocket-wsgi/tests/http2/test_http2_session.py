"""What a session does by the wish of its caller, or as time goes by."""

from __future__ import annotations

import sys
from math import inf

import pytest
from peer import TIMEOUTS, Peer, split_frames
from raw.case import (
    GET,
    HELLO,
    POST,
    answered,
    block,
    continuation,
    data,
    headers,
    number,
    ping,
    post,
    reset,
    seen,
    settings,
    update,
)

from rocket_core import Timeouts
from rocket_wsgi._http2.client_settings import GREETING
from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.frames import GOAWAY, MAX_FRAME, PING, PREFACE, PRIORITY_UPDATE, frame
from rocket_wsgi._http2.hpack_encoder import encode_fields, encode_response
from rocket_wsgi._http2.limits import (
    CONNECTION_WINDOW,
    MAX_CLOSED,
    MAX_REQUESTS,
    MAX_STREAMS,
    STALL_TIMEOUT,
    STREAM_WINDOW,
)
from rocket_wsgi._http2.session import Session, stream_timeouts
from rocket_wsgi._http2.session_state import TRANSITIONS as SESSIONS
from rocket_wsgi._http2.session_state import SessionState
from rocket_wsgi._http2.stream_state import TRANSITIONS as STREAMS
from rocket_wsgi._http2.stream_state import StreamState, StreamStep

DRAIN_PING = frame(PING, 1, 0, b"draining")
OK = encode_response(200, [])


def begin(*parts: bytes) -> Peer:
    peer = Peer()
    peer.receive([HELLO])
    peer.flush()
    peer.lines.clear()
    peer.receive(parts)
    return peer


def state(peer: Peer) -> SessionState:
    return peer.session.state


def lines(peer: Peer, limit: int = 1 << 30) -> list[str]:
    """Take the output; return all that has happened since the last time."""
    peer.flush(limit)
    found = peer.lines[:]
    peer.lines.clear()
    return found


# The greeting.


def test_server_says_what_it_allows() -> None:
    session = Session(0.0, TIMEOUTS)
    sent = session.take(1, 0.0)
    assert sent == GREETING
    (kind, _, _, payload), (_, _, stream, credit) = split_frames(sent)
    assert kind == 4
    values = {payload[at + 1]: payload[at + 2 : at + 6] for at in range(0, len(payload), 6)}
    assert values == {
        3: number(MAX_STREAMS),
        4: number(STREAM_WINDOW),
        6: number(65_536),
        8: number(1),
        9: number(1),
    }
    assert (stream, credit) == (0, number(CONNECTION_WINDOW - 65_535))


def test_preface_has_ten_seconds() -> None:
    for sent in (b"", PREFACE[:10], PREFACE):
        session = Session(5.0, TIMEOUTS)
        session.receive(sent, 6.0)
        assert session.deadline == 15.0
        session.tick(14.9)
        assert session.state in {SessionState.PREFACE, SessionState.GREETED}
        session.tick(15.0)
        assert (session.state, session.failure) == (
            SessionState.CLOSED,
            ErrorCode.SETTINGS_TIMEOUT,
        )
        assert session.deadline == inf


def test_idle_connection_ends() -> None:
    peer = begin(headers())
    peer.now += 10
    peer.answer()
    assert lines(peer) == [seen(), *answered()]
    assert peer.session.deadline == peer.now + TIMEOUTS.keep_alive
    peer.now += TIMEOUTS.keep_alive
    peer.session.tick(peer.now)
    assert lines(peer) == ["0 GOAWAY 1 NO_ERROR"]
    assert state(peer) is SessionState.CLOSED
    assert peer.session.reason == ""


def test_connection_with_a_request_is_not_idle() -> None:
    peer = begin(headers())
    assert peer.session.deadline == inf
    peer.session.tick(peer.now + 1e6)
    assert state(peer) is SessionState.OPEN


# The end.


def test_drain_serves_what_is_on_its_way() -> None:
    peer = begin(headers())
    peer.session.drain(peer.now)
    peer.session.drain(peer.now)
    assert lines(peer) == [seen(), f"0 GOAWAY {(1 << 31) - 1} NO_ERROR", "0 PING"]
    peer.receive([headers(3), DRAIN_PING, headers(5)])
    assert lines(peer) == [seen(3), "0 GOAWAY 3 NO_ERROR"]
    peer.receive([data(b"x", 5), update(1, 5), reset(5)])
    peer.answer()
    assert lines(peer) == [*answered(1), *answered(3)]
    assert state(peer) is SessionState.CLOSED
    assert peer.session.failure is ErrorCode.NO_ERROR


def test_drain_waits_a_second_for_the_answer() -> None:
    peer = begin(headers())
    peer.session.drain(peer.now)
    lines(peer)
    assert peer.session.deadline == peer.now + 1.0
    peer.session.tick(peer.now + 0.9)
    assert lines(peer) == []
    peer.session.tick(peer.now + 1.0)
    assert lines(peer) == ["0 GOAWAY 1 NO_ERROR"]
    assert state(peer) is SessionState.LEAVING
    peer.receive([DRAIN_PING])
    assert lines(peer) == []


def test_another_ping_does_not_end_a_drain() -> None:
    peer = begin()
    peer.session.drain(peer.now)
    peer.receive([ping(flags=1)])
    assert state(peer) is SessionState.DRAINING


def test_drain_without_requests() -> None:
    peer = begin()
    peer.session.drain(peer.now)
    peer.receive([DRAIN_PING])
    assert lines(peer)[-1] == "0 GOAWAY 0 NO_ERROR"
    assert state(peer) is SessionState.CLOSED


def test_drain_before_the_client_has_greeted() -> None:
    session = Session(0.0, TIMEOUTS)
    session.drain(0.0)
    assert session.state is SessionState.CLOSED
    assert session.take(1000, 0.0)[len(GREETING) + 3] == GOAWAY


def test_after_many_requests_the_connection_ends() -> None:
    peer = begin()
    for stream in range(1, 2 * MAX_REQUESTS, 2):
        assert state(peer) is SessionState.OPEN
        peer.session.receive(headers(stream), 0.0)
        peer.session.respond(stream, OK, b"", 0.0, end=True)
        peer.session.release(stream, 0.0)
        peer.session.take(1 << 20, 0.0)
    assert state(peer) is SessionState.DRAINING


def test_client_is_gone() -> None:
    peer = begin(headers(), post(3), headers(5))
    peer.session.respond(5, OK, b"x" * 100_000, peer.now, end=True)
    peer.session.gone()
    assert peer.session.pending == peer.session.stream_pending(5) == 0
    assert state(peer) is SessionState.CLOSED
    assert not peer.session.waits
    assert not peer.session.is_open(1)
    assert not peer.session.respond(1, OK, b"", 0.0, end=True)
    assert not peer.session.inform(1, OK)
    assert not peer.session.send(1, b"x", 0.0)
    assert not peer.session.finish(1)
    peer.session.reset(1, ErrorCode.CANCEL)
    peer.session.credit(3, 1, 0.0)
    peer.session.drain(0.0)
    peer.session.fail(ErrorCode.INTERNAL_ERROR, "late")
    for stream in (1, 3, 5):
        peer.session.release(stream, 0.0)
    assert peer.session.streams == 0
    assert peer.session.take(1000, 0.0) == b""


def test_failure_drops_responses_and_tells_why() -> None:
    peer = begin(headers(), headers(3))
    peer.session.respond(1, OK, b"x" * 100_000, peer.now, end=True)
    peer.session.fail(ErrorCode.INTERNAL_ERROR, "a fault")
    assert peer.session.pending == peer.session.stream_pending(1) == 0
    output = peer.session.take(1 << 20, peer.now)
    ((kind, _, _, payload),) = split_frames(output)
    assert (kind, payload) == (GOAWAY, number(3) + number(2) + b"a fault")
    assert peer.session.reason == "a fault"
    for stream in (1, 3):
        peer.session.release(stream, peer.now)
    assert not peer.session.waits


# Responses.


def test_response_in_parts() -> None:
    peer = begin(headers())
    session = peer.session
    assert session.inform(1, encode_response(103, [("Link", "</a>")]))
    assert not session.send(1, b"early", peer.now)
    assert not session.finish(1)
    assert session.respond(1, OK, b"a", peer.now, end=False)
    assert not session.respond(1, OK, b"", peer.now, end=False)
    assert not session.inform(1, OK)
    assert session.send(1, b"bc", peer.now)
    assert session.send(1, b"", peer.now)
    assert lines(peer) == [seen(), "1 HEADERS 103", "1 HEADERS 200", "1 DATA 3"]
    assert session.send(1, b"d", peer.now)
    assert session.finish(1)
    assert not session.finish(1)
    assert not session.send(1, b"late", peer.now)
    assert lines(peer) == ["1 DATA 1 end"]
    assert peer.sent[1] == b"abcd"


def test_end_without_a_body() -> None:
    peer = begin(*(headers(stream) for stream in (1, 3, 5, 7)))
    session = peer.session
    session.respond(1, OK, b"", peer.now, end=True)
    session.respond(3, OK, b"", peer.now, end=False)
    session.finish(3)
    session.respond(5, OK, b"", peer.now, end=False)
    session.finish(5, encode_fields([("X-Sum", "1")]))
    session.respond(7, OK, b"x", peer.now, end=False)
    assert lines(peer)[4:] == [
        "1 HEADERS 200 end",
        "3 HEADERS 200 end",
        "5 HEADERS 200",
        "5 HEADERS trailers end",
        "7 HEADERS 200",
        "7 DATA 1",
    ]
    session.finish(7)
    assert lines(peer) == ["7 DATA 0 end"]


def test_trailers_follow_the_body() -> None:
    peer = begin(headers())
    peer.session.respond(1, OK, b"x" * 20_000, peer.now, end=False)
    peer.session.finish(1, encode_fields([("X-Sum", "1")]))
    assert lines(peer)[1:] == [
        "1 HEADERS 200",
        "1 DATA 16384",
        "1 DATA 3616",
        "1 HEADERS trailers end",
    ]


def test_small_pieces_share_a_frame_and_a_large_one_is_divided() -> None:
    peer = begin(headers())
    peer.session.respond(1, OK, b"", peer.now, end=False)
    for _ in range(2000):
        peer.session.send(1, b"0123456789", peer.now)
    peer.session.send(1, b"y" * 40_000, peer.now)
    assert lines(peer)[2:] == ["1 DATA 16384"] * 3 + [f"1 DATA {60_000 - 3 * 16_384}"]
    assert peer.sent[1] == b"0123456789" * 2000 + b"y" * 40_000


def test_tiny_parts_take_no_more_memory_than_their_bytes() -> None:
    peer = begin(settings((4, 0)), headers())
    peer.session.respond(1, OK, b"", peer.now, end=False)
    for _ in range(50_000):
        peer.session.send(1, b"x", peer.now)
    assert peer.session.stream_pending(1) == 50_000
    assert len(peer.session._streams[1].pieces) < 100
    peer.receive([update(49_000, 1)])
    lines(peer)
    peer.session.send(1, b"y" * 10, peer.now)
    peer.receive([update(2000, 1)])
    lines(peer)
    assert peer.sent[1] == b"x" * 50_000 + b"y" * 10


def test_output_is_taken_in_bounded_pieces() -> None:
    peer = begin(headers())
    peer.session.respond(1, OK, b"x" * 60_000, peer.now, end=True)
    sizes = []
    while output := peer.session.take(20_000, peer.now):
        sizes.append(len(output))
    assert max(sizes) <= 20_000 + MAX_FRAME + 9
    assert len(sizes) == 2
    assert sum(sizes) > 60_000


def test_what_is_urgent_overtakes_what_was_not_taken() -> None:
    urgent = GET + block(("priority", "u=0"))
    peer = begin(headers(1), headers(3, urgent))
    peer.session.respond(1, OK, b"x" * 30_000, peer.now, end=True)
    peer.take_output(peer.session.take(1000, peer.now))
    peer.session.respond(3, OK, b"x" * 20_000, peer.now, end=True)
    assert lines(peer)[2:] == [
        "1 HEADERS 200",
        "1 DATA 16384",
        "3 HEADERS 200",
        "3 DATA 16384",
        "3 DATA 3616 end",
        "1 DATA 13616 end",
    ]


def test_priority_updates_before_and_after_the_request() -> None:
    early = frame(PRIORITY_UPDATE, 0, 0, number(3) + b"u=1")
    late = frame(PRIORITY_UPDATE, 0, 0, number(1) + b"u=0")
    peer = begin(early, headers(1), headers(3, GET + block(("priority", "u=7"))), headers(5))
    for stream in (1, 3, 5):
        peer.session.respond(stream, OK, b"x" * 17_000, peer.now, end=True)
    peer.receive([late])
    found = [line for line in lines(peer)[3:] if "DATA" in line]
    assert found[:3] == ["1 DATA 16384", "1 DATA 616 end", "3 DATA 16384"]


def test_incremental_responses_take_turns() -> None:
    peer = begin(*(headers(stream, GET + block(("priority", "i"))) for stream in (1, 3)))
    for stream in (1, 3):
        peer.session.respond(stream, OK, b"x" * 30_000, peer.now, end=True)
    found = [line.split()[0] for line in lines(peer)[2:] if "DATA" in line]
    assert found == ["1", "3", "1", "3"]


def test_priorities_of_many_future_streams_are_bounded() -> None:
    peer = begin()
    for each in range(1001, 2001, 2):
        peer.receive([frame(PRIORITY_UPDATE, 0, 0, number(each) + b"u=1")])
        peer.now += 1
    assert len(peer.session._future) == 100
    peer.receive([headers(3001)])
    peer.receive([frame(PRIORITY_UPDATE, 0, 0, number(4001) + b"u=1")])
    assert len(peer.session._future) == 1


def test_large_heads_are_continued() -> None:
    peer = begin(headers())
    fields = [("a", "b" * 10_000)] * 3
    peer.session.respond(1, encode_response(200, fields), b"x", peer.now, end=True)
    frames = list(split_frames(peer.session.take(1 << 20, peer.now)))
    assert [(kind, flags) for kind, flags, _, _ in frames] == [(1, 0), (9, 4), (0, 1)]


def test_client_without_a_table_is_told_once_that_there_is_none() -> None:
    peer = begin(settings((1, 0)), headers(1), headers(3))
    peer.decoder.max_allowed_table_size = 0
    peer.answer()
    assert lines(peer)[2:] == [
        "0 SETTINGS ACK",
        "1 HEADERS 200",
        "3 HEADERS 200",
        "1 DATA 2 end",
        "3 DATA 2 end",
    ]
    peer.receive([settings((1, 0)), headers(5)])
    peer.session.respond(5, OK, b"", peer.now, end=True)
    *_, (_, _, _, payload) = split_frames(peer.session.take(1000, peer.now))
    assert payload == OK


def test_responses_wait_while_much_is_not_taken() -> None:
    """A client that does not read keeps the slots of its streams."""
    peer = begin(update(1 << 30))
    for stream in range(1, 2 * MAX_STREAMS + 1, 2):
        peer.receive([headers(stream)])
        peer.answer(b"x" * 1000)
    assert 50 < peer.session.streams < MAX_STREAMS
    lines(peer)
    assert peer.session.streams == 0


# Ends of streams.


def test_malformed_heads_are_told() -> None:
    peer = begin(
        headers(1, block((":method", "GET"), (":path", "/a"), (":scheme", "ftp"), ("A", "b"))),
        headers(3, block((":path", "/"))),
        headers(5, POST + block(("content-length", "1"))),
    )
    assert peer.malformed == [
        ("GET", "/a", "a field name is not a token in lower case"),
        ("", "/", "the method is missing"),
        ("POST", "/", "a body is shorter than its content-length"),
    ]
    assert lines(peer) == [f"{number} RST_STREAM PROTOCOL_ERROR" for number in (1, 3, 5)]


def test_release_frees_the_slot_and_no_earlier() -> None:
    peer = begin(headers())
    peer.session.respond(1, OK, b"x", peer.now, end=True)
    lines(peer)
    assert peer.session.streams == 1
    assert not peer.session.is_open(1)
    peer.session.release(1, peer.now)
    peer.session.release(1, peer.now)
    assert peer.session.streams == 0


def test_release_of_an_unfinished_response_resets_the_stream() -> None:
    peer = begin(headers(1), headers(3), post(5))
    peer.session.respond(3, OK, b"part", peer.now, end=False)
    peer.session.respond(5, OK, b"", peer.now, end=False)
    for stream in (1, 3, 5):
        peer.session.release(stream, peer.now)
    assert lines(peer)[3:] == [
        "1 RST_STREAM INTERNAL_ERROR",
        "3 HEADERS 200",
        "5 HEADERS 200",
        "5 RST_STREAM INTERNAL_ERROR",
        "3 DATA 4",
        "3 RST_STREAM INTERNAL_ERROR",
    ]
    assert peer.session.streams == 0
    assert peer.session.pending == 0
    peer.receive([data(b"late", 5)])  # which is no error, as the client may not know yet
    assert state(peer) is SessionState.OPEN


def test_an_unfinished_response_is_sent_as_far_as_it_goes() -> None:
    """What there is waits for the window as ever, and the reset waits behind it."""
    peer = begin(settings((4, 10)), headers())
    peer.session.respond(1, OK, b"x" * 15, peer.now, end=False)
    peer.session.release(1, peer.now)
    assert lines(peer)[2:] == ["1 HEADERS 200", "1 DATA 10"]
    assert not peer.session.send(1, b"more", peer.now)
    assert peer.session.streams == 1
    peer.receive([update(10, 1)])
    assert lines(peer) == ["1 DATA 5", "1 RST_STREAM INTERNAL_ERROR"]
    assert peer.session.streams == 0


def test_a_client_whose_body_is_not_needed_is_told_to_stop() -> None:
    peer = begin(post(), data(b"abc"))
    peer.session.respond(1, encode_response(413, []), b"", peer.now, end=True)
    assert lines(peer)[2:] == ["1 HEADERS 413 end"]
    peer.session.release(1, peer.now)
    assert lines(peer) == ["1 RST_STREAM NO_ERROR"]
    peer.receive([data(b"x" * 1000, end=True)])
    assert lines(peer) == []
    assert peer.session.held == 0


def test_a_client_is_told_to_stop_only_behind_the_response() -> None:
    peer = begin(settings((4, 0)), post())
    peer.session.respond(1, OK, b"x", peer.now, end=True)
    peer.session.release(1, peer.now)
    peer.session.receive(data(b"abc"), peer.now)
    assert lines(peer)[1:] == ["0 SETTINGS ACK", "1 HEADERS 200"]
    assert peer.session.streams == 1
    peer.receive([update(1, 1)])
    assert lines(peer) == ["1 DATA 1 end", "1 RST_STREAM NO_ERROR"]
    assert peer.session.streams == 0


def test_a_body_that_ends_behind_the_response() -> None:
    peer = begin(post())
    peer.session.respond(1, OK, b"", peer.now, end=True)
    peer.receive([data(b"abc", end=True)])
    assert lines(peer)[1:] == ["1 body 3 end", "1 HEADERS 200 end"]
    peer.session.release(1, peer.now)
    assert lines(peer) == []


def test_reset_by_the_server_is_no_fault_of_the_client() -> None:
    peer = begin()
    for stream in range(1, 2001, 2):
        peer.receive([headers(stream)])
        peer.session.reset(stream, ErrorCode.CANCEL)
        peer.session.reset(stream, ErrorCode.CANCEL)
        peer.session.release(stream, peer.now)
        assert lines(peer)[1:] == [f"{stream} RST_STREAM CANCEL"]
    assert state(peer) is SessionState.OPEN
    assert len(peer.session._numbers._resets) <= MAX_CLOSED


def test_reset_by_the_client_drops_the_response() -> None:
    peer = begin(headers())
    peer.session.respond(1, OK, b"x" * 100_000, peer.now, end=True)
    lines(peer, 1)
    peer.receive([reset()])
    assert not peer.session.is_open(1)
    assert peer.session.pending == 0
    assert lines(peer) == ["1 reset CANCEL"]
    assert not peer.session.send(1, b"x", peer.now)


def test_no_event_for_a_stream_whose_application_is_done() -> None:
    peer = begin(settings((4, 0)), headers(1))
    peer.answer()
    peer.receive([reset()])
    assert lines(peer)[1:] == ["0 SETTINGS ACK"]
    assert peer.session.streams == 0


# Credit.


def test_credit_is_announced_by_half_a_window() -> None:
    peer = begin()
    session = peer.session
    session.receive(post(), peer.now)
    for _ in range(10):
        session.receive(data(b"x" * 16_384), peer.now)
    assert session.held == 163_840
    session.credit(1, 131_071, peer.now)
    assert lines(peer) == []
    session.credit(1, 1, peer.now)
    assert lines(peer) == ["1 WINDOW_UPDATE 131072"]
    session.credit(1, 1 << 30, peer.now)
    assert session.held == 0
    session.credit(3, 5, peer.now)


def test_padding_needs_no_credit_of_the_application() -> None:
    peer = begin(post())
    for _ in range(2100):
        peer.session.receive(data(b"x", padding=255), peer.now)
    assert peer.session.held == 2100
    updates = [line.split()[0] for line in lines(peer) if "WINDOW_UPDATE" in line]
    assert sorted(updates) == ["0", "1", "1", "1", "1"]


def test_credit_for_a_body_that_nobody_reads() -> None:
    """The application is done, and its response waits for the client, which goes on sending."""
    peer = begin(settings((4, 0)), post())
    peer.session.respond(1, OK, b"x", peer.now, end=True)
    peer.session.release(1, peer.now)
    for _ in range(10):
        assert peer.session.receive(data(b"x" * 16_384), peer.now) == []
    assert "1 WINDOW_UPDATE 131072" in lines(peer)


def test_held_bytes_of_a_stream_are_forgotten_with_it() -> None:
    peer = begin()
    peer.session.receive(post() + data(b"x" * 1000), peer.now)
    assert peer.session.held == 1000
    peer.session.receive(reset(), peer.now)
    assert peer.session.held == 1000
    peer.session.release(1, peer.now)
    assert peer.session.held == 0


# Slow clients.


def test_time_of_streams() -> None:
    assert stream_timeouts(Timeouts()).stall == STALL_TIMEOUT
    assert stream_timeouts(Timeouts(stall=200)).stall == 200


def test_a_stream_whose_window_stays_closed_ends() -> None:
    peer = begin(settings((4, 10)), headers())
    peer.session.respond(1, OK, b"x" * 100, peer.now, end=True)
    lines(peer)
    peer.now = peer.session.deadline
    events = peer.session.tick(peer.now)
    assert [(event.stream, event.code) for event in events] == [  # type: ignore[union-attr]
        (1, ErrorCode.CANCEL)
    ]
    assert lines(peer) == ["1 RST_STREAM CANCEL"]
    assert state(peer) is SessionState.OPEN


def late(*, answered: bool) -> Peer:
    """A request of which no body arrives in time; ``answered``: the response has begun."""
    peer = begin(post(1))
    if answered:
        peer.session.respond(1, OK, b"begun", peer.now, end=False)
    lines(peer)
    peer.now = peer.session.deadline
    for event in peer.session.tick(peer.now):
        peer.take_event(event)
    return peer


def test_a_body_that_does_not_arrive_is_answered_by_the_caller() -> None:
    peer = late(answered=False)
    assert lines(peer) == ["1 late"]
    assert peer.session.deadline == inf  # so that it is told once
    peer.answer()
    assert lines(peer) == ["1 HEADERS 408", "1 DATA 2 end", "1 RST_STREAM NO_ERROR"]
    peer.receive([data(b"late", 1)])
    assert lines(peer) == []
    assert peer.session.streams == 0


def test_a_body_that_stops_during_its_response_ends_the_stream() -> None:
    assert lines(late(answered=True)) == ["1 reset CANCEL", "1 RST_STREAM CANCEL"]


def test_a_window_that_opens_gives_time() -> None:
    peer = begin(settings((4, 10)), headers())
    peer.session.respond(1, OK, b"x" * 50_000, peer.now, end=True)
    lines(peer)
    for _ in range(10):
        peer.now += 20
        assert peer.session.deadline > peer.now
        peer.receive([update(4800, 1)])
        lines(peer)
    assert peer.session.is_open(1) is False
    assert peer.session.pending == 50_000 - 48_010


def test_time_in_which_nothing_waits_does_not_count() -> None:
    peer = begin(settings((4, 10)), headers())
    peer.session.respond(1, OK, b"x" * 20, peer.now, end=False)
    lines(peer)
    peer.now += 20
    peer.receive([update(1000, 1)])
    lines(peer)
    peer.now += 10_000  # the application computes
    assert peer.session.deadline == inf
    peer.session.send(1, b"x" * 2000, peer.now)
    lines(peer)
    assert peer.now < peer.session.deadline < peer.now + 100


def test_a_window_of_the_connection_that_was_closed_for_others() -> None:
    peer = begin(settings((4, 1 << 20)), headers(1))
    peer.session.respond(1, OK, b"x" * 70_000, peer.now, end=True)
    lines(peer)
    peer.receive([reset(1)])
    peer.now += 10_000
    assert peer.session.deadline == inf or peer.session.tick(peer.now) == []
    peer.receive([headers(3)])
    peer.session.respond(3, OK, b"x", peer.now, end=True)
    lines(peer)
    assert peer.now < peer.session.deadline < peer.now + 100


def test_another_protocol_on_a_stream_may_be_silent() -> None:
    head = block(
        (":method", "CONNECT"),
        (":scheme", "https"),
        (":path", "/"),
        (":authority", "h"),
        (":protocol", "websocket"),
    )
    peer = begin(headers(1, head, end=False))
    peer.session.respond(1, OK, b"", peer.now, end=False)
    assert peer.session.deadline == inf


def test_a_slow_frame_of_a_body_counts_byte_by_byte() -> None:
    peer = begin(post())
    frame_of_body = data(b"x" * 16_384)
    for at in range(0, len(frame_of_body), 2500):
        assert peer.session.tick(peer.now) == []
        peer.receive([frame_of_body[at : at + 2500]])
        peer.now += 10
        assert peer.session.deadline > peer.now
    transfer = peer.session._streams[1].incoming
    assert transfer is not None
    assert transfer.moved == 16_384
    peer.now = peer.session.deadline
    assert len(peer.session.tick(peer.now)) == 1


@pytest.mark.parametrize(
    "pieces",
    [
        [headers(3)[:5]],
        [headers(3)[:10]],
        [headers(3, b"", flags=0)],
        [headers(3, b"", flags=0), continuation(3, b"", end=False)],
        [headers(3, b"", flags=0), continuation(3, b"")[:4]],
        [ping()[:12]],
        [data(b"late", 5)[:11]],
    ],
)
def test_an_incomplete_frame_or_head_has_the_time_of_a_head(pieces: list[bytes]) -> None:
    peer = begin(headers(1))  # a request is served meanwhile
    peer.receive(pieces[:1])
    due = peer.now + TIMEOUTS.head
    peer.now += 20
    peer.receive(pieces[1:])
    assert peer.session.deadline == due
    peer.session.tick(due)
    assert peer.session.failure is ErrorCode.ENHANCE_YOUR_CALM


def test_frames_that_are_complete_renew_that_time() -> None:
    peer = begin(headers(1))
    sent = ping() * 20
    for at in range(0, len(sent), 10):
        peer.now += 20
        peer.receive([sent[at : at + 10]])
        assert peer.session.deadline > peer.now
    assert peer.session.deadline == inf


def test_three_slow_streams_end_the_connection() -> None:
    peer = begin(post(1), post(3), post(5), post(7))
    peer.now = peer.session.deadline
    events = peer.session.tick(peer.now)
    assert len(events) == 3
    assert peer.session.failure is ErrorCode.ENHANCE_YOUR_CALM


# What a session takes.


def test_an_idle_session_is_small() -> None:
    peer = begin()
    for stream in range(1, 41, 2):
        peer.receive([headers(stream, POST, end=False), data(b"abc", stream, end=True)])
        peer.answer()
        lines(peer)
    seen_objects: set[int] = set()

    def size(each: object) -> int:
        if id(each) in seen_objects or isinstance(each, (type, str, float, int, Timeouts)):
            return 0
        seen_objects.add(id(each))
        total = sys.getsizeof(each)
        if isinstance(each, dict):
            total += sum(size(key) + size(value) for key, value in each.items())
        elif isinstance(each, (list, tuple, set)):
            total += sum(map(size, each))
        for name in getattr(type(each), "__slots__", ()):
            total += size(getattr(each, name, None))
        return total

    assert size(peer.session) < 6000


@pytest.mark.parametrize("table", [SESSIONS, STREAMS], ids=["sessions", "streams"])
def test_no_state_follows_the_last_one(table: dict[tuple[object, object], object]) -> None:
    last = {SessionState.CLOSED, StreamState.CLOSED}
    assert not {state for state, _ in table} & last
    assert set(table.values()) & last
    before = {state for state, _ in table}
    assert set(table.values()) <= before | last
    assert (StreamState.CLOSED, StreamStep.HEADERS) not in STREAMS
