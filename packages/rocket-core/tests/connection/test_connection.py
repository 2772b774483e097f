from __future__ import annotations

import errno
import os
import socket
import struct
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresupport import peeked, wait_for
from rocket_core import ClientGone, CloseReason, Connection, Peer, State, Timeouts, TransitionError
from rocket_core._connection.budget import TOTAL_OUTPUT
from rocket_core._connection.server_state import NoPool, ServerState
from rocket_core._exchange import Exchange
from rocket_core._system.poller import READ
from rocket_core._system.wait_ready import wait_ready
from rocket_core.extending import OUTPUT_BOUND, RECEIVE_SIZE, WRITE, NotYet
from rocket_core.testing import NARROW, PATIENCE, descriptors, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Sockets = Callable[[], tuple[socket.socket, socket.socket]]

Pair = tuple[Connection, socket.socket]
TINY = Timeouts(grace=0.05, stall=0.05, minimum_rate=1e9)
LARGE = bytes(range(256)) * 64 * 1024  # more than the system and the bound hold together


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


def receive(connection: Connection, size: int) -> None:
    """Fill until ``size`` bytes are buffered."""
    eventually(lambda: connection.fill() is not None and connection.buffered >= size)


def receive_all(client: socket.socket) -> bytes:
    data = bytearray()
    while piece := client.recv(65536):
        data += piece
    return bytes(data)


@contextmanager
def reading(client: socket.socket) -> Iterator[list[bytes]]:
    """Read everything in a thread, which has ended when the context ends."""
    found: list[bytes] = []
    thread = threading.Thread(target=lambda: found.append(receive_all(client)), daemon=True)
    thread.start()
    yield found
    thread.join(PATIENCE)
    assert found


class TellingPool(NoPool):
    """Sets an event when a worker begins to wait for its client."""

    def __init__(self, begun: threading.Event) -> None:
        self._begun = begun

    @contextmanager
    def stalled(self, exchange: Exchange, /) -> Iterator[None]:
        del exchange
        self._begun.set()
        yield


def waiting(connection: Connection) -> threading.Event:
    """Return an event that is set when the user of the connection begins to wait."""
    begun = threading.Event()

    connection.server = ServerState(TellingPool(begun))
    connection.state = State.ACTIVE
    return begun


def in_thread(action: Callable[[], object]) -> tuple[threading.Thread, list[object]]:
    """Call ``action`` in a thread; return the thread, and a list for the result or the error."""
    results: list[object] = []

    def run() -> None:
        try:
            results.append(action())
        except (OSError, ClientGone) as error:
            results.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, results


# -- what a connection knows -----------------------------------------------------------------------


def test_connection_knows_its_addresses_and_its_age(pair: Pair) -> None:
    connection, client = pair
    assert connection.peer == Peer(*client.getsockname())
    assert connection.local == Peer(*client.getpeername())
    assert not connection.secure
    assert connection.requests == 0
    assert 0 <= time.time() - connection.created < PATIENCE
    assert repr(connection) == f"<Connection {connection.peer} idle>"
    assert not connection.draining


def test_plain_connection_has_no_environ(pair: Pair) -> None:
    connection, _ = pair
    assert connection.environ is None


def test_connection_enters_only_a_state_that_follows(pair: Pair) -> None:
    connection, _ = pair
    connection.enter(State.READY)
    connection.enter(State.ACTIVE)
    with pytest.raises(TransitionError):
        connection.enter(State.HANDSHAKE)
    assert connection.state is State.ACTIVE


def test_plain_handshake_is_complete(pair: Pair) -> None:
    assert pair[0].handshake()


# -- receiving without a wait ----------------------------------------------------------------------


def test_fill_returns_none_then_the_count_then_zero_at_the_end(pair: Pair) -> None:
    connection, client = pair
    assert connection.fill() is None
    client.sendall(b"hello")
    receive(connection, 5)
    assert connection.buffered == 5
    assert connection.fill() is None
    client.close()
    eventually(lambda: connection.fill() == 0, "for the end of the stream")
    assert connection.take() == b"hello"


def test_fill_receives_no_more_than_a_bound(pair: Pair) -> None:
    connection, client = pair
    client.sendall(bytes(3 * RECEIVE_SIZE))
    eventually(lambda: len(connection._socket.recv(2 * RECEIVE_SIZE, socket.MSG_PEEK)))
    assert connection.fill() == RECEIVE_SIZE


