from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from bus_ends import Ends, Notes
from rocket_cli._processes.bus_frames import MAX_MESSAGE
from rocket_cli._processes.process_bus import MAX_HELD, ProcessBus
from rocket_core.testing import PATIENCE, eventually
from rocket_wsgi import BusError


@pytest.fixture
def ends() -> Iterator[Ends]:
    with Ends() as ends:
        yield ends


def test_message_reaches_the_groups_of_its_name_in_all_processes(ends: Ends) -> None:
    one, two = ends.process(), ends.process()
    prices, others, news = Notes("prices"), Notes("prices"), Notes("news")
    ends.follow(one, prices)
    ends.follow(two, others)
    ends.follow(two, news)
    one.publish("prices", b"1")
    two.publish("prices", b"2")
    eventually(lambda: len(prices.got) == len(others.got) == 2)
    assert prices.got == others.got
    assert sorted(prices.got) == [b"1", b"2"]
    assert news.got == []


def test_group_without_history_gets_messages_from_now_on(ends: Ends) -> None:
    one, two = ends.process(), ends.process()
    first, late = Notes("prices"), Notes("prices")
    one.follow(first.follower)
    one.publish("prices", b"1")
    assert first.gets(b"1")
    two.follow(late.follower)
    two.publish("prices", b"2")
    assert late.gets(b"2")


def test_subscriber_gets_messages_of_all_names(ends: Ends) -> None:
    bus = ends.process()
    got: list[tuple[str, bytes]] = []
    bus.subscribe(lambda name, message: got.append((name, message)))
    bus.publish("prices", b"1")
    bus.publish("Grüße", b"")
    eventually(lambda: len(got) == 2)
    assert got == [("prices", b"1"), ("Grüße", b"")]


