"""Tables of raw frames give the same results whole and in pieces."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from peer import Peer
from raw import connection, heads, streams
from raw.case import HELLO, Case

from conformance.cuts import at_random, single_bytes, whole

Cut = Callable[[bytes], list[bytes]]

ALL = [*connection.CASES, *streams.CASES, *heads.CASES]
CASES = {each.name: each for each in ALL}


def play(case: Case, cut: Cut) -> list[str]:
    """Return the transcript of a case, whose parts are cut."""
    peer = Peer()
    if case.hello:
        peer.receive([HELLO])
    peer.flush()
    peer.lines.clear()
    for part in case.sent:
        peer.receive(cut(part))
        if case.answers:
            peer.answer()
        peer.flush()
    return peer.lines


def test_names_are_different_and_there_are_enough() -> None:
    assert len(CASES) == len(ALL)
    assert len(CASES) >= 200


@pytest.mark.parametrize("name", CASES)
def test_whole(name: str) -> None:
    assert play(CASES[name], whole) == [*CASES[name].result]


@pytest.mark.parametrize("name", CASES)
def test_byte_by_byte(name: str) -> None:
    assert play(CASES[name], single_bytes) == [*CASES[name].result]


@pytest.mark.parametrize("name", CASES)
def test_in_random_pieces(name: str) -> None:
    for seed in range(5):
        result = play(CASES[name], partial(at_random, seed=f"{name}{seed}"))
        assert result == [*CASES[name].result]