def test_fill_raises_when_the_connection_is_broken(pair: Pair) -> None:
    connection, client = pair
    client.sendall(b"x")
    receive(connection, 1)
    reset(client)

    def broken() -> bool:
        try:
            return connection.fill() is not None and False
        except ConnectionResetError:
            return True

    eventually(broken)


@pytest.mark.parametrize(
    "take_all",
    [
        lambda connection: connection.take(),
        lambda connection: connection.take_through(b"y\r\n"),
        lambda connection: connection.discard(),
    ],
)
@pytest.mark.parametrize("pieces", [1, 2])
def test_taken_bytes_keep_no_memory(
    pair: Pair, take_all: Callable[[Connection], object], pieces: int
) -> None:
    connection, client = pair
    for end in (b"x", b"xy\r\n")[-pieces:]:
        client.send(b"x" * 10_000 + end)
        eventually(connection.fill)
    take_all(connection)
    assert connection.buffered == 0
    assert connection.peek() == b""
    assert sys.getsizeof(connection._buffer) < 100
    client.send(b"more")
    eventually(connection.fill)
    assert connection.take(2) == b"mo"
    assert connection.take() == b"re"


def test_few_bytes_left_do_not_keep_the_memory_of_many(pair: Pair) -> None:
    connection, client = pair
    data = bytes(range(250)) * 200
    client.sendall(data)
    eventually(lambda: connection.fill(1 << 16) is not None and connection.buffered == len(data))
    assert connection.take(10) == data[:10]
    assert connection.take(len(data) - 13) == data[10:-3]
    assert sys.getsizeof(connection._buffer) < 100
    assert connection.peek() == data[-3:]
    client.send(b"more")
    eventually(connection.fill)
    assert connection.take() == data[-3:] + b"more"


def test_sent_bytes_keep_no_memory(pair: Pair) -> None:
    connection, client = pair
    data = bytes(range(256)) * 8000
    while not connection.unsent:
        connection.write(data[:50_000])
    assert connection.held
    received = 0
    while not connection.flush():
        received += len(client.recv(1 << 20))
    assert connection.held == 0
    assert connection._output is None
    connection.write(b"more")


def test_peek_take_find_and_take_through_use_the_buffered_bytes(pair: Pair) -> None:
    connection, client = pair
    client.sendall(b"one,two;three")
    receive(connection, 13)
    assert connection.peek() == b"one,two;three"
    assert connection.peek(3) == b"one"
    assert connection.peek(0) == b""
    assert connection.peek(99) == b"one,two;three"
    assert connection.take(2) == b"on"
    assert connection.find(b",") == 1
    assert connection.find(b",", 1) == 1
    assert connection.find(b",", 2) == -1
    assert connection.find(b"on") == -1
    assert connection.take_through(b"!") is None
    assert connection.take_through(b",") == b"e"
    assert connection.take_through(b";") == b"two"
    assert connection.take(0) == b""
    assert connection.take(99) == b"three"
    assert connection.take() == b""
    assert connection.buffered == 0


BUFFER_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("fill"), st.binary(min_size=1, max_size=40)),
        st.tuples(st.just("take"), st.integers(-1, 30)),
        st.tuples(st.just("peek"), st.integers(-1, 30)),
        st.tuples(st.just("find"), st.binary(min_size=1, max_size=2)),
        st.tuples(st.just("take_through"), st.binary(min_size=1, max_size=2)),
    ),
    max_size=30,
)


@given(BUFFER_STEPS)
def test_buffer_agrees_with_a_naive_model(steps: list[tuple[str, bytes | int]]) -> None:
    left, right = socket.socketpair()
    with left, right:
        connection = Connection(left)
        model = b""
        for what, value in steps:
            if isinstance(value, int):
                count = value if value >= 0 else len(model)
                assert getattr(connection, what)(value) == model[:count]
                if what == "take":
                    model = model[count:]
            elif what == "fill":
                right.sendall(value)
                assert connection.fill() == len(value)
                model += value
            elif what == "find":
                assert connection.find(value) == model.find(value)
            elif value in model:
                before, _, model = model.partition(value)
                assert connection.take_through(value) == before
            else:
                assert connection.take_through(value) is None
            assert connection.buffered == len(model)
            assert connection.peek() == model


class Stubborn(Connection):
    """Receiving needs the socket to be ready for writing at first, as with TLS."""

    refusals = 0

    def receive_now(self, size: int) -> bytes:
        if self.refusals:
            self.refusals -= 1
            raise NotYet(WRITE)
        return super().receive_now(size)


