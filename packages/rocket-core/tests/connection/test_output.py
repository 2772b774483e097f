from __future__ import annotations

import os
import tracemalloc
from typing import TYPE_CHECKING

import pytest

from rocket_core import Connection
from rocket_core._connection.budget import Budget
from rocket_core._connection.output import OUTPUT_BOUND, Output
from rocket_core._system.sendfile import send_copied
from rocket_core.testing import descriptors

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    Pair = tuple[Connection, socket.socket]


class Sparing(Connection):
    """The client takes three bytes at a time, and nothing at every second attempt."""

    takes = False

    def send_now(self, data: bytes | bytearray | memoryview) -> int | None:
        self.takes = not self.takes
        return super().send_now(memoryview(data)[:3]) if self.takes else None


@pytest.fixture
def open_file(tmp_path: Path) -> int:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    return os.open(path, os.O_RDONLY)


def test_parts_go_out_in_order(pair: Pair, open_file: int) -> None:
    connection, client = pair
    output = Output(Budget())
    assert not output
    output.add(memoryview(b"before "))
    output.add_spans(open_file, [(b"", 2, 5)])
    output.add(memoryview(b" after"))
    os.close(open_file)
    assert output
    assert output.held == len("before  after")
    assert output.flush(connection) == len("before 23456 after")
    assert not output
    assert output.held == 0
    assert client.recv(100) == b"before 23456 after"


SPANS = [(b"<", 2, 3), (b"|", 0, 1), (b">", 0, 0)]


def test_spans_of_a_file_share_a_descriptor(pair: Pair, open_file: int) -> None:
    connection, client = pair
    before = descriptors()
    budget = Budget(0)
    output = Output(budget)
    output.add_spans(open_file, SPANS)
    os.close(open_file)
    assert descriptors() == before
    assert output.held == budget.held == 3
    assert output.flush(connection) == 7
    assert client.recv(100) == b"<234|0>"
    assert descriptors() == before - 1
    assert not output
    assert output.held == budget.held == 0


def test_clear_closes_the_descriptor_of_unsent_spans(pair: Pair, open_file: int) -> None:
    before = descriptors()
    connection = Sparing(pair[0]._socket.dup())
    output = Output(Budget())
    output.add_spans(open_file, SPANS)
    os.close(open_file)
    assert output.flush(connection) == len("<234")
    output.clear()
    connection.close()
    assert descriptors() == before - 1


def test_bytes_that_the_client_does_not_take_stay(pair: Pair) -> None:
    plain, client = pair
    connection = Sparing(plain._socket.dup())
    output = Output(Budget())
    output.add(memoryview(b"abcdefgh"))
    assert [output.flush(connection) for _ in range(3)] == [3, 3, 2]
    assert not output
    assert client.recv(100) == b"abcdefgh"
    connection.close()


class Greedy(Connection):
    """The client takes all bytes of a file at once."""

    __slots__ = ()

    def send_file_now(self, descriptor: int, offset: int, count: int) -> int | None:
        del descriptor, offset
        return count


def test_one_flush_sends_a_bounded_share_to_a_client_that_takes_everything(
    pair: Pair, open_file: int
) -> None:
    connection = Greedy(pair[0]._socket.dup())
    output = Output(Budget())
    total = 1 << 40
    output.add_spans(open_file, [(b"", 0, total)])
    os.close(open_file)
    sent = output.flush(connection)
    assert 0 < sent < total / 1000
    assert 0 < output.flush(connection) < total / 1000
    assert output
    output.clear()
    connection.close()


def test_clear_drops_everything(pair: Pair, open_file: int) -> None:
    output = Output(Budget())
    output.add(memoryview(b"never sent"))
    output.add_spans(open_file, [(b"", 0, 10)])
    os.close(open_file)
    output.clear()
    assert not output
    assert output.held == 0
    assert output.flush(pair[0]) == 0


def test_small_pieces_take_little_more_memory_than_they_hold(pair: Pair) -> None:
    connection, client = pair
    output = Output(Budget())
    piece = memoryview(b"6 byte")
    tracemalloc.start()
    try:
        for _ in range(20_000):
            assert output.add(piece) == 6
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert output.held == 120_000
    assert taken < 2 * output.held
    received = b""
    while output:
        output.flush(connection)
        received += client.recv(1 << 16)
    while len(received) < 120_000:
        received += client.recv(1 << 16)
    assert received == bytes(piece) * 20_000
    assert output.held == 0


def test_copying_sends_a_part_of_a_file(pair: Pair, open_file: int) -> None:
    connection, client = pair
    assert send_copied(connection._socket, open_file, 7, 100) == 3
    assert send_copied(connection._socket, open_file, 10, 100) == 0
    assert client.recv(100) == b"789"
    while (sent := send_copied(connection._socket, open_file, 0, 10)) is not None:
        assert sent > 0
    os.close(open_file)


class Measured:
    """A client that takes a few bytes at a time, and nothing at every second attempt."""

    def __init__(self) -> None:
        self.received = bytearray()
        self._takes = False

    def send_now(self, data: memoryview) -> int | None:
        self._takes = not self._takes
        if not self._takes:
            return None
        self.received += data[:10_007]
        return min(len(data), 10_007)

    def send_file_now(self, descriptor: int, offset: int, count: int) -> int | None:
        raise NotImplementedError


def test_lent_bytes_count_until_all_of_them_are_sent() -> None:
    client = Measured()
    budget = Budget(4 * OUTPUT_BOUND)
    output = Output(budget)
    whole = bytes(range(256)) * (OUTPUT_BOUND // 256) + b"the end"
    rest = memoryview(whole)[3:]
    before, after = b"before ", b" after" * 5000
    lent = range(len(before) + len(rest))
    assert output.add(memoryview(before)) == len(before)
    assert output.lend(rest, len(whole))
    assert output.held == budget.held == len(whole) + len(before)
    assert output.add(memoryview(after)) == len(after)
    total = len(before) + len(rest) + len(after)
    while output:
        output.flush(client)
        sent = len(client.received)
        copied = total - max(sent, len(lent)) + max(len(before) - sent, 0)
        assert output.held == budget.held == copied + (len(whole) if sent in lent else 0)
    assert client.received == before + rest + after
    assert output.held == budget.held == 0


def test_bytes_within_the_bound_or_beyond_half_of_the_budget_are_not_lent() -> None:
    budget = Budget(4 * OUTPUT_BOUND)
    output = Output(budget)
    assert not output.lend(memoryview(bytes(OUTPUT_BOUND)), OUTPUT_BOUND)
    large = bytes(2 * OUTPUT_BOUND)
    assert output.lend(memoryview(large), len(large))
    assert not output.lend(memoryview(large), len(large))
    assert Output(budget).add(memoryview(large)) == OUTPUT_BOUND
    output.clear()
    assert budget.held == OUTPUT_BOUND