def test_many_threads_of_many_processes_have_one_order(ends: Ends) -> None:
    processes = [ends.process() for _ in range(3)]
    notes = [Notes("prices") for _ in processes]
    for process, each in zip(processes, notes, strict=True):
        ends.follow(process, each)

    def publish(number: int, process: ProcessBus) -> None:
        for message in range(100):
            process.publish("prices", b"%d %d" % (number, message))

    threads = [
        threading.Thread(target=publish, args=(number, processes[number % 3]))
        for number in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    eventually(lambda: all(len(each.got) == 600 for each in notes))
    assert notes[0].got == notes[1].got == notes[2].got
    for number in range(6):
        mine = [each for each in notes[0].got if each.startswith(b"%d " % number)]
        assert mine == [b"%d %d" % (number, message) for message in range(100)]


def test_large_messages_pass(ends: Ends) -> None:
    bus = ends.process()
    notes = Notes("prices")
    bus.follow(notes.follower)
    large = bytes(range(256)) * 4096
    largest = bytes(MAX_MESSAGE - len("prices"))
    bus.publish("prices", large)
    bus.publish("prices", largest)
    assert notes.gets(large, largest)


@pytest.mark.parametrize(
    ("name", "size"), [("prices", MAX_MESSAGE - 5), ("x" * 65536, 0)], ids=["message", "name"]
)
def test_larger_messages_are_refused_and_nothing_is_lost(ends: Ends, name: str, size: int) -> None:
    bus = ends.process()
    notes = Notes("prices")
    bus.follow(notes.follower)
    with pytest.raises(ValueError, match="at most 4194304 go between processes"):
        bus.publish(name, bytes(size))
    bus.publish("prices", b"1")
    assert notes.gets(b"1")


def test_group_that_is_made_late_begins_with_the_latest_messages(ends: Ends) -> None:
    one, two = ends.process(), ends.process()
    first = Notes("prices")
    one.follow(first.follower)
    for number in range(5):
        one.publish("prices", b"%d" % number)
        one.publish("news", b"")
    assert first.gets(b"0", b"1", b"2", b"3", b"4")
    late = Notes("prices", history=3)
    two.follow(late.follower)
    assert late.before == [b"2", b"3", b"4"]
    one.publish("prices", b"5")
    assert late.gets(b"5")
    another = Notes("prices", history=100)
    two.follow(another.follower)
    assert another.before == [b"0", b"1", b"2", b"3", b"4", b"5"]
    nothing = Notes("another name", history=100)
    two.follow(nothing.follower)
    assert nothing.before == []


def test_late_groups_have_no_gap_and_no_double_while_others_publish(ends: Ends) -> None:
    one, two = ends.process(), ends.process()
    stop = threading.Event()
    published: list[bytes] = []

    def publish() -> None:
        while not stop.is_set():
            published.append(b"%d" % len(published))
            one.publish("prices", published[-1])
            time.sleep(0)

    thread = threading.Thread(target=publish)
    thread.start()
    late = [Notes("prices", history=1_000_000) for _ in range(20)]
    makers = [threading.Thread(target=two.follow, args=(each.follower,)) for each in late]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(PATIENCE)
    stop.set()
    thread.join(PATIENCE)
    for each in late:
        assert each.before is not None
        each.gets_number(len(published) - len(each.before))
        assert each.before + each.got == published


def test_process_that_only_publishes_does_not_subscribe(ends: Ends) -> None:
    one, two = ends.process(), ends.process()
    notes = Notes("prices")
    ends.follow(one, notes)
    two.publish("prices", b"1")
    assert notes.gets(b"1")
    assert [link.position is None for link in ends.links] == [False, True]


def test_publishing_waits_a_second_for_a_supervisor_that_does_not_read(ends: Ends) -> None:
    bus = ends.process()
    notes = Notes("prices")
    bus.follow(notes.follower)
    taken = 0

    def publish() -> None:
        nonlocal taken
        while taken < 100:
            bus.publish("prices", bytes(1 << 20))
            taken += 1

    with ends.lock, pytest.raises(BusError, match="the supervisor takes no messages"):
        publish()
    assert taken >= MAX_HELD >> 20
    eventually(lambda: len(notes.got) == taken)
    bus.publish("prices", b"later")
    assert notes.gets(*[bytes(1 << 20)] * taken, b"later")


def test_finish_waits_for_what_was_published(ends: Ends) -> None:
    bus = ends.process()
    with ends.lock:
        bus.publish("prices", bytes(1 << 20))
        assert bus._sending
        waits = threading.Thread(target=bus.finish)
        waits.start()
    waits.join(PATIENCE)
    assert not bus._sending


def test_error_of_a_subscriber_is_logged_and_concerns_no_other(
    ends: Ends, caplog: pytest.LogCaptureFixture
) -> None:
    bus = ends.process()

    def fails(name: str, message: bytes) -> None:
        raise RuntimeError(message)

    bus.subscribe(fails)
    notes = Notes("prices")
    bus.follow(notes.follower)
    bus.publish("prices", b"1")
    bus.publish("prices", b"2")
    assert notes.gets(b"1", b"2")
    assert caplog.messages == ["a subscriber of the bus has failed"] * 2


def test_forked_process_is_not_on_the_bus(ends: Ends) -> None:
    bus = ends.process()
    notes = Notes("prices")
    bus.follow(notes.follower)
    with bus._lock, bus._room:  # as other threads may hold them, which a child has not
        bus._forked()
        with pytest.raises(BusError, match="this process is not connected to the others"):
            bus.publish("prices", b"")
        bus.follow(Notes("news").follower)


def test_publishing_without_a_supervisor_fails() -> None:
    ours, theirs = socket.socketpair()
    bus = ProcessBus(theirs)
    bus.subscribe(lambda name, message: None)
    ours.close()
    eventually(lambda: bus._over)
    with theirs, pytest.raises(BusError, match="this process is not connected to the others"):
        bus.publish("prices", b"")


def test_group_goes_on_without_a_history_that_does_not_come(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rocket_cli._processes.process_bus._RECALL_PATIENCE", 0.01)
    with Ends() as ends:
        bus = ends.process()
        notes = Notes("prices", history=3)
        with ends.lock:
            bus.follow(notes.follower)
            assert notes.before is None
        assert "has not sent the history of group prices" in caplog.text
        eventually(lambda: notes.before == [])
        bus.publish("prices", b"1")
        assert notes.gets(b"1")


def test_group_may_be_made_by_a_subscriber(ends: Ends, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)
    bus = ends.process()
    notes = Notes("news", history=3)
    bus.subscribe(lambda name, message: bus.follow(notes.follower) if name == "prices" else None)
    bus.publish("prices", b"")
    eventually(lambda: notes.before == [])
    assert caplog.messages == []