def test_interest_of_not_yet_is_remembered_for_the_wait(sockets: Sockets) -> None:
    server, client = sockets()
    connection = Stubborn(server)
    connection.refusals = 1
    client.sendall(b"hello")
    assert connection.fill() is None
    assert connection.wants == WRITE
    connection.refusals = 1
    assert connection.read(5) == b"hello"
    assert connection.wants == 0
    connection.close()


# -- receiving with a wait -------------------------------------------------------------------------


def test_read_waits_for_all_bytes_that_were_asked_for(pair: Pair) -> None:
    connection, client = pair
    begun = waiting(connection)
    thread, results = in_thread(lambda: connection.read(10))
    assert begun.wait(PATIENCE)
    client.sendall(b"01234")
    client.sendall(b"56789abc")
    thread.join(PATIENCE)
    assert results == [b"0123456789"]
    client.close()
    assert connection.read() == b"abc"
    assert connection.read(5) == b""


def test_read_returns_less_only_at_the_end_of_the_stream(pair: Pair) -> None:
    connection, client = pair
    client.sendall(b"abc")
    client.close()
    assert connection.read(10) == b"abc"


def test_readinto_fills_the_buffer_as_far_as_the_stream_goes(pair: Pair) -> None:
    connection, client = pair
    client.sendall(b"abcdef")
    buffer = bytearray(4)
    assert connection.readinto(buffer) == 4
    assert buffer == b"abcd"
    client.close()
    assert connection.readinto(memoryview(buffer)) == 2
    assert buffer == b"efcd"


def test_lines_are_read_singly_and_by_iteration(pair: Pair) -> None:
    connection, client = pair
    client.sendall(b"one\ntwo\n\nfour")
    client.close()
    assert connection.readline() == b"one\n"
    assert list(connection) == [b"two\n", b"\n", b"four"]
    assert connection.readline() == b""


def test_readline_waits_for_the_end_of_the_line_or_the_limit(pair: Pair) -> None:
    connection, client = pair
    begun = waiting(connection)
    thread, results = in_thread(connection.readline)
    assert begun.wait(PATIENCE)
    for piece in (b"a", b"b", b"c\nlong line\n"):
        client.sendall(piece)
    thread.join(PATIENCE)
    assert results == [b"abc\n"]
    assert connection.readline(4) == b"long"
    assert connection.readline(0) == b""
    assert connection.readline(100) == b" line\n"
    client.sendall(b"without an end")
    assert connection.readline(7) == b"without"


@pytest.mark.parametrize("method", ["read", "readline"])
def test_reading_from_a_reset_connection_raises(pair: Pair, method: str) -> None:
    connection, client = pair
    begun = waiting(connection)
    thread, results = in_thread(getattr(connection, method))
    assert begun.wait(PATIENCE)
    reset(client)
    thread.join(PATIENCE)
    assert isinstance(results[0], ClientGone)
    assert str(connection.peer) in str(results[0])


@pytest.mark.parametrize("method", ["read", "readline"])
def test_client_that_is_too_slow_to_send_is_cut_off(pair: Pair, method: str) -> None:
    connection, client = pair
    connection.timeouts = TINY
    client.sendall(b"half a ")
    with pytest.raises(ClientGone, match=f"{connection.peer} is too slow"):
        getattr(connection, method)()
    assert connection.close_reason is CloseReason.BODY_TIMEOUT


def test_read_sends_unsent_bytes_before_it_waits(pair: Pair) -> None:
    connection, client = pair
    fill_output(connection)
    connection.write(b"?")
    thread, results = in_thread(lambda: connection.read(1))
    while not client.recv(65536).endswith(b"?"):
        pass
    client.sendall(b"!")
    thread.join(PATIENCE)
    assert results == [b"!"]


# -- sending ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_small_writes_are_sent_at_once(pair: Pair, kind: Callable[[bytes], bytes]) -> None:
    connection, client = pair
    connection.write(kind(b"hello"))
    connection.write(b"")
    assert not connection.unsent
    assert client.recv(10) == b"hello"


def fill_output(connection: Connection) -> bytes:
    """Write more than the system takes for a client that does not read; return the bytes."""
    connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, NARROW)
    written = bytearray()
    piece = bytes(range(256)) * 16
    # 1. The buffer of the socket is full, and some bytes are held. 2. The system moves the buffer
    # into that of the client, and takes more. So what is held must be more than both take.
    while connection._output is None or connection._output.held < OUTPUT_BOUND * 3 // 4:
        connection.write(piece)
        written += piece
    return bytes(written)


