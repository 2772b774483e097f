"""The table of cases gives the same results over connections and in memory, whole and in pieces."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext, suppress

import pytest

from client import Client
from conformance.case import SENTINEL_SEEN, Case
from conformance.cuts import at_random, single_bytes, whole
from conformance.echo import MAX_BODY, echo, read_echo
from conformance.table import CASES
from conformance.wire import exchange
from rocket_core import Listener, Server, State, TCPAddress
from rocket_wsgi import WSGIWorker

Cut = Callable[[bytes], list[bytes]]


def make_worker() -> WSGIWorker:
    return WSGIWorker(echo, max_body=MAX_BODY)


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    listener = Listener("127.0.0.1:0")
    with Server(make_worker, [listener], min_threads=2, max_threads=2) as server:
        address = listener.address
        assert isinstance(address, TCPAddress)
        yield Client((address.host, address.port), server)


def in_random_pieces(data: bytes) -> list[bytes]:
    return at_random(data, repr(data))


@pytest.fixture(params=[whole, single_bytes, in_random_pieces], ids=lambda cut: cut.__name__)
def cut(request: pytest.FixtureRequest) -> Cut:
    found: Cut = request.param
    return found


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_over_a_connection(client: Client, case: Case, cut: Cut) -> None:
    expected = [*case.seen, *([SENTINEL_SEEN] if case.kept else [])]
    with closing(client.open()) as stream:
        stream.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # A client that has asked for the end and still sends may see a reset after the answer.
        may_be_reset = case.status == 200 and not case.kept
        with suppress(ConnectionError) if may_be_reset else nullcontext():
            for piece in cut(case.sent):
                stream.send(piece)
        for request in expected:
            answer = stream.answer()
            assert answer.status == 200, answer.body
            assert read_echo(answer.body) == request
        if case.status != 200:
            answer = stream.answer()
            assert answer.status == case.status, answer.body
            assert answer["Connection"] == "close"
            assert answer["Content-Type"].startswith("text/plain")
            assert 0 < len(answer.body) < 150
        if case.kept:
            stream.socket.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError) if may_be_reset else nullcontext():
            assert stream.rest() == b""


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_in_memory(case: Case, cut: Cut) -> None:
    """Here the pieces arrive exactly as they were cut, which a network does not guarantee."""
    found = exchange(cut(case.sent))
    assert found.seen == (*case.seen, *([SENTINEL_SEEN] if case.kept else []))
    assert found.statuses == [200] * len(found.seen) + ([case.status] if case.status != 200 else [])
    assert (found.state is State.CLOSED) is not case.kept
    assert found == exchange([case.sent])


def test_every_case_names_its_rule() -> None:
    assert len(CASES) >= 300
    for case in CASES.values():
        assert case.source.startswith(("RFC ", "CVE-", "PEP ")), case
        assert not case.kept or case.sentinel, case


def test_nothing_is_refused_without_need() -> None:
    """A parser that refuses everything would pass half of the table."""
    assert sum(case.status == 200 for case in CASES.values()) > 100
