from __future__ import annotations

from collections import deque

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rocket_wsgi._websocket.close_codes import check_close
from rocket_wsgi._websocket.encoding import FIN, PING, PONG, close_frame, frame
from rocket_wsgi._websocket.frame_reader import Closing, Failure, Ping, Pong
from rocket_wsgi._websocket.session import SLOW, Admission, CallKind, Session
from rocket_wsgi._websocket.state import TRANSITIONS, State, Step


def begin(
    *,
    read_ahead: int = 16,
    max_message: int = 1000,
    ping: float | None = 25.0,
    drop: bool = False,
    opened: bool = True,
) -> Session:
    session = Session(0.0, max_message=max_message, read_ahead=read_ahead, ping=ping, drop=drop)
    if opened:
        assert run(session) == (CallKind.OPEN, "", 0)
    return session


def start(session: Session) -> tuple[CallKind, str | bytes, int] | None:
    call = session.next_call()
    return None if call is None else (call.kind, call.data, call.number)


def run(session: Session, now: float = 0.0) -> tuple[CallKind, str | bytes, int] | None:
    call = start(session)
    if call is not None:
        assert session.returned(now) == b""
    return call


# Attributes by functions, because the type checker takes them for constant between two statements.


def state(session: Session) -> State:
    return session.state


def closed(session: Session) -> bool:
    return session.closed


def reading(session: Session) -> bool:
    return session.reading


def deadline(session: Session) -> float | None:
    return session.deadline


def due(session: Session) -> bool:
    return session.due


def test_calls_come_one_at_a_time_and_in_order() -> None:
    session = begin(opened=False)
    session.receive("a", 1, 0)
    assert start(session) == (CallKind.OPEN, "", 0)
    assert not due(session)
    assert session.next_call() is None
    session.returned(0.0)
    assert due(session)
    assert run(session) == (CallKind.MESSAGE, "a", 1)
    assert run(session) is None


def test_reading_ahead_stops_at_a_number_of_messages() -> None:
    session = begin(read_ahead=2)
    session.receive("a", 1, 0)
    assert start(session) is not None
    session.receive("b", 1, 0)
    assert reading(session)
    session.receive("c", 1, 0)
    assert not reading(session)
    session.returned(0.0)
    assert start(session) == (CallKind.MESSAGE, "b", 1)
    assert reading(session)


def test_reading_ahead_stops_at_a_number_of_bytes() -> None:
    session = begin(max_message=10)
    session.receive(b"x" * 10, 10, 0)
    assert not reading(session)
    assert session.held == 10
    run(session)
    assert reading(session)
    assert session.held == 0


def test_pings_are_answered_while_a_call_runs() -> None:
    session = begin()
    session.receive("a", 1, 0)
    start(session)
    assert session.receive(Ping(b"p"), 0, 0) == frame(FIN | PONG, b"p")
    assert session.receive(Pong(b"p"), 0, 0) == b""


def test_only_the_last_ping_of_a_slow_client_is_answered() -> None:
    session = begin()
    assert session.receive(Ping(b"1"), 0, SLOW) == b""
    assert session.receive(Ping(b"2"), 0, SLOW) == b""
    assert session.drained() == frame(FIN | PONG, b"2")
    assert session.drained() == b""


def test_clients_close_is_answered_when_the_messages_before_it_have_been_handled() -> None:
    session = begin()
    session.receive("a", 1, 0)
    assert session.receive(Closing(3000, "bye"), 0, 0) == b""
    assert not closed(session)
    assert not reading(session)
    assert session.admit(0) is Admission.SEND
    assert start(session) == (CallKind.MESSAGE, "a", 1)
    assert session.returned(0.0) == close_frame(3000)
    assert closed(session)
    assert run(session) == (CallKind.CLOSE, "bye", 3000)
    assert run(session) is None