def test_bytes_that_the_client_does_not_take_are_kept_and_flushed(pair: Pair) -> None:
    connection, client = pair
    written = fill_output(connection)
    assert not connection.flush()
    kept = bytearray(b"changed later")
    connection.write(kept)
    kept[:] = b"x" * len(kept)
    with reading(client) as found:
        eventually(connection.flush)
        assert not connection.unsent
        assert connection.flush()
        connection.shut_down()
    assert found == [written + b"changed later"]


def test_write_beyond_the_bound_waits_for_the_client(pair: Pair) -> None:
    connection, client = pair
    begun = waiting(connection)
    thread, results = in_thread(lambda: connection.write(LARGE))
    assert begun.wait(PATIENCE)
    assert connection._output is not None
    assert connection._output.held <= OUTPUT_BOUND
    with reading(client) as found:
        thread.join(PATIENCE)
        assert results == [None]
        assert connection._output.held <= OUTPUT_BOUND
        connection.flush_waiting()
        connection.shut_down()
    assert found == [LARGE]


def test_many_writes_never_keep_more_than_the_bound(pair: Pair) -> None:
    connection, client = pair
    with reading(client) as found:
        for start in range(0, len(LARGE), 100_000):
            connection.write(bytearray(LARGE[start : start + 100_000]))
            held = connection._output.held if connection._output is not None else 0
            assert held <= OUTPUT_BOUND
        connection.flush_waiting()
        connection.shut_down()
    assert found == [LARGE]


def test_client_that_is_too_slow_to_read_is_cut_off(pair: Pair) -> None:
    connection, _ = pair
    connection.timeouts = TINY
    with pytest.raises(ClientGone, match="too slow"):
        connection.write(LARGE)
    assert connection.close_reason is CloseReason.SEND_TIMEOUT


def test_writing_to_a_reset_connection_raises(pair: Pair) -> None:
    connection, client = pair
    reset(client)

    def gone() -> bool:
        try:
            connection.write(b"x")
        except ClientGone:
            return True
        return False

    eventually(gone)


def test_waiting_writer_notices_a_reset(pair: Pair) -> None:
    connection, client = pair
    begun = waiting(connection)
    thread, results = in_thread(lambda: connection.write(LARGE))
    assert begun.wait(PATIENCE)
    reset(client)
    thread.join(PATIENCE)
    assert isinstance(results[0], ClientGone)


def test_flush_to_a_reset_connection_raises(pair: Pair) -> None:
    connection, client = pair
    fill_output(connection)
    reset(client)

    def broken() -> bool:
        try:
            connection.flush()
        except OSError:
            return True
        return False

    eventually(broken)
    connection.close()
    assert not connection.unsent


@pytest.fixture
def file(tmp_path: Path) -> Iterator[tuple[int, bytes]]:
    content = LARGE[: 3 << 20]
    path = tmp_path / "file"
    path.write_bytes(content)
    descriptor = os.open(path, os.O_RDONLY)
    yield descriptor, content
    os.close(descriptor)


def test_files_are_sent_in_order_with_bytes(pair: Pair, file: tuple[int, bytes]) -> None:
    connection, client = pair
    descriptor, content = file
    connection.write(b"before ")
    connection.send_file(descriptor, 0, 0)
    assert not connection.unsent
    connection.send_file(descriptor, 10, 100)
    connection.send_file(descriptor, 0, len(content))
    connection.write(b" after")
    with reading(client) as found:
        connection.flush_waiting()
        connection.shut_down()
    assert found == [b"before " + content[10:110] + content + b" after"]


def test_descriptor_of_a_file_may_be_closed_at_once(pair: Pair, file: tuple[int, bytes]) -> None:
    connection, client = pair
    before = descriptors()
    copy = os.dup(file[0])
    connection.send_file(copy, 0, len(file[1]))
    connection.send_file(copy, 0, 5)
    os.close(copy)
    with reading(client) as found:
        connection.flush_waiting()
        connection.shut_down()
    assert found == [file[1] + file[1][:5]]
    assert descriptors() == before


def test_close_drops_files_that_are_not_sent(pair: Pair, file: tuple[int, bytes]) -> None:
    connection, _ = pair
    written = fill_output(connection)
    before = descriptors()
    connection.send_file(file[0], 0, len(written))
    assert descriptors() == before + 1
    connection.close()
    assert descriptors() == before - 1
    assert not connection.unsent


