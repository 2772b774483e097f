"""What a protocol may note on a shared connection, and what it is told, by which thread."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from math import inf
from typing import TYPE_CHECKING

import pytest

from coresupport import (
    connect,
    expect_closes,
    releasing,
    rocket_threads,
    skip_if_compiled,
    states,
    wait_for,
)
from rocket_core import CloseReason, Connection, MessageCounts, SharedCounts, State, Timeouts
from rocket_core._connection.input_room import InputRoom
from rocket_core._connection.shared_tally import MAX_OUTCOMES, SharedTally
from rocket_core.testing import PATIENCE, eventually
from sharing import (
    Recorder,
    block,
    busy_workers,
    found,
    give_away,
    own,
    share,
    shared_with,
    sharing,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rocket_core import Connection, SharedConnection
    from rocket_core.extending import TurnTaker


def between(owner: Callable[[], object], happens: Callable[[], object]) -> Callable[[], object]:
    """Return ``owner``, after which ``happens`` is called, the first time."""
    pending = [happens]

    def both() -> object:
        result = owner()
        if pending:
            pending.pop()()
        return result

    return both


# -- queue and flush -------------------------------------------------------------------------------


def test_what_is_queued_is_sent_by_the_next_flush() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (client, protocol):
        assert protocol.shared.queue(b"first\n")
        assert protocol.shared.queue(b"second\n")
        assert protocol.shared.pending == 13
        protocol.shared.flush()
        assert client.read(13) == b"first\nsecond\n"
        eventually(lambda: protocol.shared.pending == 0)


def test_control_passes_the_limit() -> None:
    with (
        sharing(limit=100_000) as (server, worker),
        shared_with(server, worker, receive_buffer=4096) as (client, protocol),
    ):
        total = block(protocol.shared)
        while protocol.shared.queue(bytes(50_000)):
            total += 50_000
        assert not protocol.shared.queue(b"refused")
        assert protocol.shared.queue(b"control", control=True)
        protocol.shared.flush()
        assert client.read(total + 7).endswith(b"control")


def test_what_has_not_begun_is_dropped_as_whole_pieces() -> None:
    """The client gets each piece as a whole or not at all, and then what replaces them."""
    with (
        sharing(limit=1 << 30) as (server, worker),
        shared_with(server, worker, receive_buffer=4096) as (client, protocol),
    ):
        shared = protocol.shared
        pieces = [b"%03d" % number + b"x" * 99_996 + b"\n" for number in range(60)]
        for piece in pieces:
            shared.push(piece)
        assert shared.blocked
        held = shared.pending
        dropped = shared.drop_queued()
        assert dropped > 0
        assert dropped % 100_000 == 0
        assert shared.pending == held - dropped
        eventually(lambda: server.statistics().held == shared.pending)
        assert shared.queue(b"instead\n", control=True)
        shared.end()
        shared.flush()
        begun = len(pieces) - dropped // 100_000
        assert client.read_all() == b"".join(pieces[:begun]) + b"instead\n"
        assert shared.drop_queued() == 0


def test_what_is_dropped_before_anything_was_sent() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (client, protocol):
        protocol.shared.queue(b"never\n")
        assert protocol.shared.drop_queued() == 6
        assert protocol.shared.pending == 0
        protocol.shared.push(b"this\n")
        assert client.read_line() == b"this\n"


def test_drained_is_told_by_a_thread_of_the_pool_and_not_by_the_one_that_sends() -> None:
    with (
        sharing() as (server, worker),
        shared_with(server, worker, receive_buffer=4096) as (client, protocol),
    ):
        shared = protocol.shared
        total = block(shared)
        own(server, shared)  # as a thread does that flushes
        while shared.pending:
            client.read(20_000)
            total -= 20_000
            server._engine._send_shared(shared.connection, shared)
            assert "drained" not in protocol.told
        shared.note_drained()
        assert "drained" not in protocol.told
        give_away(server, shared)
        protocol.wait_for("drained")
        assert protocol.threads["drained"].startswith("rocket-worker-")
        assert protocol.told == ["drained", "turn"]


def test_drained_is_told_once_the_client_has_taken_all() -> None:
    with (
        sharing() as (server, worker),
        shared_with(server, worker, receive_buffer=4096) as (client, protocol),
    ):
        for count in (1, 2):
            client.read(block(protocol.shared))
            protocol.wait_for("drained", count)
        protocol.shared.push(b"taken at once\n")
        assert client.read_line() == b"taken at once\n"
    protocol.wait_for("ended")
    assert protocol.told.count("drained") == 2


def test_what_was_written_before_is_sent_while_nothing_is_queued() -> None:
    """Such as the beginning of a stream of events that has no news yet."""
    size = 200_000
    with (
        sharing() as (server, worker),
        connect(server, receive_buffer=4096) as client,
    ):
        worker.prepare = lambda protocol: protocol.shared.connection.write(bytes(size))
        client.send(b"share\n")
        protocol = found(worker, 0)
        eventually(lambda: protocol.shared.blocked)
        assert protocol.shared.queue(b"behind it\n")
        assert client.read(size) == bytes(size)
        assert client.read_line() == b"shared\n"
        assert client.read_line() == b"behind it\n"
        protocol.wait_for("drained")


# -- the end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["close", "half", "reset"])
def test_client_that_leaves_is_told_once_with_the_reason(how: str) -> None:
    with sharing() as (server, worker), connect(server) as client:
        protocol = share(client, worker)
        {"close": client.close, "half": client.half_close, "reset": client.reset}[how]()
        protocol.wait_for("ended")
        reason = CloseReason.RESET if how == "reset" else CloseReason.CLIENT
        assert protocol.reason is reason
        assert protocol.shared.over
        assert protocol.shared.reason is reason
        assert not protocol.shared.queue(b"x", control=True)
        expect_closes(server, {reason.value: 1})
    assert protocol.told.count("ended") == 1


def test_turns_go_on_after_the_end_until_nothing_is_left() -> None:
    with sharing() as (server, worker), connect(server) as client:
        protocol = share(client, worker)
        left = [1, 2, 3]
        protocol.does["turn"] = lambda: left.pop() > 1
        client.send(b"a message\n")
        client.close()
        eventually(lambda: not left)
        protocol.wait_for("ended")
        assert protocol.told[-4:] == ["ended", "turn", "turn", "turn"]


def test_end_after_which_the_connection_serves_requests_again() -> None:
    with sharing() as (server, worker), connect(server) as client:
        protocol = share(client, worker)
        protocol.shared.queue(b"answer\n")
        protocol.shared.end(State.IDLE)
        protocol.shared.flush()
        assert client.read_line() == b"answer\n"
        protocol.wait_for("ended")
        assert protocol.reason is None
        assert client.ask(b"request\n") == b"request\n"
        assert not protocol.shared.push(b"stale")
        protocol.shared.call_at(0)
        protocol.shared.go_on_reading()
        protocol.shared.cut()
        protocol.shared.end()
        protocol.shared.flush()
        assert client.ask(b"undisturbed\n") == b"undisturbed\n"
        again = share(client, worker)
        assert again is not protocol
        assert not protocol.shared.push(b"stale")
        again.shared.push(b"fresh\n")
        assert client.read_line() == b"fresh\n"
        assert states(server) == {"shared": 1}


def test_what_was_pipelined_waits_and_is_served_afterwards() -> None:
    with sharing() as (server, worker), connect(server) as client:
        worker.prepare = stop_reading
        client.send(b"share\nfirst\n")
        assert client.read_line() == b"shared\n"
        protocol = found(worker, 0)
        client.send(b"second\n")
        protocol.shared.queue(b"answer\n")
        protocol.shared.end(State.IDLE)
        protocol.shared.flush()
        assert [client.read_line() for _ in range(3)] == [b"answer\n", b"first\n", b"second\n"]


def stop_reading(protocol: Recorder) -> None:
    """Leave to the next request what comes meanwhile."""
    protocol.shared.stop_reading()
    protocol.does["received"] = lambda: None
    protocol.received = lambda connection: None  # type: ignore[method-assign]


def test_end_waits_for_a_client_that_has_to_take_more() -> None:
    with (
        sharing() as (server, worker),
        shared_with(server, worker, receive_buffer=4096) as (client, protocol),
    ):
        total = block(protocol.shared)
        protocol.shared.end(State.IDLE)
        protocol.shared.flush()
        client.send(b"next\n")
        assert states(server) == {"shared": 1}
        client.read(total)
        assert client.read_line() == b"next\n"
        protocol.wait_for("ended")
        assert protocol.reason is None


def test_end_that_comes_between_the_last_send_and_the_look_for_it() -> None:
    """1. The owner has sent all. 2. A thread queues, and ends. 3. The owner looks for the end."""
    skip_if_compiled("it replaces a method of the Monitor or of the engine")
    with sharing() as (server, worker), shared_with(server, worker) as (client, protocol):
        shared = protocol.shared
        own(server, shared)

        def say_good_bye() -> None:
            assert shared.queue(b"good bye\n")
            shared.end()
            shared.flush()  # in vain: the connection is owned

        send = between(lambda: type(shared).send(shared), say_good_bye)
        server._engine._send_shared(shared.connection, Seam(shared, send=send))  # type: ignore[arg-type]
        assert shared.connection.state is State.SHARED
        give_away(server, shared)
        assert client.read_all() == b"good bye\n"


class Seam:
    """A shared connection of which a test replaces a method."""

    def __init__(self, shared: SharedConnection, **methods: object) -> None:
        self._shared = shared
        self.__dict__.update(methods)

    def __getattr__(self, name: str) -> object:
        return getattr(self._shared, name)


def test_end_to_a_state_that_cannot_follow_changes_nothing() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (client, protocol):
        with pytest.raises(ValueError, match="ends in IDLE or LINGER, not READY"):
            protocol.shared.end(State.READY)
        assert protocol.shared.push(b"open\n")
        assert client.read_line() == b"open\n"


def test_flush_that_meets_a_connection_that_is_not_shared_any_more() -> None:
    """1. A thread finds something noted. 2. The owner ends the sharing. 3. The thread claims."""
    skip_if_compiled("it replaces a method of the Monitor or of the engine")
    with sharing() as (server, worker), connect(server) as client:
        protocol = share(client, worker)
        protocol.shared.end(State.IDLE)
        protocol.shared.flush()
        protocol.wait_for("ended")
        shared = protocol.shared
        eventually(lambda: states(server) == {"idle": 1})
        eventually(lambda: server._monitor._parked.get(shared.connection.descriptor) is not None)
        server._engine.flush(Seam(shared, calls=True))  # type: ignore[arg-type]
        assert client.ask(b"request\n") == b"request\n"


def test_owner_that_looks_once_more_when_the_connection_is_not_shared_any_more() -> None:
    """1. The owner parks. 2. Another one ends the sharing. 3. The first one claims, in a drain."""
    skip_if_compiled("it replaces a method of the Monitor or of the engine")
    with sharing() as (server, worker), connect(server) as client:
        protocol = share(client, worker)
        protocol.does["draining"] = lambda: None
        shared = protocol.shared
        own(server, shared)
        park = server._monitor.park

        def park_and_end(connection: Connection) -> None:
            park(connection)
            if shared.over:
                return
            shared.end(State.IDLE)
            shared.flush()
            protocol.wait_for("ended")
            eventually(lambda: server._monitor._parked.get(connection.descriptor) is not None)
            shared.drain_at = inf
            server._server_state.draining = True

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(server._monitor, "park", park_and_end)
            give_away(server, shared)
        assert client.ask(b"the last request\n") == b"the last request\n"
    assert protocol.told.count("ended") == 1


@pytest.mark.parametrize("method", ["received", "due", "turn", "drained", "ended"])
def test_exception_of_a_method_is_logged_and_ends_the_connection(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise LookupError("of the protocol")

    with sharing() as (server, worker), connect(server, receive_buffer=4096) as client:
        protocol = share(client, worker)
        protocol.does[method] = fail
        if method == "drained":
            client.read(block(protocol.shared))
        elif method == "ended":
            client.close()
        else:
            protocol.shared.call_at(0 if method == "due" else inf)
            if method == "turn":
                protocol.shared.call()
            protocol.shared.flush()
            client.send(b"something\n")
        protocol.wait_for("ended")
        eventually(lambda: not server.connections)
        if method != "ended":
            assert protocol.reason is CloseReason.ERROR
        eventually(lambda: "of the protocol" in caplog.text)
        with connect(server) as other:
            assert other.ask(b"alive\n") == b"alive\n"


# -- deadlines -------------------------------------------------------------------------------------


def test_protocol_is_told_when_its_time_has_come() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (_, protocol):
        began = time.monotonic()
        protocol.shared.call_at(began + 0.1)
        protocol.shared.flush()
        protocol.wait_for("due")
        assert time.monotonic() >= began + 0.1
        assert protocol.told == ["due"]


def test_time_that_is_noted_in_due_comes_again() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (client, protocol):

        def ping() -> None:
            protocol.shared.queue(b"ping\n")
            if protocol.told.count("due") < 3:
                protocol.shared.call_at(time.monotonic() + 0.01)

        protocol.does["due"] = ping
        protocol.shared.call_at(0.0)
        protocol.shared.flush()
        assert [client.read_line() for _ in range(3)] == [b"ping\n"] * 3
        assert protocol.told.count("due") == 3


def test_only_the_time_that_was_noted_last_counts() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (_, protocol):
        protocol.shared.call_at(time.monotonic() + 0.1)
        protocol.shared.call_at(inf)
        protocol.shared.flush()
        with shared_with(server, worker) as (_, other):
            other.shared.call_at(time.monotonic() + 0.3)
            other.shared.flush()
            other.wait_for("due")
        assert protocol.told == []


def test_time_that_is_put_off_is_looked_at_once_too_early() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (client, protocol):
        protocol.shared.call_at(time.monotonic() + 0.1)
        protocol.shared.flush()
        until = time.monotonic() + 0.6
        protocol.shared.call_at(until)
        # After the early look, the connection is parked until then, and not looked at all the time.
        eventually(lambda: protocol.shared.connection.deadline == until)
        protocol.wait_for("due")
        assert time.monotonic() >= until
        client.send(b"line\n")
        protocol.wait_for("received")


def test_time_that_is_noted_while_another_thread_owns_the_connection() -> None:
    """1. A thread owns it. 2. Another one notes a time. 3. The first one parks it, and looks."""
    with sharing() as (server, worker), shared_with(server, worker) as (_, protocol):
        own(server, protocol.shared)
        protocol.shared.call_at(0.0)
        protocol.shared.flush()
        give_away(server, protocol.shared)
        protocol.wait_for("due")


def test_time_comes_while_the_client_does_not_take_what_is_sent() -> None:
    with (
        sharing() as (server, worker),
        shared_with(server, worker, receive_buffer=4096) as (client, protocol),
    ):
        total = block(protocol.shared)
        protocol.shared.call_at(time.monotonic() + 0.01)
        protocol.shared.flush()
        protocol.wait_for("due")
        assert len(client.read(total)) == total


def test_time_of_the_protocol_does_not_save_a_client_that_takes_too_little() -> None:
    timeouts = Timeouts(grace=0.5, stall=0.5)
    with (
        sharing(timeouts=timeouts) as (server, worker),
        shared_with(server, worker, receive_buffer=4096) as (_, protocol),
    ):
        protocol.does["due"] = lambda: protocol.shared.call_at(time.monotonic() + 0.2)
        block(protocol.shared)
        protocol.shared.call_at(0.0)
        protocol.shared.flush()
        protocol.wait_for("ended")
        assert protocol.reason is CloseReason.SEND_TIMEOUT


def test_client_that_has_taken_all_may_be_silent_for_ever() -> None:
    with (
        sharing(timeouts=Timeouts(grace=0.5, stall=0.5)) as (server, worker),
        shared_with(server, worker, receive_buffer=4096) as (client, protocol),
    ):
        assert protocol.shared.connection.deadline == inf
        client.read(block(protocol.shared))
        protocol.wait_for("drained")
        assert protocol.shared.connection.deadline == inf


# -- reading ---------------------------------------------------------------------------------------


def test_client_has_to_wait_while_nothing_is_read() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (client, protocol):
        client.send(b"first\n")
        protocol.wait_for("received")
        protocol.shared.stop_reading()
        client.send(b"second\n")
        with shared_with(server, worker) as (other, reads):  # by then the server has noticed both
            other.send(b"x\n")
            reads.wait_for("received")
        assert protocol.lines == [b"first"]
        protocol.shared.go_on_reading()
        protocol.shared.flush()
        eventually(lambda: protocol.lines == [b"first", b"second"])


def test_protocol_is_told_of_what_it_has_left_when_reading_goes_on() -> None:
    """No event reports what is in the buffer already, whether or not the socket is writable."""
    with (
        sharing() as (server, worker),
        shared_with(server, worker, receive_buffer=4096) as (client, protocol),
    ):
        block(protocol.shared)
        taken: list[bytes] = []

        def one_line(connection: Connection) -> None:
            protocol.told.append("received")
            taken.append(connection.take_through(b"\n") or b"nothing")
            protocol.shared.stop_reading()

        protocol.received = one_line  # type: ignore[method-assign]
        client.send(b"one\ntwo\nthree\n")
        protocol.wait_for("received")
        for count in (2, 3, 4):
            protocol.shared.go_on_reading()
            protocol.shared.flush()
            protocol.wait_for("received", count)
        assert taken == [b"one", b"two", b"three", b"nothing"]


def test_reading_that_goes_on_while_another_thread_owns_the_connection() -> None:
    """1. A thread owns it. 2. Another one has reading go on. 3. The first one parks, and looks."""
    with sharing() as (server, worker), shared_with(server, worker) as (_, protocol):
        protocol.shared.stop_reading()
        own(server, protocol.shared)
        protocol.shared.go_on_reading()
        protocol.shared.flush()
        assert protocol.told == []
        give_away(server, protocol.shared)
        protocol.wait_for("received")


def test_what_is_sent_goes_on_while_nothing_is_read() -> None:
    with (
        sharing() as (server, worker),
        shared_with(server, worker, receive_buffer=4096) as (client, protocol),
    ):
        protocol.shared.stop_reading()
        client.send(b"unread\n")
        total = block(protocol.shared)
        assert len(client.read(total)) == total
        protocol.wait_for("drained")
        assert protocol.lines == []


def test_reset_is_noticed_while_nothing_is_read() -> None:
    with sharing() as (server, worker), connect(server) as client:
        protocol = share(client, worker)
        protocol.shared.stop_reading()
        client.send(b"unread\n")
        own(server, protocol.shared)  # parked again, it waits for ends only
        give_away(server, protocol.shared)
        client.reset()
        protocol.wait_for("ended")
        assert protocol.reason is CloseReason.RESET


def test_connections_that_hold_too_much_are_not_read_until_there_is_room() -> None:
    with (
        sharing() as (server, worker),
        shared_with(server, worker) as (_, large),
        shared_with(server, worker) as (client, waits),
        shared_with(server, worker) as (other, small),
    ):
        server._server_state.room = InputRoom(100_000)
        large.shared.hold(200_000)
        waits.does["received"] = lambda: waits.shared.hold(20_000)
        client.send(b"the beginning of much\n")
        waits.wait_for("received")
        client.send(b"the rest\n")
        other.send(b"little\n")
        small.wait_for("received")
        assert waits.lines == [b"the beginning of much"]
        waits.does["received"] = lambda: waits.shared.hold(0)
        large.does["turn"] = lambda: large.shared.hold(0)
        large.shared.call()
        large.shared.flush()
        eventually(lambda: waits.lines[-1] == b"the rest")
        assert not server._server_state.room.held


def test_connection_that_has_ended_gives_its_room_back() -> None:
    with (
        sharing() as (server, worker),
        shared_with(server, worker) as (client, protocol),
        shared_with(server, worker) as (other, waits),
    ):
        server._server_state.room = InputRoom(100_000)
        protocol.shared.hold(200_000)
        waits.shared.hold(200_000)
        assert waits.shared.waits_for_room
        client.close()
        eventually(lambda: not waits.shared.waits_for_room)
        other.send(b"line\n")
        waits.wait_for("received")
        other.close()
        waits.wait_for("ended")
        eventually(lambda: not server._server_state.room.held)


# -- a drain ---------------------------------------------------------------------------------------


def test_drain_is_told_and_the_protocol_ends_the_connection() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (client, protocol):
        protocol.does["draining"] = protocol.shared.call

        def last_word() -> None:
            protocol.shared.queue(b"good bye\n")
            protocol.shared.end()

        protocol.does["turn"] = last_word
        server.drain(PATIENCE)
        assert client.read_all() == b"good bye\n"
        client.close()
        protocol.wait_for("ended")
        assert protocol.reason is CloseReason.DRAINED
        assert server.wait(PATIENCE)
        assert protocol.told.count("draining") == 1
        assert server.statistics().closes == {"drained": 1}


def test_drain_is_told_over_a_part_of_its_time() -> None:
    """Many clients that come back at once would be a crowd."""
    with sharing() as (server, worker):
        count = 100
        clients = [connect(server) for _ in range(count)]
        for client in clients:
            share(client, worker)
        protocols = list(worker.protocols)
        began = time.monotonic()
        server.drain(PATIENCE)
        eventually(lambda: all(each.shared.drain_at < inf for each in protocols))
        drawn = time.monotonic()  # when each has its time, counted from a moment since the drain
        times = sorted(each.shared.drain_at for each in protocols)
        assert began <= times[0]
        assert times[0] + 0.1 < times[-1] <= drawn + count * 0.01
        assert server._server_state.drain_spread == count * 0.01
        eventually(lambda: all("draining" in each.told for each in protocols))
        for client in clients:
            client.close()
        assert server.wait(PATIENCE)


def test_drain_with_little_time_is_told_in_a_part_of_it() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (client, protocol):
        assert server._drain_spread(0.01) == 0.005
        server.drain(0.01)
        protocol.wait_for("ended")
        assert client.read_all() == b""


def test_drain_does_not_end_what_the_protocol_goes_on_with() -> None:
    with sharing() as (server, worker), shared_with(server, worker) as (client, protocol):
        protocol.does["draining"] = lambda: None
        server.drain(PATIENCE)
        protocol.wait_for("draining")
        client.send(b"still here\n")
        protocol.wait_for("received")
        protocol.shared.push(b"and here\n")
        assert client.read_line() == b"and here\n"
        protocol.shared.end(State.IDLE)
        protocol.shared.flush()
        assert client.read_all() == b""  # idle, in a server that drains
        client.close()
        assert server.wait(PATIENCE)


def test_drain_is_over_when_the_protocols_have_been_told() -> None:
    """However many of them there are, and however long their last turns take."""
    go_on = threading.Event()
    with (
        sharing(threads=1) as (server, worker),
        releasing(go_on),
        shared_with(server, worker) as (client, protocol),
    ):
        protocol.does["ended"] = lambda: wait_for(go_on)
        server.drain(PATIENCE)
        assert client.read_all() == b""
        client.close()
        protocol.wait_for("ended")
        eventually(lambda: server._registry.leaving == 1 and not server.connections)
        assert not server.wait(0.1)
        go_on.set()
        assert server.wait(PATIENCE)
        assert protocol.told[-2:] == ["ended", "turn"]


# -- to be seen, and to make room ------------------------------------------------------------------


def test_statistics_count_connections_by_kind() -> None:
    with sharing() as (server, worker):
        assert server.statistics().shared == {}
        with shared_with(server, worker), busy_workers(server, worker, 1):
            assert server.statistics().shared == {"recorder": SharedCounts(parked=1, active=1)}
            assert server.statistics().requests == 2
            assert server.statistics().turns == 1
            assert [each.kind for each in server.list_connections()] == ["recorder"] * 2
            (doing,) = [each.doing for each in server.activities() if each.doing]
            assert doing == "recording"
        eventually(lambda: server.statistics().shared == {})


def test_open_requests_are_counted_by_kind_and_on_each_connection() -> None:
    with (
        sharing() as (server, worker),
        shared_with(server, worker) as (_, first),
        shared_with(server, worker) as (_, second),
    ):
        first.requests, second.requests = 3, 0
        counts = SharedCounts(parked=1, active=1, streams=3)
        assert server.statistics().shared == {"recorder": counts}
        infos = server.list_connections()
        assert {(each.streams, each.active) for each in infos} == {(3, True), (0, False)}
        assert all(each.stream_kinds == {"asked": each.streams} for each in infos)


def test_messages_are_counted_by_kind_and_on_each_connection() -> None:
    with sharing(limit=100_000) as (server, worker):
        with shared_with(server, worker, receive_buffer=4096) as (client, protocol):
            shared = protocol.shared
            assert server.statistics().messages == {"recorder": MessageCounts(0, 0, 0)}
            protocol.does["received"] = lambda: setattr(shared, "messages_received", 3)
            client.send(b"x\n")
            protocol.wait_for("received")
            assert shared.queue(b"counted\n", message=True)
            assert shared.queue(b"not counted\n")
            assert shared.queue(bytes(100_000), message=True)
            assert not shared.queue(b"refused", message=True)
            assert not shared.queue(b"refused, not counted")
            shared.drop_message()
            counts = MessageCounts(received=3, sent=2, dropped=2)
            assert server.statistics().messages == {"recorder": counts}
            (info,) = server.list_connections()
            assert (info.messages, info.active) == (counts, False)
            shared.end()
            assert not shared.queue(b"too late", message=True)
            shared.flush()
            client.read_all()
        eventually(lambda: server.statistics().shared == {})
        assert server.statistics().messages == {"recorder": MessageCounts(3, 2, 3)}


def test_counts_do_not_fall_while_connections_end() -> None:
    """1. A connection ends. 2. Another thread looks, before the protocol is told. 3. It is told."""
    with sharing(min_threads=1, max_threads=1) as (server, worker), connect(server) as client:
        protocol = share(client, worker)
        assert protocol.shared.queue(b"counted\n", message=True)
        protocol.shared.flush()
        assert client.read_line() == b"counted\n"
        with busy_workers(server, worker, 1):
            client.close()
            eventually(lambda: len(server.list_connections()) == 1)
            assert protocol.told == []
            assert server.statistics().messages["recorder"].sent == 1
        protocol.wait_for("ended")
        assert server.statistics().messages["recorder"].sent == 1


def test_ends_are_counted_once_by_kind_and_outcome() -> None:
    with sharing() as (server, worker):
        with shared_with(server, worker) as (client, protocol):
            assert server.statistics().outcomes == {}
            client.close()
            protocol.wait_for("ended")
            protocol.does["turn"] = lambda: len(protocol.told) < 6  # it is told once all the same
            protocol.shared.call()
            protocol.shared.flush()
            eventually(lambda: len(protocol.told) >= 6)
        eventually(lambda: server.statistics().outcomes == {"recorder": {"client closed": 1}})
        with shared_with(server, worker) as (client, protocol):
            protocol.shared.end(State.IDLE)
            protocol.shared.flush()
            protocol.wait_for("ended")
            client.send(b"again\n")
            assert client.read_line() == b"again\n"
        ends = {"client closed": 1, "served": 1}
        eventually(lambda: server.statistics().outcomes == {"recorder": ends})


def test_protocol_without_a_kind_is_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Recorder, "kind", "")
    with sharing() as (server, worker), shared_with(server, worker) as (client, protocol):
        assert server.statistics().connections == {"shared": 1}
        assert server.statistics().shared == {}
        client.close()
        protocol.wait_for("ended")
        eventually(lambda: not server.list_connections())
        assert (server.statistics().messages, server.statistics().outcomes) == ({}, {})


def test_outcomes_are_told_apart_up_to_a_number() -> None:
    tally = SharedTally()
    for number in range(MAX_OUTCOMES + 10):
        tally.count_outcome("websocket", str(number))
    tally.count_outcome("websocket", "0")
    tally.count_outcome("event stream", "another kind")
    outcomes = tally.outcomes()
    assert outcomes["event stream"] == {"another kind": 1}
    assert len(outcomes["websocket"]) == MAX_OUTCOMES + 1
    assert (outcomes["websocket"]["0"], outcomes["websocket"]["other"]) == (2, 10)


@pytest.mark.parametrize("asked", [False, True], ids=["spared", "evicted"])
def test_shared_connections_make_room_only_where_that_is_asked(*, asked: bool) -> None:
    with (
        sharing(max_connections=1, evict_shared=asked) as (server, worker),
        connect(server) as client,
    ):
        protocol = share(client, worker)
        server._eviction._called = time.monotonic()  # else the share of the time is whole again
        server._eviction._share = 0.0
        server._evict()
        if asked:
            protocol.wait_for("ended")
            assert protocol.reason is CloseReason.CROWDED
        else:
            protocol.shared.push(b"spared\n")
            assert client.read_line() == b"spared\n"


def test_connection_for_which_a_worker_does_something_makes_no_room() -> None:
    with (
        sharing(max_connections=1, evict_shared=True) as (server, worker),
        busy_workers(server, worker, 1),
    ):
        server._eviction._called = time.monotonic()
        server._eviction._share = 0.0
        server._evict()
        (info,) = server.list_connections()
        assert info.active
        assert worker.protocols[0].reason is None


def test_connection_on_which_something_was_sent_makes_room_last() -> None:
    """The client of an event stream sends nothing, and yet its connection is not idle."""
    with (
        sharing(max_connections=2, evict_shared=True) as (server, worker),
        shared_with(server, worker) as (first, sends),
        shared_with(server, worker) as (_, silent),
    ):
        sends.shared.push(b"news\n")
        assert first.read_line() == b"news\n"
        server._eviction._called = time.monotonic()
        server._eviction._share = 0.0
        server._evict()
        silent.wait_for("ended")
        assert silent.reason is CloseReason.CROWDED
        sends.shared.push(b"more\n")
        assert first.read_line() == b"more\n"


# -- stopping --------------------------------------------------------------------------------------


def test_stop_tells_each_protocol_of_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rocket_core._server.server._STOP_PATIENCE", PATIENCE)
    with sharing() as (server, worker), ExitStack() as stack:
        clients = [stack.enter_context(connect(server)) for _ in range(20)]
        protocols = [share(client, worker) for client in clients]
        # A worker that is about to park one takes the stop for a drain.
        eventually(lambda: len(server._monitor) == 20)
        server.stop()
        assert server.wait(PATIENCE)
        assert [each.told.count("ended") for each in protocols] == [1] * 20
        assert {each.reason for each in protocols} == {CloseReason.STOPPED}


def test_stop_does_not_wait_for_ever_for_a_last_turn(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rocket_core._server.server._STOP_PATIENCE", 0.05)
    go_on = threading.Event()
    with (
        sharing(threads=1) as (server, worker),
        releasing(go_on),
        shared_with(server, worker) as (_, protocol),
    ):
        protocol.does["ended"] = lambda: wait_for(go_on)
        server.stop()
        assert server.wait(PATIENCE)
        assert "1 shared connections ended without a last turn" in caplog.text
        go_on.set()


def test_stop_tells_a_protocol_whose_turn_is_not_over() -> None:
    entered, go_on = threading.Event(), threading.Event()
    with (
        sharing(threads=1) as (server, worker),
        releasing(go_on),
        shared_with(server, worker) as (_, protocol),
    ):

        def hold() -> None:
            if "ended" not in protocol.told:
                entered.set()
                wait_for(go_on)

        protocol.does["turn"] = hold
        protocol.shared.call()
        protocol.shared.flush()
        wait_for(entered)
        server.stop()
        eventually(lambda: protocol.shared.over)
        go_on.set()
        assert server.wait(PATIENCE)
        assert protocol.told == ["turn", "ended", "turn"]


@pytest.mark.parametrize("patience", [PATIENCE, 0.05], ids=["in time", "left behind"])
@pytest.mark.parametrize("held", ["before", "after"])
def test_stop_tells_a_protocol_that_is_shared_meanwhile(
    monkeypatch: pytest.MonkeyPatch, held: str, patience: float
) -> None:
    """The worker is in the application when the server stops, and shares the connection then."""
    monkeypatch.setattr("rocket_core._server.server._STOP_PATIENCE", patience)
    entered, go_on = threading.Event(), threading.Event()
    with sharing(threads=1) as (server, worker), releasing(go_on), connect(server) as client:

        def hold(*_: object) -> None:
            entered.set()
            wait_for(go_on)

        setattr(worker, "prepare" if held == "after" else "before", hold)
        worker.word = b""  # the client would be found to be gone
        client.send(b"share\n")
        wait_for(entered)
        server.stop()
        if patience == PATIENCE:
            eventually(lambda: server._pool._stopping or held == "after")
        else:
            assert server.wait(PATIENCE)
        go_on.set()
        eventually(lambda: worker.protocols)
        (protocol,) = worker.protocols
        protocol.wait_for("ended")
        assert server.wait(PATIENCE)
        eventually(lambda: not server.connections and not server._registry.leaving)
        assert protocol.told[:2] == ["ended", "turn"]
        assert protocol.reason is CloseReason.STOPPED
        assert client.read_all() == b""


def test_stop_waits_for_the_turn_of_a_connection_that_ends_meanwhile(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1. A thread of the application ends a shared connection. 2. The server stops, and finds no
    shared connection. 3. The thread queues the last turn, which a worker has to take."""
    skip_if_compiled("it replaces a method of the pool")
    monkeypatch.setattr("rocket_core._server.server._STOP_PATIENCE", PATIENCE)
    entered, go_on = threading.Event(), threading.Event()
    with (
        sharing(threads=1) as (server, worker),
        releasing(go_on),
        shared_with(server, worker) as (_, protocol),
    ):
        submit = server._pool.submit_turn

        def submit_late(taker: TurnTaker) -> None:
            entered.set()
            wait_for(go_on)
            submit(taker)

        server._pool.submit_turn = submit_late  # type: ignore[method-assign]
        protocol.shared.end()
        thread = threading.Thread(target=protocol.shared.flush)
        thread.start()
        wait_for(entered)
        server._pool.submit_turn = submit  # type: ignore[method-assign]
        server.stop()
        eventually(lambda: server._server_state.stopped)
        assert not server.wait(0.1)
        go_on.set()
        thread.join()
        assert server.wait(PATIENCE)
        assert protocol.told == ["ended", "turn"]


