"""Websockets over real connections, each sentence of what they promise."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from rocket_core import CloseReason, SharedConnection, Timeouts
from rocket_core.testing import NARROW, PATIENCE, Client, at_growing_scales, eventually, within
from rocket_wsgi._websocket.session import SLOW
from websocket_peer import (
    BINARY,
    CLOSE,
    CONTINUATION,
    DEFLATE,
    FIN,
    PING,
    PONG,
    RSV1,
    TEXT,
    Notes,
    Peer,
    WebSocketServer,
    deflated,
    inflated,
    link,
    masked,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rocket_wsgi._push.websocket import WebSocket


def parked(server: WebSocketServer, count: int = 1) -> None:
    """Wait until all websockets are parked, and nothing is done for them."""
    eventually(lambda: server.running.statistics().connections == {"shared": count})


def is_closed(ws: WebSocket) -> bool:
    """The attribute as a function: the type checker takes it for constant between statements."""
    return ws.closed


def check_close(server: WebSocketServer, reason: CloseReason) -> None:
    """Wait until the only connection has closed for ``reason``. A stream leaves its connection."""
    closes = {} if server.http2 else {reason.value: 1}
    eventually(lambda: server.running.statistics().closes == closes)


LARGE = bytes(200_000)
"""More than the narrow buffers of both systems take, and less than what makes a client slow."""


def stuff(ws: WebSocket) -> None:
    """Send `LARGE`, of which a part then waits until the client reads.

    A smaller message may wait as well, but only until the systems have moved on what came before.
    """
    assert ws.send(LARGE)
    eventually(lambda: link(ws)._shared.blocked)


# -- the handler -----------------------------------------------------------------------------------


def test_handler_is_called_in_order(start: Callable[..., WebSocketServer], notes: Notes) -> None:
    peer = start(notes).open()
    if peer.head.status == 101:
        assert peer.head["Sec-WebSocket-Accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    else:
        assert peer.head.status == 200
    assert notes.next() == ("open",)
    peer.send("text")
    peer.send(b"data")
    assert notes.next() == ("message", "text")
    assert notes.next() == ("message", b"data")
    peer.close(3000)
    assert notes.next() == ("close", 3000, "")
    assert notes.rest() == []


def test_methods_of_the_handler_are_optional(start: Callable[..., WebSocketServer]) -> None:
    peer = start(object()).open()
    peer.send("text")
    peer.close()


def test_handler_without_methods_takes_a_drain(start: Callable[..., WebSocketServer]) -> None:
    server = start(object())
    peer = server.open()
    parked(server)
    server.running.drain(PATIENCE)
    peer.send("not handled")
    assert peer.read_close() == 1001
    peer.send_close(1001)
    assert peer.client.closed_by_server()


def test_what_is_sent_in_on_open_follows_the_101(start: Callable[..., WebSocketServer]) -> None:
    class Greets:
        def on_open(self, ws: WebSocket) -> None:
            assert ws.send("welcome")

    peer = start(Greets()).open()
    assert peer.head.status in (101, 200)
    assert peer.read() == "welcome"


def test_what_follows_the_handshake_at_once_is_received(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    server = start(notes)
    peer = Peer.__new__(Peer)
    peer.client = Client(server.address)
    with peer.client:
        peer.client.send(
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            + masked(FIN | TEXT, b"early")
        )
        assert peer.client.head().status == 101
        assert notes.next() == ("open",)
        assert notes.next() == ("message", "early")


def test_messages_are_whole_whatever_their_frames(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    peer = start(notes).open()
    notes.opened()
    peer.send_frame(TEXT, "ä".encode()[:1])
    peer.send_frame(FIN | PING, b"in between")
    peer.send_frame(CONTINUATION, "ä".encode()[1:])
    peer.send_frame(FIN | CONTINUATION, b"!")
    assert notes.next() == ("message", "ä!")
    assert peer.read_frame() == (FIN | PONG, b"in between")


def test_messages_arrive_in_pieces(start: Callable[..., WebSocketServer], notes: Notes) -> None:
    peer = start(notes).open()
    notes.opened()
    for byte in masked(FIN | TEXT, b"slowly") + masked(FIN | BINARY, bytes(200)):
        peer.client.send(bytes([byte]))
    assert notes.next() == ("message", "slowly")
    assert notes.next() == ("message", bytes(200))


def test_messages_of_one_websocket_are_handled_one_after_another(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    peer = start(notes, threads=4).open()
    ws = notes.opened()
    peer.send("hold")
    peer.send("next")
    notes.wait_held()
    peer.send_frame(FIN | PING, b"all has arrived")
    assert peer.read_frame() == (FIN | PONG, b"all has arrived")
    assert notes.rest() == [("message", "hold")]
    assert not ws.closed
    notes.go_on.release()
    assert notes.next() == ("message", "next")


def test_messages_of_different_websockets_are_handled_in_parallel(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    server = start(notes, threads=3)
    peers = [server.open() for _ in range(3)]
    for peer in peers:
        peer.send("hold")
    for _ in peers:
        notes.wait_held()
    for _ in peers:
        notes.go_on.release()


def test_each_websocket_is_in_the_queue_once_and_goes_to_its_end(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    server = start(notes, threads=1)
    busy, first, second = (server.open() for _ in range(3))
    for _ in range(3):
        notes.opened()
    busy.send("hold")
    notes.wait_held()
    notes.rest()
    for number in range(3):
        first.send(f"first {number}")
    first.send_frame(FIN | PING)
    assert first.read_frame() == (FIN | PONG, b"")
    second.send("second 0")
    second.send_frame(FIN | PING)
    assert second.read_frame() == (FIN | PONG, b"")
    notes.go_on.release()
    order = [notes.next()[1] for _ in range(4)]
    assert order == ["first 0", "second 0", "first 1", "first 2"]


def test_exception_in_a_callback_ends_with_1011(
    start: Callable[..., WebSocketServer], notes: Notes, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(ws: WebSocket, data: str | bytes) -> None:
        raise LookupError("of the application")

    notes.act = fail
    peer = start(notes).open()
    notes.opened()
    peer.send("a")
    assert peer.read_close() == 1011
    assert peer.client.closed_by_server()
    assert notes.next() == ("message", "a")
    assert notes.next() == ("close", 1011, "")
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "on_message of a websocket failed" in record.getMessage()
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], LookupError)


def test_exception_in_on_open_ends_with_1011(start: Callable[..., WebSocketServer]) -> None:
    class Fails(Notes):
        def on_open(self, ws: WebSocket) -> None:
            raise SystemExit

    notes = Fails()
    peer = start(notes).open()
    assert peer.read_close() == 1011
    assert notes.next() == ("close", 1011, "")


def test_exception_in_on_close_is_logged_and_nothing_else(
    start: Callable[..., WebSocketServer], caplog: pytest.LogCaptureFixture
) -> None:
    class Fails:
        def on_close(self, ws: WebSocket, code: int, reason: str) -> None:
            raise LookupError("at the end")

    server = start(Fails())
    server.open().close()
    server.running.stop()
    assert server.running.wait(PATIENCE)
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "on_close of a websocket failed"
    ]


# -- sending ---------------------------------------------------------------------------------------


def test_any_thread_sends(start: Callable[..., WebSocketServer], notes: Notes) -> None:
    peer = start(notes).open()
    ws = notes.opened()
    assert ws.send("text")
    assert ws.send(b"data")
    assert peer.read() == "text"
    assert peer.read() == b"data"


def test_what_many_threads_send_arrives_whole_and_in_the_order_of_each(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    peer = start(notes).open()
    ws = notes.opened()

    def send(thread: int) -> None:
        for number in range(200):
            assert ws.send(f"{thread} {number}")

    threads = [threading.Thread(target=send, args=[thread]) for thread in range(4)]
    for thread in threads:
        thread.start()
    got: list[list[int]] = [[] for _ in range(4)]
    for _ in range(800):
        message = peer.read()
        assert isinstance(message, str)
        thread_number, number = map(int, message.split())
        got[thread_number].append(number)
    assert got == [list(range(200))] * 4
    for thread in threads:
        thread.join(PATIENCE)


@pytest.mark.parametrize("data", [None, 1, bytearray(b"a"), memoryview(b"a"), ["a"]])
def test_other_types_are_an_error_open_or_closed(
    start: Callable[..., WebSocketServer], notes: Notes, data: Any
) -> None:
    start(notes).open()
    ws = notes.opened()
    with pytest.raises(TypeError, match=r"str\b.*\bbytes"):
        ws.send(data)
    ws.close()
    with pytest.raises(TypeError, match=r"str\b.*\bbytes"):
        ws.send(data)


def test_send_is_false_from_the_close_on(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    peer = start(notes).open()
    ws = notes.opened()
    assert not is_closed(ws)
    ws.close()
    assert is_closed(ws)
    assert not ws.send("late")
    assert ws.pending == 0
    assert peer.read_close() == 1000
    peer.send_close(1000)
    assert peer.client.closed_by_server()
    assert notes.next() == ("close", 1000, "")
    assert not ws.send("late")


def test_send_is_false_once_the_client_has_left(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    peer = start(notes).open()
    ws = notes.opened()
    peer.client.close()
    assert notes.next() == ("close", 1006, "")
    assert ws.closed
    assert not ws.send("late")


def test_a_single_message_may_be_larger_than_the_limit(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    peer = start(notes).open()
    ws = notes.opened()
    assert ws.send(bytes(3 * SLOW))
    assert peer.read() == bytes(3 * SLOW)
    assert notes.next() == ("drained",)


def test_slow_client_is_closed_with_1013_at_a_messages_end(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    peer = start(notes).open(receive_buffer=NARROW)
    ws = notes.opened()
    stuff(ws)
    sent = 1
    while ws.pending < SLOW:
        assert ws.send(bytes(20_000))
        sent += 1
    assert not ws.send("one too many")
    assert ws.closed
    assert ws.pending < SLOW
    count = 0
    while (frame := peer.read_frame()) is not None and frame[0] == FIN | BINARY:
        assert frame[1] == (bytes(20_000) if count else LARGE)
        count += 1
    assert 0 < count < sent
    assert frame == (FIN | CLOSE, (1013).to_bytes(2, "big") + b"the client is too slow")
    peer.send_close(1013)
    assert peer.client.closed_by_server()
    assert notes.next() == ("close", 1013, "the client is too slow")
    assert notes.rest() == []


def test_messages_to_a_slow_client_are_dropped_if_so_agreed(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    peer = start(notes, slow="drop").open(receive_buffer=NARROW)
    ws = notes.opened()
    sent = 0
    while ws.send(bytes(20_000)):
        sent += 1
    assert ws.pending >= SLOW
    assert not ws.closed
    for _ in range(sent):
        assert peer.read() == bytes(20_000)
    assert notes.next() == ("drained",)
    assert ws.send("again")
    assert peer.read() == "again"


@pytest.mark.parametrize("way", ["close", "raise", "return"])
def test_end_that_no_client_hears_of_is_not_the_first(
    start: Callable[..., WebSocketServer], notes: Notes, way: str
) -> None:
    """1. The client leaves during a call of the handler. 2. The application closes, or fails."""
    server = start(notes)
    peer = server.open()
    ws = notes.opened()

    def act(ws: WebSocket, data: str | bytes) -> None:
        if way == "raise":
            raise LookupError(way)

    notes.act = act
    peer.send("hold")
    notes.wait_held()
    peer.send("next")
    peer.client.half_close()
    eventually(lambda: ws.closed)
    if way == "close":
        ws.close(4000)
    notes.go_on.release()
    assert notes.next() == ("message", "hold")
    if way != "raise":  # which ends all
        assert notes.next() == ("message", "next")
    assert notes.next() == ("close", 1006, "")


@pytest.mark.http1
def test_bytes_in_the_hands_of_a_sending_thread_do_not_make_a_client_slow(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    """1. A thread receives. 2. Another one sends a lot, and leaves it to the first one."""
    server = start(notes)
    peer = server.open()
    ws = notes.opened()
    parked(server)
    shared = link(ws)._shared
    assert isinstance(shared, SharedConnection)
    # This thread owns the connection now, as a worker that receives does.
    eventually(lambda: server.running._monitor.claim(shared.connection))
    for _ in range(5):
        assert ws.send(bytes(100_000))
    assert shared.pending > 500_000
    assert ws.pending == 0
    server.running._engine._park_shared(shared.connection, shared)
    for _ in range(5):
        assert peer.read() == bytes(100_000)
    assert not ws.closed


def test_on_drained_once_when_all_has_been_taken(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    peer = start(notes).open(receive_buffer=NARROW)
    ws = notes.opened()
    assert ws.send("not waited for")
    assert peer.read() == "not waited for"
    for _ in range(2):
        stuff(ws)
        assert ws.send("several are one")
        assert notes.rest() == []
        assert peer.read() == LARGE
        assert peer.read() == "several are one"
        assert notes.next() == ("drained",)
        assert ws.pending == 0
    assert notes.rest() == []


@pytest.mark.http1
def test_on_drained_is_left_to_the_next_time_if_the_output_waits_again(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    """1. All is taken. 2. A thread sends again, and it waits. 3. The turn of the first comes."""
    server = start(notes, threads=1)
    busy = server.open()
    notes.opened()
    peer = server.open(receive_buffer=NARROW)
    ws = notes.opened()
    stuff(ws)
    busy.send("hold")
    notes.wait_held()
    assert peer.read() == LARGE
    eventually(lambda: not ws.pending)
    stuff(ws)
    notes.rest()
    notes.go_on.release()
    busy.send("after the turn")
    assert notes.next() == ("message", "after the turn")
    assert notes.rest() == []
    assert peer.read() == LARGE
    assert notes.next() == ("drained",)


def test_no_on_drained_after_a_close(start: Callable[..., WebSocketServer], notes: Notes) -> None:
    peer = start(notes).open(receive_buffer=NARROW)
    ws = notes.opened()
    stuff(ws)
    ws.close()
    assert peer.read() == LARGE
    assert peer.read_close() == 1000
    peer.send_close(1000)
    assert notes.next() == ("close", 1000, "")
    assert notes.rest() == []


# -- attributes ------------------------------------------------------------------------------------


def test_attributes(start: Callable[..., WebSocketServer], notes: Notes) -> None:
    peer = start(notes, subprotocol="chat.v1").open("Sec-WebSocket-Protocol: chat.v1")
    ws = notes.opened()
    assert peer.head["Sec-WebSocket-Protocol"] == "chat.v1"
    assert ws.subprotocol == "chat.v1"
    assert ws.environ["HTTP_SEC_WEBSOCKET_PROTOCOL"] == "chat.v1"
    assert ws.context is None
    ws.context = ["mine"]
    assert ws.context == ["mine"]


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
def test_close_codes_that_are_an_error(
    start: Callable[..., WebSocketServer], notes: Notes, code: int
) -> None:
    start(notes).open()
    ws = notes.opened()
    with pytest.raises(ValueError, match=f"close code {code} is not one of"):
        ws.close(code)
    with pytest.raises(ValueError, match="123 bytes"):
        ws.close(1000, "ä" * 62)
    assert not ws.closed


# -- reading ahead ---------------------------------------------------------------------------------


def test_messages_are_read_ahead_up_to_a_number_and_pings_answered(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    server = start(notes, read_ahead=3)
    peer = server.open()
    notes.opened()
    peer.send("hold")
    notes.wait_held()
    for number in range(2):
        peer.send(str(number))
    peer.send_frame(FIN | PING, b"answered")
    assert peer.read_frame() == (FIN | PONG, b"answered")
    peer.send("2")
    peer.send("3")
    peer.send_frame(FIN | PING, b"not read")
    protocol = link(notes.sockets[0])
    eventually(lambda: protocol._stopped)
    parked(server)
    assert protocol._session.held == 3
    notes.go_on.release()
    assert [notes.next()[1] for _ in range(5)] == ["hold", "0", "1", "2", "3"]
    assert peer.read_frame() == (FIN | PONG, b"not read")


def test_messages_are_read_ahead_up_to_a_number_of_bytes_then_the_client_must_wait(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    server = start(notes, max_message=50_000)
    peer = server.open()
    notes.opened()
    peer.send("hold")
    notes.wait_held()
    count = 500  # of which the buffers of the system take only a part
    data = masked(FIN | BINARY, bytes(30_000)) * count
    sender = threading.Thread(target=peer.client.send, args=[data])
    sender.start()
    protocol = link(notes.sockets[0])
    eventually(lambda: protocol._stopped)
    parked(server)
    assert protocol._session.held == 60_000
    assert sender.is_alive()
    notes.go_on.release()
    assert notes.next() == ("message", "hold")
    for _ in range(count):
        assert notes.next() == ("message", bytes(30_000))
    sender.join(PATIENCE)


def test_received_bytes_count_and_are_given_back(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    server = start(notes)
    room = server.running._server_state.room
    peer = server.open()
    notes.opened()
    peer.send("hold")
    notes.wait_held()
    peer.send(bytes(300_000))
    peer.send_frame(BINARY, bytes(200_000))
    eventually(lambda: room.held == 500_000 - 16 * 1024)
    notes.go_on.release()
    eventually(lambda: room.held == 200_000 - 16 * 1024)
    peer.client.reset()
    eventually(lambda: room.held == 0)


def test_begun_message_obeys_the_minimum_rate(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    timeouts = Timeouts(grace=0.3, minimum_rate=1000.0)
    server = start(notes, timeouts=timeouts)
    peer = server.open()
    notes.opened()
    peer.send_frame(BINARY, bytes(10))
    assert notes.next() == ("close", 1006, "")
    assert peer.client.closed_by_server()
    check_close(server, CloseReason.BODY_TIMEOUT)


def test_rate_counts_from_message_to_message_and_not_between(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    def test(scale: float) -> None:
        timeouts = Timeouts(grace=0.5 * scale, minimum_rate=1.0, stall=PATIENCE)
        server = start(notes, timeouts=timeouts)
        peer = server.open()
        notes.opened()
        for number in range(4):
            with within(0.5 * scale):
                peer.send_frame(TEXT, b"")
                eventually(lambda: link(notes.sockets[0])._reader.begun)
                threading.Event().wait(0.3 * scale)
                peer.send_frame(FIN | CONTINUATION, b"%d" % number)
                assert notes.next() == ("message", str(number))

    at_growing_scales(test)


def test_rate_does_not_count_while_nothing_is_read(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    timeouts = Timeouts(grace=0.3, minimum_rate=1000.0)
    server = start(notes, timeouts=timeouts, read_ahead=1)
    peer = server.open()
    notes.opened()
    peer.send("hold")
    notes.wait_held()
    peer.send("ahead")
    eventually(lambda: link(notes.sockets[0])._stopped)
    peer.send_frame(TEXT, b"begun")
    threading.Event().wait(0.7)
    peer.send_frame(FIN | CONTINUATION, b"!")
    notes.go_on.release()
    assert [notes.next()[1] for _ in range(3)] == ["hold", "ahead", "begun!"]


# -- limits and errors -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        pytest.param(masked(FIN | BINARY, bytes(1001)), 1009, id="too large"),
        pytest.param(masked(BINARY, bytes(900)) + masked(0, bytes(101)), 1009, id="in fragments"),
        pytest.param(masked(TEXT, b"\xff"), 1007, id="not UTF-8"),
        pytest.param(b"\x81\x01a", 1002, id="not masked"),
        pytest.param(masked(FIN | CONTINUATION, b""), 1002, id="continues nothing"),
        pytest.param(masked(PING, b""), 1002, id="control frame in fragments"),
        pytest.param(masked(FIN | RSV1 | TEXT, b""), 1002, id="compression not agreed"),
    ],
)
def test_errors_end_the_connection_at_once(
    start: Callable[..., WebSocketServer], notes: Notes, frames: bytes, code: int
) -> None:
    peer = start(notes, max_message=1000, compress=False).open()
    ws = notes.opened()
    peer.client.send(frames)
    assert peer.read_close() == code
    assert peer.read_frame() is None
    assert notes.next()[:2] == ("close", code)
    assert not ws.send("late")


def test_compression_from_200_bytes_on_and_without_context(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    peer = start(notes).open(DEFLATE)
    ws = notes.opened()
    assert peer.head["Sec-WebSocket-Extensions"] == (
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    )
    for _ in range(2):
        assert ws.send("a" * 200)
        frame = peer.read_frame()
        assert frame is not None
        assert frame[0] == FIN | RSV1 | TEXT
        assert inflated(frame[1]) == b"a" * 200
    assert ws.send("a" * 199)
    assert peer.read() == "a" * 199
    for _ in range(2):
        peer.send_frame(FIN | RSV1 | TEXT, deflated(b"b" * 1000))
        assert notes.next() == ("message", "b" * 1000)


def test_maximum_counts_what_comes_out_of_the_compression(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    peer = start(notes, max_message=1000).open(DEFLATE)
    notes.opened()
    for size, code in ((1000, None), (1001, 1009)):
        peer.send_frame(FIN | RSV1 | BINARY, deflated(bytes(size)))
        if code is None:
            assert notes.next() == ("message", bytes(size))
        else:
            assert peer.read_close() == code


# -- closing ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "noted"), [(1000, 1000), (4321, 4321), (None, 1005)])
def test_clients_close_is_answered_and_told(
    start: Callable[..., WebSocketServer], notes: Notes, code: int | None, noted: int
) -> None:
    peer = start(notes).open()
    notes.opened()
    peer.send_close(code, "bye" if code else "")
    assert peer.read_close() == code
    assert peer.client.closed_by_server()
    assert notes.next() == ("close", noted, "bye" if code else "")
    assert notes.rest() == []


@pytest.mark.parametrize("how", ["close", "reset"])
def test_client_that_leaves_without_a_close_frame(
    start: Callable[..., WebSocketServer], notes: Notes, how: str
) -> None:
    peer = start(notes).open()
    notes.opened()
    getattr(peer.client, how)()
    assert notes.next() == ("close", 1006, "")


def test_end_of_stream_means_that_the_client_has_left(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    peer = start(notes).open()
    notes.opened()
    peer.client.half_close()
    assert peer.client.closed_by_server()
    assert notes.next() == ("close", 1006, "")


def test_messages_that_precede_the_clients_end_are_handled(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    server = start(notes)
    peer = server.open()
    notes.opened()
    peer.send("hold")
    peer.send("last")
    notes.wait_held()
    peer.client.half_close()
    assert peer.client.closed_by_server()
    notes.go_on.release()
    assert [notes.next() for _ in range(3)] == [
        ("message", "hold"),
        ("message", "last"),
        ("close", 1006, ""),
    ]


def test_clients_close_is_answered_after_the_messages_before_it(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    server = start(notes)
    peer = server.open()
    ws = notes.opened()
    peer.send("hold")
    peer.send("next")
    peer.send_close(1000)
    notes.wait_held()
    eventually(lambda: not link(notes.sockets[0])._session.reading)
    assert not ws.closed
    assert ws.send("until then")
    assert peer.read() == "until then"
    notes.act = lambda ws, data: ws.send(f"answers {data!r}")
    notes.go_on.release()
    assert peer.read() == "answers 'hold'"
    assert peer.read() == "answers 'next'"
    assert peer.read_close() == 1000
    assert [notes.next()[0] for _ in range(3)] == ["message", "message", "close"]


def test_after_our_close_frame_no_message_is_handled(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    server = start(notes)
    peer = server.open()
    ws = notes.opened()
    peer.send("hold")
    peer.send("queued")
    notes.wait_held()
    ws.close(4000, "enough")
    ws.close(4001, "more than enough")
    assert peer.read_close() == 4000
    peer.send("sent before the client knew")
    peer.send_close(1000)
    assert peer.client.closed_by_server()
    notes.go_on.release()
    assert notes.next() == ("message", "hold")
    assert notes.next() == ("close", 4000, "enough")
    assert notes.rest() == []


def test_clients_close_frame_is_awaited_while_reading_was_stopped(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    server = start(notes, read_ahead=1)
    peer = server.open()
    ws = notes.opened()
    peer.send("hold")
    notes.wait_held()
    peer.send("ahead")
    eventually(lambda: link(notes.sockets[0])._stopped)
    ws.close()
    assert peer.read_close() == 1000
    peer.send_close(1000)
    assert peer.client.closed_by_server()
    notes.go_on.release()
    assert notes.next() == ("message", "hold")
    assert notes.next() == ("close", 1000, "")


def test_client_that_does_not_answer_our_close_is_awaited_for_two_seconds(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    server = start(notes)
    peer = server.open()
    ws = notes.opened()
    protocol = link(notes.sockets[0])
    ws.close(4000, "enough")
    with protocol._lock:
        deadline = protocol._session.deadline
        assert protocol._armed == deadline
    assert peer.read_close() == 4000
    assert peer.read_frame() is None
    assert notes.next() == ("close", 4000, "enough")
    peer.client.close()


def test_close_within_a_callback(start: Callable[..., WebSocketServer], notes: Notes) -> None:
    notes.act = lambda ws, data: ws.close(3001, "done")
    peer = start(notes).open()
    notes.opened()
    peer.send("a")
    peer.send("b")
    assert peer.read_close() == 3001
    peer.send_close(3001)
    assert notes.next() == ("message", "a")
    assert notes.next() == ("close", 3001, "done")


# -- silence ---------------------------------------------------------------------------------------


def test_silent_client_is_pinged_and_stays_if_it_answers(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    peer = start(notes, ping=0.4).open()
    ws = notes.opened()
    for _ in range(3):
        assert peer.read_frame() == (FIN | PING, b"")
        peer.send_frame(FIN | PONG)
    assert not ws.closed


def test_client_that_does_not_answer_a_ping_is_closed(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    server = start(notes, ping=0.3)
    peer = server.open()
    notes.opened()
    assert peer.read_frame() == (FIN | PING, b"")
    assert peer.client.closed_by_server()
    assert notes.next() == ("close", 1006, "")
    check_close(server, CloseReason.SILENCE_TIMEOUT)


def test_no_pings_if_so_agreed(start: Callable[..., WebSocketServer], notes: Notes) -> None:
    server = start(notes, ping=None)
    server.open()
    notes.opened()
    assert link(notes.sockets[0])._armed == float("inf")


def test_time_of_silence_stands_still_while_reading_is_stopped(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    server = start(notes, ping=0.3, read_ahead=1)
    peer = server.open()
    ws = notes.opened()
    peer.send("hold")
    notes.wait_held()
    peer.send("ahead")
    eventually(lambda: link(notes.sockets[0])._stopped)
    threading.Event().wait(1.0)
    assert not ws.closed
    notes.go_on.release()
    frame = peer.read_frame()
    assert frame == (FIN | PING, b"")


def wait_for_held(ws: WebSocket, count: int) -> None:
    """Wait until the server knows that so many bytes are held for a websocket."""
    eventually(lambda: link(ws)._held == count)


class Gates(Notes):
    """Holds each websocket at a gate of its own."""

    def on_open(self, ws: WebSocket) -> None:
        ws.context = threading.Semaphore(0)
        super().on_open(ws)

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        if data == "gate":
            assert ws.context.acquire(timeout=PATIENCE)
        self.calls.put(("message", data))


@pytest.mark.parametrize(("found_by", "limit"), [("the owner", 70_000), ("a turn", 80_000)])
def test_time_of_silence_stands_still_while_there_is_no_room(
    start: Callable[..., WebSocketServer], found_by: str, limit: int
) -> None:
    """Two websockets hold too much together, so that the second one is not read.

    Each of them holds 74,000 bytes that count. The first one is favoured, since it is the one that
    passes the limit first.
    """
    notes = Gates()
    server = start(notes, ping=0.3, threads=4)
    server.running._server_state.room._limit = limit
    opened = [(server.open(), notes.opened()) for _ in range(2)]
    (second, ws), shared = opened[1], link(opened[1][1])._shared
    if found_by == "a turn":
        opened.reverse()
    for peer, each in opened:
        for message in ("gate", bytes(45_000), "gate", bytes(45_000)):
            peer.send(message)
        if found_by == "a turn" or each is not ws:
            wait_for_held(each, 90_000 + len("gate"))
    if found_by == "a turn":
        assert not shared.waits_for_room
        ws.context.release()
    eventually(lambda: shared.waits_for_room)
    threading.Event().wait(1.2)
    assert not ws.closed
    for _, each in opened:
        each.context.release(2)
    second.send("afterwards")
    while notes.next() != ("message", "afterwards"):
        pass


def test_slow_client_is_judged_by_its_rate_instead_of_its_silence(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    peer = start(notes, ping=0.3).open(receive_buffer=NARROW)
    ws = notes.opened()
    stuff(ws)
    threading.Event().wait(1.0)
    assert not ws.closed
    assert peer.read() == LARGE
    assert notes.next() == ("drained",)
    assert peer.read_frame() == (FIN | PING, b"")


# -- the server ------------------------------------------------------------------------------------


def test_drain_tells_the_handler_and_closes_with_1001(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    class Polite(Notes):
        def on_shutdown(self, ws: WebSocket) -> None:
            super().on_shutdown(ws)
            ws.send("come back soon")

    notes = Polite()
    server = start(notes)
    peer = server.open()
    notes.opened()
    threading.Thread(target=server.running.drain, args=[PATIENCE]).start()
    assert peer.read() == "come back soon"
    assert peer.read_close() == 1001
    peer.send_close(1001)
    assert peer.client.closed_by_server()
    assert notes.next() == ("shutdown",)
    assert notes.next() == ("close", 1001, "")
    assert server.running.wait(PATIENCE)


def test_stop_tells_on_close(start: Callable[..., WebSocketServer], notes: Notes) -> None:
    server = start(notes)
    server.open()
    notes.opened()
    server.running.stop()
    assert server.running.wait(PATIENCE)
    assert notes.rest() == [("close", 1006, "")]


def test_callback_that_takes_too_long_ends_the_websocket_at_once(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    server = start(notes, server={"request_timeout": 0.3})
    peer = server.open()
    ws = notes.opened()
    peer.send("hold")
    peer.send("not handled")
    assert peer.read_close() == 1011
    assert peer.client.closed_by_server()
    assert ws.closed
    assert not ws.send("late")
    assert notes.rest() == [("message", "hold")]
    notes.go_on.release()
    assert notes.next() == ("close", 1011, "")


def test_on_close_is_called_exactly_once_whatever_comes_together(
    start: Callable[..., WebSocketServer], notes: Notes
) -> None:
    server = start(notes)
    for _ in range(50):
        peer = server.open()
        ws = notes.opened()
        thread = threading.Thread(target=ws.close, args=[4000])
        thread.start()
        peer.send_close(3000)
        peer.client.close()
        thread.join(PATIENCE)
        assert notes.next()[0] == "close"
    server.running.stop()
    assert server.running.wait(PATIENCE)
    assert notes.rest() == []
