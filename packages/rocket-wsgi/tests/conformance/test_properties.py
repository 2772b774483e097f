"""The rules hold for any bytes, however they are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from conformance.cuts import between, single_bytes
from conformance.generated import mutated, requests, streams
from conformance.rules import check
from conformance.wire import exchange
from rocket_core import State


@given(requests())
def test_valid_requests_are_accepted_or_refused_for_a_known_reason(data: bytes) -> None:
    outcome = exchange([data])
    check(outcome)
    # Reasons: a target that the method does not allow, two Content-Type fields, an HTTP/1.0 upload
    # without a length on a kept connection.
    assert outcome.statuses[:1] in ([200], [400], [411], [501]), outcome


@given(streams(), st.lists(st.integers(0, 1000), max_size=8))
def test_cuts_do_not_matter(data: bytes, places: list[int]) -> None:
    outcome = exchange([data])
    check(outcome)
    places = sorted(place for place in places if place <= len(data))
    assert exchange(between(data, places)) == outcome
    assert exchange(single_bytes(data)) == outcome


@given(mutated())
def test_damaged_requests_do_not_break_the_rules(data: bytes) -> None:
    check(exchange([data]))


@given(streams(), streams())
def test_nothing_is_read_after_an_error(data: bytes, more: bytes) -> None:
    outcome = exchange([data])
    if outcome.state is State.CLOSED:
        assert exchange([data + more]) == outcome
