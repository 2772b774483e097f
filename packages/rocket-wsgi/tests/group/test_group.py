from __future__ import annotations

import sys
import threading
from collections.abc import Callable

import pytest

from rocket_wsgi._group.broadcast import Broadcast, MemberKind, from_bytes
from rocket_wsgi._group.bus import Follower, LocalBus
from rocket_wsgi._group.group import Group
from rocket_wsgi._group.member import Leavable
from rocket_wsgi._group.sequencer import BACKLOG, SHARE, Sequencer


class Stream:
    """A member that notes what it was sent."""

    def __init__(self, kind: MemberKind = MemberKind.EVENT_STREAM) -> None:
        self._kind = kind
        self.got: list[str | None] = []
        self.frames: list[bytes] = []
        self.groups: list[Leavable] = []
        self.closed = False
        self.meanwhile: Callable[[Broadcast], None] = lambda message: None

    @property
    def kind(self) -> MemberKind:
        return self._kind

    def send_encoded(self, message: Broadcast) -> bool:
        if self.closed:
            return False
        self.meanwhile(message)
        self.got.append(message.identity)
        if self._kind is MemberKind.WEBSOCKET:
            self.frames.append(message.websocket_frame(compressed=True))
        else:
            self.frames.append(message.stream_event())
        return True

    def lapse(self) -> None:
        self.got.append("lapse")
        self.close()

    def join(self, group: Leavable) -> bool:
        if self.closed:
            return False
        self.groups.append(group)
        return True

    def leave(self, group: Leavable) -> None:
        if group in self.groups:
            self.groups.remove(group)

    def close(self) -> None:
        self.closed = True
        for group in list(self.groups):
            group.discard(self)


def in_thread(act: Callable[[], object]) -> None:
    thread = threading.Thread(target=act)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()


def test_message_reaches_all_members_and_is_encoded_once() -> None:
    group = Group()
    members = [Stream(MemberKind.WEBSOCKET) for _ in range(3)]
    for member in members:
        group.add(member)
    assert group.send("x" * 500) == 3
    first = members[0].frames[0]
    assert all(member.frames[0] is first for member in members)


def test_members_come_and_go() -> None:
    group = Group()
    one, two = Stream(), Stream()
    group.add(one)
    group.add(two)
    group.add(two)
    assert len(group) == 2
    assert one in group
    assert set(group) == {one, two}
    group.discard(one)
    group.discard(one)
    assert one not in group
    assert group.send("a", id=1) == 1
    assert (one.got, two.got) == ([], ["1"])
    assert one.groups == []


def test_iteration_is_over_a_snapshot() -> None:
    group = Group()
    for _ in range(3):
        group.add(Stream())
    for member in group:
        group.discard(member)
    assert len(group) == 0


def test_member_that_closes_leaves() -> None:
    group = Group()
    member = Stream()
    group.add(member)
    member.close()
    assert member not in group
    assert group.send("a") == 0


def test_member_that_is_closed_already_does_not_stay() -> None:
    group = Group()
    member = Stream()
    member.closed = True
    group.add(member)
    assert len(group) == 0


def test_two_kinds_are_an_error_and_change_nothing() -> None:
    group = Group()
    group.add(Stream(MemberKind.WEBSOCKET))
    with pytest.raises(TypeError, match="one of websockets, not of event streams"):
        group.add(Stream())
    with pytest.raises(TypeError, match="event streams"):
        group.send("a", id=1)
    assert len(group) == 1
    streams = Group(history=3)
    streams.add(Stream())
    with pytest.raises(TypeError, match="websockets"):
        streams.send(b"a")
    with pytest.raises(TypeError, match="int"):
        streams.send(1)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("data", "event", "identity"),
    [("\ud800", None, None), ("\ud800", None, 1), ("\ud800", "news", None), ("x", "\ud800", None)],
)
def test_text_that_cannot_be_encoded_is_an_error_and_changes_nothing(
    data: str, event: str | None, identity: int | None
) -> None:
    group = Group(history=3)
    early, late = Stream(), Stream()
    group.add(early)
    with pytest.raises(ValueError, match="surrogates"):
        group.send(data, event=event, id=identity)
    group.send("x", id=2)
    group.add(late, since=0)
    assert early.got == late.got == ["2"]