def test_close_without_a_code_is_answered_by_one_without() -> None:
    session = begin()
    assert session.receive(Closing(1005, ""), 0, 0) == close_frame(None)
    assert run(session) == (CallKind.CLOSE, "", 1005)


def test_after_our_close_no_message_is_handled() -> None:
    session = begin()
    session.receive("a", 1, 0)
    assert session.close(4000, "enough", 5.0) == close_frame(4000, "enough")
    assert session.close(4001, "", 5.0) == b""
    assert closed(session)
    assert reading(session)
    session.receive("b", 1, 0)
    assert session.receive(Ping(b""), 0, 0) == b""
    assert run(session) is None
    assert session.receive(Closing(4000, ""), 0, 0) == b""
    assert run(session) == (CallKind.CLOSE, "enough", 4000)


def test_clients_close_is_awaited_for_two_seconds() -> None:
    session = begin()
    session.close(1000, "", 5.0)
    assert session.deadline == 7.0
    assert session.tick(6.9) == b""
    assert state(session) is State.AWAITING
    session.tick(7.0)
    assert state(session) is State.CLOSED
    assert run(session) == (CallKind.CLOSE, "", 1000)


def test_our_close_after_the_clients_is_the_answer_and_the_clients_code_counts() -> None:
    session = begin()
    session.receive("a", 1, 0)
    session.receive(Closing(3000, "bye"), 0, 0)
    assert session.close(1000, "", 0.0) == close_frame(1000)
    assert state(session) is State.CLOSED
    assert run(session) == (CallKind.CLOSE, "bye", 3000)


def test_failure_ends_at_once_and_drops_messages() -> None:
    session = begin()
    session.receive("a", 1, 0)
    assert session.receive(Failure(1009, "big"), 0, 0) == close_frame(1009, "big")
    assert state(session) is State.CLOSED
    assert run(session) == (CallKind.CLOSE, "big", 1009)


def test_failure_after_our_close_sends_nothing() -> None:
    session = begin()
    session.close(1000, "", 0.0)
    assert session.receive(Failure(1002, ""), 0, 0) == b""
    assert run(session) == (CallKind.CLOSE, "", 1000)


def test_exception_or_delay_of_a_call_ends_with_1011_and_the_last_call_follows() -> None:
    session = begin()
    session.receive("a", 1, 0)
    start(session)
    assert session.raised() == close_frame(1011)
    assert session.admit(0) is Admission.REFUSE
    assert session.next_call() is None
    assert session.returned(0.0) == b""
    assert run(session) == (CallKind.CLOSE, "", 1011)


def test_messages_of_a_client_that_has_left_are_handled() -> None:
    session = begin()
    session.receive("a", 1, 0)
    session.sent()
    session.drained()
    session.gone()
    assert closed(session)
    assert run(session) == (CallKind.MESSAGE, "a", 1)
    assert run(session) == (CallKind.CLOSE, "", 1006)


def test_handler_is_opened_before_it_is_closed() -> None:
    session = begin(opened=False)
    session.close(1000, "", 0.0)
    session.gone()
    assert run(session) == (CallKind.OPEN, "", 0)
    assert run(session) == (CallKind.CLOSE, "", 1000)


def test_silent_client_gets_a_ping_and_then_1006() -> None:
    session = begin(ping=10.0)
    assert session.deadline == 10.0
    assert session.tick(9.0) == b""
    assert session.tick(10.0) == frame(FIN | PING, b"")
    assert session.deadline == 20.0
    assert session.tick(20.0) == b""
    assert run(session) == (CallKind.CLOSE, "", 1006)


def test_any_bytes_answer_a_ping() -> None:
    session = begin(ping=10.0)
    session.tick(10.0)
    session.heard(15.0)
    assert session.deadline == 25.0