def test_file_that_became_shorter_resets_the_connection(
    pair: Pair, file: tuple[int, bytes]
) -> None:
    connection, client = pair
    with pytest.raises(ClientGone, match="shorter"):
        connection.send_file(file[0], len(file[1]) - 5, 10)
    connection.close()
    assert client.recv(10) == file[1][-5:]
    with pytest.raises(ConnectionResetError):
        client.recv(10)


def test_close_with_unsent_bytes_resets_the_connection(pair: Pair) -> None:
    connection, client = pair
    while connection._output is None or connection._output.held < OUTPUT_BOUND // 2:
        connection.write(bytes(10_000))
    connection.close()
    with pytest.raises(ConnectionResetError):
        receive_all(client)


def test_close_after_all_was_sent_ends_the_stream(pair: Pair) -> None:
    connection, client = pair
    with reading(client) as found:
        connection.write(LARGE)
        connection.flush_waiting()
        connection.close()
    assert found == [LARGE]


def test_file_is_copied_where_sendfile_does_not_work(
    pair: Pair, file: tuple[int, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EINVAL, "not this kind of file")

    monkeypatch.setattr(os, "sendfile", refuse)
    connection, client = pair
    with reading(client) as found:
        connection.send_file(file[0], 1, len(file[1]) - 1)
        connection.flush_waiting()
        monkeypatch.delattr(os, "sendfile")
        connection.send_file(file[0], 0, 7)
        connection.shut_down()
    assert found == [file[1][1:] + file[1][:7]]


# -- the end ---------------------------------------------------------------------------------------


def test_discard_throws_away_received_bytes(pair: Pair) -> None:
    connection, client = pair
    client.sendall(b"first")
    receive(connection, 5)
    client.sendall(bytes(100_000))
    assert not connection.discard()
    assert connection.buffered == 0
    client.close()
    eventually(connection.discard)
    assert connection.buffered == 0


class Pouring(Connection):
    """The client sends without a pause, until it has sent 10,000 pieces."""

    pieces = 10_000

    def receive_now(self, size: int) -> bytes:
        self.pieces -= 1
        return b"x" if self.pieces > 0 else b""


def test_discard_takes_a_bounded_share_from_a_client_that_sends_without_a_pause(
    sockets: Sockets,
) -> None:
    """The thread that discards looks after other clients in between."""
    connection = Pouring(sockets()[0])
    assert not connection.discard()
    first = 10_000 - connection.pieces
    assert 0 < first < 1000
    assert not connection.discard()
    assert 10_000 - connection.pieces == 2 * first
    connection.close()


def test_discard_returns_false_while_the_client_may_send_more(pair: Pair) -> None:
    connection, client = pair
    assert not connection.discard()
    client.sendall(b"more")
    eventually(lambda: peeked(connection))
    assert not connection.discard()
    assert not peeked(connection)


def test_abort_ends_every_wait(pair: Pair) -> None:
    connection, _ = pair
    begun = waiting(connection)
    thread, results = in_thread(connection.read)
    assert begun.wait(PATIENCE)
    connection.abort()
    thread.join(PATIENCE)
    assert results == [b""]
    with pytest.raises(ClientGone):
        connection.write(b"x")
    connection.abort()


def test_shut_down_leaves_the_other_direction_open(pair: Pair) -> None:
    connection, client = pair
    connection.write(b"last")
    connection.shut_down()
    assert receive_all(client) == b"last"
    client.sendall(b"still heard")
    assert connection.read(11) == b"still heard"


@pytest.mark.parametrize("far", [1e7, 1e12])
def test_deadlines_may_be_far_away(pair: Pair, far: float) -> None:
    connection, client = pair
    connection.timeouts = Timeouts(grace=far, stall=far)
    begun = waiting(connection)
    thread, results = in_thread(connection.readline)
    assert begun.wait(PATIENCE)
    client.sendall(b"x\n")
    thread.join(PATIENCE)
    assert results == [b"x\n"]


def test_transferred_bytes_move_the_deadline(pair: Pair) -> None:
    connection, _ = pair
    connection.timeouts = Timeouts(minimum_rate=100, grace=10, stall=1e6)
    connection.begin_transfer(1000.0)
    assert connection.deadline == 1010.0
    connection.transferred(500)
    connection.transferred(500)
    assert connection.deadline == 1020.0
    connection.begin_transfer(2000.0)
    assert connection.deadline == 2010.0


def test_waits_for_one_request_go_on_with_its_transfer(pair: Pair) -> None:
    connection, _ = pair
    connection.timeouts = Timeouts(minimum_rate=100, grace=10, stall=1e6)
    connection.resume_transfer(1000.0, sending=True)
    assert connection.deadline == 1010.0
    connection.resume_transfer(2000.0)  # meanwhile it is the client that sends
    assert connection.deadline == 2010.0
    connection._transfer.pause(0, 2009.0)  # type: ignore[union-attr]
    connection.transferred(500, sending=True)
    assert connection.deadline == 2010.0
    connection.resume_transfer(3000.0)
    assert connection.deadline == 3001.0
    connection.resume_transfer(4000.0, sending=True)
    assert connection.deadline >= 4010.0
    connection.requests += 1
    connection.resume_transfer(5000.0, sending=True)
    assert connection.deadline == 5010.0


def test_response_of_many_parts_gives_a_slow_reader_no_more_time(pair: Pair) -> None:
    """Each part alone is taken long before the grace is over."""
    connection, client = pair
    connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    connection.timeouts = Timeouts(minimum_rate=1e9, grace=0.5, stall=PATIENCE)
    done = threading.Event()

    def read() -> None:
        while not done.wait(0.01):
            client.recv(16 * 1024)

    def write() -> None:
        for _ in range(300):
            connection.write(bytes(32 * 1024))

    reader = threading.Thread(target=read)
    reader.start()
    try:
        with pytest.raises(ClientGone, match="too slow"):
            write()
    finally:
        done.set()
        connection.abort()
        reader.join(PATIENCE)
    assert connection.close_reason is CloseReason.SEND_TIMEOUT


def test_client_that_left_is_noticed_behind_unread_bytes(
    pair: tuple[Connection, socket.socket],
) -> None:
    connection, client = pair
    assert not connection.client_left()
    client.sendall(b"sent before")
    assert not connection.client_left()
    client.close()
    eventually(connection.client_left)
    assert connection.read() == b"sent before"
    connection.close()
    assert connection.client_left()


def test_rest_of_a_response_is_kept_without_waiting(pair: Pair) -> None:
    connection, client = pair
    waits = waiting(connection)
    parts = [bytes([number]) * 1_000_000 for number in range(20)]

    def write() -> None:
        for part in parts:
            connection.write_rest(part)

    thread, results = in_thread(write)
    thread.join(PATIENCE)
    assert results == [None]
    assert not waits.is_set()
    assert connection.unsent
    assert connection.held == connection.server.output.held > 10_000_000
    with reading(client) as received:
        while not connection.flush():
            wait_ready(connection.descriptor, WRITE, PATIENCE)
        connection.shut_down()
    assert received == [b"".join(parts)]
    assert connection.server.output.held == 0


def test_rest_of_a_response_waits_once_all_connections_hold_half_of_the_total(pair: Pair) -> None:
    connection, client = pair
    waits = waiting(connection)
    connection.server.output.take(TOTAL_OUTPUT // 2)
    thread, results = in_thread(lambda: connection.write_rest(bytes(20_000_000)))
    wait_for(waits)
    with reading(client) as received:
        thread.join(PATIENCE)
        while not connection.flush():
            wait_ready(connection.descriptor, WRITE, PATIENCE)
        connection.shut_down()
    assert results == [None]
    assert received == [bytes(20_000_000)]


def test_half_closed_connection_is_not_broken_and_a_reset_connection_is(
    pair: Pair,
) -> None:
    connection, client = pair
    assert not connection.is_broken()
    client.sendall(b"sent before")
    client.shutdown(socket.SHUT_WR)
    eventually(connection.client_left)
    assert not connection.is_broken()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    eventually(connection.is_broken)
    connection.close()
    assert connection.is_broken()


def test_write_after_the_end_reaches_no_other_client(sockets: Sockets) -> None:
    """1. A connection is closed. 2. Another one gets the number of its descriptor."""
    server, _ = sockets()
    other, other_client = sockets()
    connection = Connection(server)
    number = connection.descriptor
    connection.close()
    os.dup2(other.fileno(), number)
    try:
        with pytest.raises(ClientGone):
            connection.write(b"not for this client")
        with pytest.raises(OSError, match="Bad file descriptor"):
            connection.fill()
        assert wait_ready(connection.descriptor, READ, 0)  # so that a thread that waits goes on
    finally:
        os.close(number)
    other.sendall(b"x")
    assert other_client.recv(100) == b"x"