def test_member_gets_what_came_after_an_id() -> None:
    group = Group(history=3)
    for number in range(5):
        group.send("x", id=number)
    cases: list[tuple[str | int | None, list[str]]] = [
        (None, []),
        (3, ["4"]),
        ("4", []),
        ("unknown", ["2", "3", "4"]),
        (0, ["2", "3", "4"]),
    ]
    for since, missed in cases:
        member = Stream()
        group.add(member, since=since)
        assert member.got == missed
        group.discard(member)


def test_message_during_the_catching_up_comes_after_it() -> None:
    group = Group(history=10)
    for number in range(3):
        group.send("x", id=number)
    member = Stream()

    def send(message: Broadcast) -> None:
        if message.identity == "1":
            in_thread(lambda: group.send("x", id=3))

    member.meanwhile = send
    group.add(member, since=0)
    assert member.got == ["1", "2", "3"]


def test_member_that_comes_during_a_delivery_gets_its_message_once() -> None:
    # The message is in the history, and its delivery has not reached the last member.
    group = Group(history=10)
    group.send("x", id=0)
    early, late = Stream(), Stream()
    group.add(early)

    def add(message: Broadcast) -> None:
        if message.identity == "1":
            in_thread(lambda: group.add(late, since=0))
            in_thread(lambda: group.send("x", id=2))

    early.meanwhile = add
    group.send("x", id=1)
    assert early.got == ["1", "2"]
    assert late.got == ["1", "2"]


def test_member_that_comes_again_gets_nothing_twice() -> None:
    # Message 2 waits for its delivery to the first stay of the member while the second one begins.
    group = Group(history=10)
    blocker, member = Stream(), Stream()
    group.add(blocker)
    group.add(member)

    def again(message: Broadcast) -> None:
        if message.identity == "1":
            in_thread(lambda: group.send("x", id=2))
            in_thread(lambda: group.discard(member))
            in_thread(lambda: group.add(member, since=1))

    blocker.meanwhile = again
    group.send("x", id=1)
    assert blocker.got == ["1", "2"]
    assert member.got == ["2"]


def test_messages_of_many_threads_have_one_order_for_all() -> None:
    group = Group(history=2000)
    first = Stream()
    group.add(first)
    late = [Stream() for _ in range(20)]

    def send(thread: int) -> None:
        for number in range(100):
            group.send("x", id=f"{thread}-{number}")

    def add() -> None:
        for member in late:
            group.add(member, since=first.got[-1] if first.got else "none")

    threads = [threading.Thread(target=send, args=(each,)) for each in range(4)]
    threads.append(threading.Thread(target=add))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert len(first.got) == len(set(first.got)) == 400
    for member in late:
        assert member.got == first.got[len(first.got) - len(member.got) :]


def test_groups_of_a_name_are_one_over_a_bus() -> None:
    bus = LocalBus()
    one, two = Group(name="prices", bus=bus), Group(name="prices", bus=bus, history=5)
    other = Group(name="news", bus=bus)
    members = [Stream() for _ in range(3)]
    for group, member in zip((one, two, other), members, strict=True):
        group.add(member)
    assert one.send("a\nb", event="tick", id=1) == 1
    assert [member.got for member in members] == [["1"], ["1"], []]
    assert members[1].frames == [b"event: tick\nid: 1\ndata: a\ndata: b\n\n"]
    late = Stream()
    two.add(late, since=0)
    assert late.got == ["1"]


