from __future__ import annotations

import pytest

from rocket_core import State, TransitionError
from rocket_core._state import OWNERS, TRANSITIONS, Owner, check_transition


def test_every_state_has_an_owner_and_transitions() -> None:
    assert set(OWNERS) == set(State)
    assert set(TRANSITIONS) == set(State)


def test_monitor_owns_exactly_the_states_in_which_the_client_has_the_next_move() -> None:
    monitored = {state for state, owner in OWNERS.items() if owner is Owner.MONITOR}
    assert monitored == {
        *(State.HANDSHAKE, State.IDLE, State.HEAD, State.BODY),
        *(State.SHARED, State.SENDING, State.LINGER),
    }
    assert OWNERS[State.READY] is Owner.QUEUE
    assert OWNERS[State.ACTIVE] is Owner.WORKER
    assert OWNERS[State.CLOSED] is Owner.NONE


def test_every_state_is_reachable_from_the_first_ones() -> None:
    reached = {State.HANDSHAKE}
    while more := {after for state in reached for after in TRANSITIONS[state]} - reached:
        reached |= more
    assert reached == set(State)


def test_every_state_but_closed_may_close() -> None:
    for state in State:
        assert (State.CLOSED in TRANSITIONS[state]) is (state is not State.CLOSED)


def test_closed_is_final() -> None:
    assert not TRANSITIONS[State.CLOSED]


def test_linger_only_closes() -> None:
    assert TRANSITIONS[State.LINGER] == {State.CLOSED}


def test_only_what_waits_for_a_worker_becomes_active() -> None:
    assert [state for state in State if State.ACTIVE in TRANSITIONS[state]] == [State.READY]


def test_nothing_returns_to_the_handshake() -> None:
    assert not any(State.HANDSHAKE in after for after in TRANSITIONS.values())


@pytest.mark.parametrize("source", State)
@pytest.mark.parametrize("target", State)
def test_check_follows_the_table(source: State, target: State) -> None:
    if target in TRANSITIONS[source]:
        check_transition(source, target)
        return
    with pytest.raises(TransitionError) as caught:
        check_transition(source, target)
    assert str(caught.value) == (
        f"a connection in state '{source.value}' cannot enter '{target.value}'"
    )
