from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_core import Connection
from rocket_core.extending import Spool
from rocket_core.http1 import HeadError
from rocket_wsgi._http1.body_decoder import ChunkedBody, LengthBody

LIMIT = 1 << 20


class Pair(NamedTuple):
    connection: Connection
    client: socket.socket


@pytest.fixture(name="pair")
def make_pair() -> Iterator[Pair]:
    server, client = socket.socketpair()
    connection = Connection(server)
    yield Pair(connection, client)
    connection.close()
    client.close()


def feed(pair: Pair, body: ChunkedBody | LengthBody, *pieces: bytes) -> bool:
    done = False
    for piece in pieces:
        assert not done
        pair.client.sendall(piece)
        pair.connection.fill()
        done = body.take(pair.connection)
    return done


def content(body: ChunkedBody | LengthBody) -> bytes:
    spool = body.store
    assert isinstance(spool, Spool)
    data = spool.open().read()
    spool.close()
    return data


def refused(pair: Pair, *pieces: bytes, limit: int = LIMIT) -> int:
    with pytest.raises(HeadError) as caught:
        feed(pair, ChunkedBody(limit, Spool()), *pieces)
    return caught.value.status


def test_length(pair: Pair) -> None:
    body = LengthBody(6, Spool())
    assert feed(pair, body, b"abc", b"defGET")
    assert content(body) == b"abcdef"
    assert pair.connection.take() == b"GET"


def test_chunks(pair: Pair) -> None:
    body = ChunkedBody(LIMIT, Spool())
    assert feed(pair, body, b"3\r\nabc\r\n0B;a=b\r\nhello world\r\n0\r\nX-T: y\r\n\r\nGET")
    assert content(body) == b"abchello world"
    assert pair.connection.take() == b"GET"


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=5),
    st.lists(st.integers(1, 30), min_size=1, max_size=30),
    st.sampled_from([b"", b"X-A: b\r\n", b"A: b\r\nC: d\r\n"]),
)
def test_chunks_split_anywhere(chunks: list[bytes], steps: list[int], trailers: bytes) -> None:
    wire = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    wire += b"0\r\n" + trailers + b"\r\n"
    pieces = []
    index = 0
    while wire:
        size = steps[index % len(steps)]
        pieces.append(wire[:size])
        wire = wire[size:]
        index += 1
    server, client = socket.socketpair()
    connection = Connection(server)
    try:
        body = ChunkedBody(LIMIT, Spool())
        assert feed(Pair(connection, client), body, *pieces)
        assert content(body) == b"".join(chunks)
        assert connection.buffered == 0
    finally:
        connection.close()
        client.close()


@pytest.mark.parametrize(
    "wire",
    [
        b"g\r\n",
        b"-1\r\n",
        b"+1\r\n",
        b"0x1\r\n",
        b" 1\r\n",
        b"1 x\r\n",
        b"\r\n",
        b"1_0\r\n",
        b"11111111111111111\r\n",
        b"1;\x00\r\n",
        b"1;a\rb\r\n",
        b"1;a\nb\r\n",
        b"1\na\r\n",
        b"1\nabc",
        b"1\r\nab",
        b"1\r\na\rb",
        b"1\r\na\n",
        b"0\r\nbad trailer\r\n",
        b"0\r\nX : y\r\n",
        b"0\r\nX: \x00\r\n",
        b"0\r\nX: a\nY: b\r\n",
        b"1;" + b"x" * 300,
        b"1;" + b"x" * 300 + b"\r\n",
    ],
)
def test_malformed_chunks(pair: Pair, wire: bytes) -> None:
    assert refused(pair, wire) == 400


def test_chunks_beyond_the_limit(pair: Pair) -> None:
    assert refused(pair, b"5\r\nabcde\r\n6\r\n", limit=10) == 413
    with pytest.raises(HeadError) as caught:
        feed(pair, ChunkedBody(10, Spool()), b"ffffffffffffffff\r\n")
    assert caught.value.status == 413


def test_a_flood_of_tiny_chunks(pair: Pair) -> None:
    assert refused(pair, *[b"1\r\nx\r\n" * 1000] * 2) == 400


def test_many_chunks_of_a_fair_size(pair: Pair) -> None:
    body = ChunkedBody(LIMIT, Spool())
    one = b"40\r\n" + b"x" * 64 + b"\r\n"
    assert feed(pair, body, *[one * 100] * 30, b"0\r\n\r\n")
    assert body.store.size == 64 * 3000
    body.store.close()


def test_too_many_trailers(pair: Pair) -> None:
    assert refused(pair, b"0\r\n" + b"X: y\r\n" * 101) == 431


def test_a_long_trailer(pair: Pair) -> None:
    assert refused(pair, b"0\r\n", b"X: ", *[b"y" * 8192] * 3) == 431