def test_message_of_another_kind_from_the_bus_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    bus = LocalBus()
    streams, sockets = Group(name="a", bus=bus), Group(name="a", bus=bus)
    member = Stream()
    streams.add(member)
    sockets.send(b"x")
    assert member.got == []
    assert "group a is not delivered here" in caplog.text


@pytest.mark.parametrize("data", ["grüß", b"\0\xff"], ids=["text", "binary"])
def test_messages_pass_a_bus_unchanged(data: str | bytes) -> None:
    message = from_bytes(Broadcast(data).to_bytes())
    expected = Broadcast(data).websocket_frame(compressed=False)
    assert message.websocket_frame(compressed=False) == expected


def test_wrong_arguments_of_a_group() -> None:
    with pytest.raises(ValueError, match="from 0"):
        Group(history=-1)
    with pytest.raises(ValueError, match="both name and bus"):
        Group(name="a")
    with pytest.raises(ValueError, match="both name and bus"):
        Group(bus=LocalBus())


def test_thread_that_adds_to_a_full_queue_waits_for_the_one_that_works() -> None:
    handled: list[int] = []
    entered, go_on = threading.Event(), threading.Event()

    def handle(entry: int) -> None:
        if not entry:
            entered.set()
            assert go_on.wait(30)
        handled.append(entry)

    sequencer: Sequencer[int] = Sequencer(handle)

    def add(entry: int) -> None:
        with sequencer.lock:
            sequencer.make_room()
            mine = sequencer.add(entry)
        if mine:
            sequencer.run()

    worker = threading.Thread(target=add, args=(0,))
    worker.start()
    assert entered.wait(30)
    for entry in range(1, BACKLOG + 1):
        add(entry)
    late = threading.Thread(target=add, args=(BACKLOG + 1,))
    late.start()
    # It waits: the entry cannot be in the queue before the worker goes on.
    assert len(sequencer._entries) == BACKLOG
    go_on.set()
    for thread in (worker, late):
        thread.join(30)
        assert not thread.is_alive()
    assert handled == list(range(BACKLOG + 2))


def test_thread_that_has_handled_its_share_is_relieved_by_one_that_adds() -> None:
    begun = threading.Semaphore(0)
    go_on = threading.Semaphore(0)
    handled: list[tuple[int, str]] = []

    def handle(entry: int) -> None:
        begun.release()
        assert go_on.acquire(timeout=30)
        handled.append((entry, threading.current_thread().name))

    sequencer: Sequencer[int] = Sequencer(handle)

    def add(entry: int) -> bool:
        with sequencer.lock:
            return sequencer.add(entry)

    assert add(0)
    first = threading.Thread(target=sequencer.run, name="first")
    first.start()
    for entry in range(1, SHARE):
        assert begun.acquire(timeout=30)
        assert not add(entry)
        go_on.release()
    assert begun.acquire(timeout=30)
    assert add(SHARE)
    assert not add(SHARE + 1)  # one is enough
    second = threading.Thread(target=sequencer.run, name="second")
    second.start()
    go_on.release()
    first.join(30)
    assert not first.is_alive()
    go_on.release(2)
    second.join(30)
    assert not second.is_alive()
    names = ["first"] * SHARE + ["second"] * 2
    assert handled == list(enumerate(names))


def test_queue_goes_on_after_an_entry_that_failed() -> None:
    handled: list[int] = []

    def handle(entry: int) -> None:
        if not entry:
            raise RuntimeError("broken")
        handled.append(entry)

    sequencer: Sequencer[int] = Sequencer(handle)
    for entry in (0, 1):
        with sequencer.lock:
            assert sequencer.add(entry)
        if entry:
            sequencer.run()
        else:
            with pytest.raises(RuntimeError, match="broken"):
                sequencer.run()
    assert handled == [1]