def test_stop_waits_for_the_thread_that_has_ended_the_sharing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1. A thread of the application ends a shared connection, and queues the last turn. 2. The
    server stops, and a worker takes the turn. 3. The thread parks the connection."""
    skip_if_compiled("it replaces a method of the pool")
    monkeypatch.setattr("rocket_core._server.server._STOP_PATIENCE", PATIENCE)
    entered, go_on = threading.Event(), threading.Event()
    with (
        sharing(threads=1) as (server, worker),
        releasing(go_on),
        shared_with(server, worker) as (_, protocol),
    ):
        submit = server._pool.submit_turn

        def submit_and_pause(taker: TurnTaker) -> None:
            submit(taker)
            entered.set()
            wait_for(go_on)

        server._pool.submit_turn = submit_and_pause  # type: ignore[method-assign]
        own(server, protocol.shared)  # as a thread does that flushes
        protocol.shared.end()
        thread = threading.Thread(target=give_away, args=(server, protocol.shared))
        thread.start()
        wait_for(entered)
        server._pool.submit_turn = submit  # type: ignore[method-assign]
        protocol.wait_for("turn")
        eventually(lambda: not server._registry.leaving)
        server.stop()
        assert not server.wait(0.1)
        go_on.set()
        thread.join()
        assert server.wait(PATIENCE)
        assert not server.connections


def test_turn_that_ends_after_the_server_is_followed_by_the_last_one(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("rocket_core._server.server._STOP_PATIENCE", 0.05)
    entered, go_on = threading.Event(), threading.Event()
    with (
        sharing(threads=1) as (server, worker),
        releasing(go_on),
        shared_with(server, worker) as (_, protocol),
    ):

        def hold() -> None:
            if "ended" not in protocol.told:
                entered.set()
                wait_for(go_on)

        protocol.does["turn"] = hold
        protocol.shared.call()
        protocol.shared.flush()
        wait_for(entered)
        server.stop()
        assert server.wait(PATIENCE)
        go_on.set()
        eventually(lambda: not rocket_threads())
        assert protocol.told == ["turn", "ended", "turn"]
        assert "error" not in caplog.text


class Supplier(Recorder):
    """Supplies a byte whenever it is asked."""

    supplies = True

    def __init__(self) -> None:
        super().__init__()
        self.dry = True

    def output(self) -> bytes:
        return b"x"


def test_what_is_noted_for_a_client_that_is_gone_ends_nobody() -> None:
    """1. The owner finds, by sending, that the client is gone. 2. The protocol, which is not told
    before the next event, notes that there is more to be sent. 3. The owner looks for what is
    noted, of which nothing can be carried out any more."""
    with sharing(threads=1) as (server, worker), connect(server) as client:
        protocol = Supplier()

        def take(connection: Connection) -> State:
            protocol.shared = connection.share(protocol)
            return State.SHARED

        worker.serve = take  # type: ignore[method-assign]
        client.send(b"x\n")
        eventually(lambda: hasattr(protocol, "shared") and states(server) == {"shared": 1})
        shared = protocol.shared
        shared.breaks()

        def note_and_flush() -> None:
            for _ in range(3):
                shared.supply()
                shared.flush()

        thread = threading.Thread(target=note_and_flush, daemon=True)
        thread.start()
        thread.join(PATIENCE)
        assert not thread.is_alive()