def test_time_stands_still_while_nothing_is_read() -> None:
    session = begin(ping=10.0)
    session.stop_reading(4.0)
    session.stop_reading(5.0)
    assert deadline(session) is None
    assert session.tick(1000.0) == b""
    session.go_on_reading(104.0)
    assert deadline(session) == 110.0
    session.tick(110.0)
    session.stop_reading(111.0)
    session.go_on_reading(211.0)
    assert deadline(session) == 220.0


def test_without_pings_there_is_no_deadline() -> None:
    assert begin(ping=None).deadline is None


def test_slow_client_is_closed_or_messages_are_refused() -> None:
    assert SLOW == 256 * 1024
    assert begin().admit(SLOW - 1) is Admission.SEND
    assert begin(drop=True).admit(SLOW - 1) is Admission.SEND
    assert begin(drop=True).admit(SLOW) is Admission.REFUSE
    session = begin()
    assert session.admit(SLOW) is Admission.OVERFLOW
    session.overflow(0.0)
    session.gone()
    call = run(session)
    assert call is not None
    assert call[2] == 1013


def test_drained_is_called_once_for_several_sends() -> None:
    session = begin()
    session.drained()
    assert run(session) is None
    session.sent()
    session.sent()
    session.drained()
    session.sent()
    session.drained()
    assert run(session) == (CallKind.DRAINED, "", 0)
    assert run(session) is None
    session.sent()
    session.drained()
    assert run(session) == (CallKind.DRAINED, "", 0)


def test_drained_is_not_called_after_a_close() -> None:
    session = begin()
    session.sent()
    session.drained()
    session.close(1000, "", 0.0)
    session.drained()
    assert run(session) is None


def test_drained_is_not_called_once_the_client_has_left() -> None:
    session = begin()
    session.sent()
    session.gone()
    session.drained()
    assert run(session) == (CallKind.CLOSE, "", 1006)


def test_shutdown_follows_what_waits_and_then_1001() -> None:
    session = begin()
    session.receive("a", 1, 0)
    session.shut_down()
    assert run(session) == (CallKind.MESSAGE, "a", 1)
    assert start(session) == (CallKind.SHUTDOWN, "", 0)
    assert session.admit(0) is Admission.SEND
    assert session.returned(3.0) == close_frame(1001)
    assert session.deadline == 5.0


@pytest.mark.parametrize("code", [999, 1004, 1005, 1006, 1015, 1016, 2999, 5000])
def test_codes_that_cannot_be_sent(code: int) -> None:
    with pytest.raises(ValueError, match=f"close code {code}"):
        check_close(code, "")


@pytest.mark.parametrize("code", [1000, 1003, 1007, 1014, 3000, 4999])
def test_codes_at_the_bounds_of_what_can_be_sent(code: int) -> None:
    check_close(code, "")


def test_reason_has_at_most_123_bytes() -> None:
    check_close(1000, "x" * 123)
    with pytest.raises(ValueError, match="123 bytes"):
        check_close(1000, "ä" * 62)


def test_no_step_leads_out_of_closed() -> None:
    assert all(State.CLOSED is not state for state, _ in TRANSITIONS)
    assert {(state, step) for state in State for step in Step} - set(TRANSITIONS) == {
        (State.ANSWERING, Step.CLIENT_CLOSES),
        (State.AWAITING, Step.WE_CLOSE),
        *((State.CLOSED, step) for step in Step),
    }