class RememberingBus:
    """A bus whose followers a test calls."""

    def __init__(self, *kept: Broadcast) -> None:
        self.kept = [each.to_bytes() for each in kept]
        self.followers: list[Follower] = []

    def publish(self, name: str, message: bytes) -> None:
        for each in self.followers:
            each.take(name, message)

    def subscribe(self, callback: Callable[[str, bytes], object]) -> None:
        raise AssertionError("a group follows a bus that can be followed")

    def follow(self, follower: Follower) -> None:
        self.followers.append(follower)
        follower.recalled(self.kept)


def test_group_begins_with_what_the_bus_has_kept() -> None:
    bus = RememberingBus(*(Broadcast("x", None, each) for each in range(4)))
    group = Group(name="prices", bus=bus, history=3)
    assert (bus.followers[0].name, bus.followers[0].history) == ("prices", 3)
    group.send("x", id=4)
    one, two = Stream(), Stream()
    group.add(one, since=3)
    group.add(two, since="none of these")
    group.send("x", id=5)
    assert one.got == ["4", "5"]
    assert two.got == ["2", "3", "4", "5"]


def test_recalled_messages_come_before_those_that_were_received_already() -> None:
    bus = RememberingBus()
    group = Group(name="prices", bus=bus, history=3)
    group.send("x", id=4)
    bus.followers[0].recalled([Broadcast("x", None, each).to_bytes() for each in range(4)])
    member = Stream()
    group.add(member, since="none of these")
    assert member.got == ["2", "3", "4"]


def test_group_without_history_is_told_nothing_of_a_gap() -> None:
    bus = RememberingBus()
    group = Group(name="prices", bus=bus)
    member = Stream()
    group.add(member)
    bus.followers[0].missed()
    group.send("x", id=1)
    assert member.got == ["1"]


def test_streams_end_at_a_gap_and_come_back_to_what_history_there_is() -> None:
    bus = RememberingBus()
    group = Group(name="prices", bus=bus, history=5)
    group.send("x", id=1)
    group.send("x", id=2)
    member = Stream()
    group.add(member)
    bus.followers[0].missed()
    assert member.got == ["lapse"]
    assert len(group) == 0
    group.send("x", id=5)
    again = Stream()
    group.add(again, since=1)
    assert again.got == ["2", "5"]


def test_what_no_group_has_published_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    bus = RememberingBus()
    group = Group(name="prices", bus=bus, history=5)
    for content in (b"", b"tno JSON", b't["too", "short"]', b"t[1, null, null]", b"t\xff"):
        bus.followers[0].received(content)
        bus.followers[0].recalled([content])
    assert len(caplog.messages) == 10
    group.send("x", id=1)
    member = Stream()
    group.add(member, since=0)
    assert member.got == ["1"]


def test_group_goes_on_in_a_forked_process() -> None:
    bus = RememberingBus()
    group = Group(name="prices", bus=bus, history=5)
    group.send("x", id=1)
    member = Stream()
    group.add(member)
    with group._sequencer.lock:  # as another thread of the parent may hold it
        bus.followers[0].forked()
        assert len(group) == 0
        group.send("x", id=2)
    assert member.got == []
    group.add(member, since=0)
    assert member.got == ["1", "2"]


def test_other_threads_get_their_turns_while_a_message_is_sent_to_many() -> None:
    """With an interval that never ends, they have only the pauses."""
    began, seen = threading.Event(), threading.Event()
    during: list[bool] = []

    class Quick(Stream):
        def send_encoded(self, message: Broadcast) -> bool:
            del message
            began.set()
            return True

    class Last(Stream):
        def send_encoded(self, message: Broadcast) -> bool:
            del message
            during.append(seen.is_set())
            return True

    def look() -> None:
        began.wait(30)
        seen.set()

    group = Group()
    for _ in range(50_000):
        group.add(Quick())
    group.add(Last())
    thread = threading.Thread(target=look)
    thread.start()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    try:
        assert group.send("news") == 50_001
    finally:
        sys.setswitchinterval(interval)
    thread.join(30)
    assert during == [True]