class Websocket(RuleBasedStateMachine):
    """A session beside a plain model of the contract: what is handled, and what is sent."""

    @initialize(read_ahead=st.integers(1, 4), drop=st.booleans())
    def begin(self, read_ahead: int, drop: bool) -> None:
        self.session = begin(read_ahead=read_ahead, ping=10.0, drop=drop, opened=False)
        self.now = 0.0
        self.arrived: deque[int] = deque()  # messages that must be handled
        self.number = 0
        self.calls: list[CallKind] = []
        self.running: CallKind | None = None
        self.ours = 0  # close frames sent
        self.first: int | None = None  # the code for on_close
        self.theirs = False

    def runs(self) -> bool:
        """Return whether a call runs.

        It has a name, because old versions of hypothesis parse the module for each look at a
        precondition that has none, which takes minutes on a busy machine.
        """
        return self.running is not None

    def put(self, data: bytes) -> None:
        assert not (data and self.ours), "nothing follows our close frame"
        if data[:1] == bytes([FIN | 8]):
            self.ours += 1

    @rule()
    def message(self) -> None:
        if not self.session.reading:
            return
        self.number += 1
        if not self.ours:
            self.arrived.append(self.number)
        self.put(self.session.receive(str(self.number), 1, 0))

    @rule(code=st.sampled_from([1000, 1005, 4000]))
    def client_closes(self, code: int) -> None:
        if self.session.reading and not self.theirs:
            self.theirs = True
            if self.first is None:
                self.first = code
            self.put(self.session.receive(Closing(code, ""), 0, 0))

    @rule()
    def client_pings(self) -> None:
        if self.session.reading:
            self.put(self.session.receive(Ping(b"p"), 0, 0))

    @rule()
    def client_errs(self) -> None:
        if self.session.reading:
            self.fail(1002)
            self.put(self.session.receive(Failure(1002, ""), 0, 0))

    @rule()
    def client_goes(self) -> None:
        if self.session.state is not State.CLOSED and self.first is None:
            self.first = 1006
        self.session.gone()

    @rule()
    def we_close(self) -> None:
        self.fail(4001, changed=not self.session.closed)
        self.put(self.session.close(4001, "", self.now))

    @precondition(runs)
    @rule()
    def raises(self) -> None:
        self.fail(1011, changed=self.session.state is not State.CLOSED)
        self.arrived.clear()  # nothing but on_close follows, even if the client has left before
        self.put(self.session.raised())

    def fail(self, code: int, *, changed: bool = True) -> None:
        if changed:
            self.arrived.clear()
            if self.first is None:
                self.first = code

    @rule(pending=st.sampled_from([0, 1, SLOW]))
    def send(self, pending: int) -> None:
        admission = self.session.admit(pending)
        if admission is Admission.OVERFLOW:
            self.fail(1013)
            self.put(self.session.overflow(self.now))
        elif admission is Admission.SEND:
            assert not self.ours
            self.session.sent()

    @rule()
    def drained(self) -> None:
        self.put(self.session.drained())

    @rule()
    def call(self) -> None:
        call = self.session.next_call()
        if call is None:
            return
        assert self.running is None
        assert CallKind.CLOSE not in self.calls
        assert (call.kind is CallKind.OPEN) is (not self.calls)
        if call.kind is CallKind.MESSAGE:
            assert call.data == str(self.arrived.popleft())
        elif call.kind is CallKind.CLOSE:
            assert not self.arrived
            assert self.session.state is State.CLOSED
            assert call.number == (1006 if self.first is None else self.first)
        self.running = call.kind
        self.calls.append(call.kind)

    @precondition(runs)
    @rule()
    def returns(self) -> None:
        self.running = None
        self.put(self.session.returned(self.now))

    @rule(seconds=st.sampled_from([0.5, 2.0, 10.0]))
    def time(self, seconds: float) -> None:
        self.now += seconds
        before = self.session.state
        data = self.session.tick(self.now)
        if before is State.OPEN and self.session.state is State.CLOSED:
            self.first = 1006
        self.put(data)

    @invariant()
    def bounds(self) -> None:
        if hasattr(self, "session"):
            assert self.ours <= 1
            assert self.session.closed or not self.ours
            assert self.session.held == len(self.arrived)

    def teardown(self) -> None:
        if not hasattr(self, "session"):
            return
        self.session.gone()
        self.first = 1006 if self.first is None else self.first
        while self.running is not None or self.session.due:
            if self.running is not None:
                self.returns()
            self.call()
        assert self.calls[-1] is CallKind.CLOSE


TestWebsocket = Websocket.TestCase
