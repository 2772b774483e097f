from __future__ import annotations

import logging
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from redis_server import RedisServer
from rocket_core.testing import PATIENCE, eventually
from rocket_wsgi import BusError, Group
from rocket_wsgi._group.broadcast import Broadcast
from rocket_wsgi._group.bus import Follower
from rocket_wsgi.redis_bus import RedisBus


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def buses(server: RedisServer) -> Iterator[Any]:
    """Makes buses, each as a process of its own has it."""
    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(RedisBus(server.url, **options))


class Notes:
    """What a follower is given."""

    def __init__(self, name: str, history: int = 0) -> None:
        self.got: list[bytes] = []
        self.before: list[bytes] | None = None
        self.follower = Follower(
            name,
            history,
            received=self.got.append,
            recalled=self._recalled,
            missed=lambda: self.got.append(b"MISSED"),
            forked=lambda: None,
        )

    def _recalled(self, messages: list[bytes]) -> None:
        assert self.before is None
        self.before = messages

    def gets(self, *messages: bytes) -> None:
        """Wait until these are what it has received."""
        eventually(lambda: len(self.got) >= len(messages))
        assert self.got == list(messages)


def publish_when_possible(bus: RedisBus, name: str, message: bytes) -> None:
    def published() -> bool:
        try:
            bus.publish(name, message)
        except BusError:
            return False
        return True

    eventually(published)


def test_message_reaches_the_groups_of_its_name_everywhere(buses: Any) -> None:
    one, two = buses(), buses()
    prices, others, news = Notes("prices"), Notes("prices"), Notes("Grüße")
    one.follow(prices.follower)
    two.follow(others.follower)
    two.follow(news.follower)
    one.publish("prices", b"1")
    two.publish("prices", b"\x00\xff")
    one.publish("Grüße", b"")
    prices.gets(b"1", b"\x00\xff")
    others.gets(b"1", b"\x00\xff")
    news.gets(b"")


def test_subscriber_gets_messages_of_all_names(buses: Any) -> None:
    bus = buses()
    got: list[tuple[str, bytes]] = []
    bus.subscribe(lambda name, message: got.append((name, message)))
    bus.publish("prices", b"1")
    bus.publish("news", b"2")
    eventually(lambda: len(got) == 2)
    assert got == [("prices", b"1"), ("news", b"2")]


def test_streams_are_buses_of_their_own(buses: Any) -> None:
    one, two = buses(), buses(stream="another")
    notes = Notes("prices")
    one.follow(notes.follower)
    two.publish("prices", b"1")
    one.publish("prices", b"2")
    notes.gets(b"2")


def test_large_messages_pass(buses: Any) -> None:
    bus = buses()
    notes = Notes("prices")
    bus.follow(notes.follower)
    large = bytes(range(256)) * 4096
    bus.publish("prices", large)
    notes.gets(large)


def test_many_threads_of_many_processes_have_one_order(buses: Any) -> None:
    processes = [buses() for _ in range(3)]
    notes = [Notes("prices") for _ in processes]
    for process, each in zip(processes, notes, strict=True):
        process.follow(each.follower)

    def publish(number: int) -> None:
        for message in range(150):
            processes[number % 3].publish("prices", b"%d %d" % (number, message))

    threads = [threading.Thread(target=publish, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    eventually(lambda: all(len(each.got) == 600 for each in notes))
    assert notes[0].got == notes[1].got == notes[2].got
    for number in range(4):
        mine = [each for each in notes[0].got if each.startswith(b"%d " % number)]
        assert mine == [b"%d %d" % (number, message) for message in range(150)]


def test_group_that_is_made_late_begins_with_the_latest_messages(
    buses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rocket_wsgi.redis_bus._PAGE", 4)
    one, two = buses(), buses()
    for number in range(10):
        one.publish("prices", b"%d" % number)
        one.publish("news", b"")
    late, all_of_them, none = (
        Notes("prices", history=3),
        Notes("prices", history=1000),
        Notes("weather", history=3),
    )
    for each in (late, all_of_them, none):
        two.follow(each.follower)
    assert late.before == [b"7", b"8", b"9"]
    assert all_of_them.before == [b"%d" % number for number in range(10)]
    assert none.before == []
    one.publish("prices", b"10")
    late.gets(b"10")


def test_late_groups_have_no_gap_and_no_double_while_others_publish(buses: Any) -> None:
    one, two = buses(), buses()
    two.follow(Notes("prices").follower)
    stop = threading.Event()
    published: list[bytes] = []

    def publish() -> None:
        while not stop.is_set():
            published.append(b"%d" % len(published))
            one.publish("prices", published[-1])

    thread = threading.Thread(target=publish)
    thread.start()
    late = [Notes("prices", history=1_000_000) for _ in range(10)]
    for each in late:
        two.follow(each.follower)
    stop.set()
    thread.join(PATIENCE)
    for each in late:
        before = each.before
        assert before is not None
        each.gets(*published[len(before) :])
        assert before == published[: len(before)]


def test_history_may_be_ahead_of_what_the_thread_has_handed_over(buses: Any) -> None:
    one, two = buses(), buses()
    first, late = Notes("prices"), Notes("prices", history=10)
    two.follow(first.follower)
    with two._lock:  # the thread waits for it
        for message in (b"1", b"2", b"3"):
            one.publish("prices", message)
        two.follow(late.follower)
        assert late.before == [b"1", b"2", b"3"]
    one.publish("prices", b"4")
    first.gets(b"1", b"2", b"3", b"4")
    late.gets(b"4")


def test_message_that_comes_while_history_is_read_is_kept(
    buses: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    bus = buses()
    first, late = Notes("prices"), Notes("prices", history=10)
    bus.follow(first.follower)
    bus.publish("prices", b"1")
    first.gets(b"1")
    recall = bus._recall

    def recall_slowly(*arguments: Any) -> Any:
        history = recall(*arguments)
        bus.publish("prices", b"2")
        first.gets(b"1", b"2")
        return history

    monkeypatch.setattr(bus, "_recall", recall_slowly)
    bus.follow(late.follower)
    assert late.before == [b"1"]
    bus.publish("prices", b"3")
    late.gets(b"2", b"3")


@pytest.mark.parametrize("keeps", [True, False], ids=["with its data", "without its data"])
def test_redis_that_is_killed_and_comes_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, *, keeps: bool
) -> None:
    missed = threading.Event()
    with (
        RedisServer(tmp_path, keeps=keeps) as server,
        RedisBus(server.url, on_missed=missed.set) as one,
        RedisBus(server.url) as two,
    ):
        notes, others = Notes("prices"), Notes("prices")
        one.follow(notes.follower)
        two.follow(others.follower)
        one.publish("prices", b"1")
        notes.gets(b"1")
        others.gets(b"1")
        server.kill()
        with pytest.raises(BusError, match="Redis cannot be reached"):
            one.publish("prices", b"lost")
        server.start()
        publish_when_possible(two, "prices", b"2")
        gap = [] if keeps else [b"MISSED"]
        notes.gets(b"1", *gap, b"2")
        others.gets(b"1", *gap, b"2")
        assert missed.is_set() is not keeps
    assert ("messages may be missing" in caplog.text) is not keeps
    assert "cannot read from Redis, trying again" in caplog.text


def test_process_that_was_disconnected_gets_what_it_has_not_read(server: RedisServer) -> None:
    with RedisBus(server.url) as one, RedisBus(server.url) as two, server.client() as client:
        notes = Notes("prices")
        one.follow(notes.follower)
        two.publish("prices", b"0")
        notes.gets(b"0")
        with one._lock:  # so that the thread goes on only later
            for number in range(1, 500):
                two.publish("prices", b"%d" % number)
            client.client_kill_filter(_type="normal", skipme=True)
        notes.gets(*[b"%d" % number for number in range(500)])


def test_process_that_was_slower_than_the_stream_is_long_is_told(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    with RedisBus(server.url, length=1) as one, server.client() as client:
        notes = Notes("prices")
        one.follow(notes.follower)
        one.publish("prices", b"0")
        notes.gets(b"0")
        with one._lock:
            one.publish("prices", b"1")
            for number in range(2, 1000):
                one.publish("prices", b"%d" % number)
            client.xtrim("rocket:bus", maxlen=10, approximate=False)
        eventually(lambda: notes.got[-1:] == [b"999"])
    gap = notes.got.index(b"MISSED")
    assert notes.got[:gap] == [b"%d" % number for number in range(gap)]
    assert notes.got[gap + 1 :] == [b"%d" % number for number in range(990, 1000)]
    assert caplog.text.count("messages may be missing") == 1


def test_redis_that_has_lost_its_latest_messages_hands_over_none_twice(
    server: RedisServer,
) -> None:
    """As a Redis has that was restored from an older state: old entries, and then new ones."""
    with RedisBus(server.url) as one, server.client() as client:
        notes = Notes("prices")
        one.follow(notes.follower)
        for identity in ("90-0", "91-0", "92-0"):
            client.xadd("rocket:bus", {"n": "prices", "m": identity}, id=identity)
        notes.gets(b"90-0", b"91-0", b"92-0")
        pipeline = client.pipeline()
        pipeline.delete("rocket:bus")
        for identity in ("90-0", "91-0"):
            pipeline.xadd("rocket:bus", {"n": "prices", "m": identity}, id=identity)
        pipeline.execute()
        eventually(lambda: notes.got[-1] == b"MISSED")
        client.xadd("rocket:bus", {"n": "prices", "m": "again"}, id="91-1")
        notes.gets(b"90-0", b"91-0", b"92-0", b"MISSED", b"again")


def test_bus_that_is_made_while_redis_is_away(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = RedisServer(tmp_path)
    with server:
        with RedisBus(server.url) as bus:
            bus.publish("prices", b"before")
        server.kill()
        with RedisBus(server.url) as bus:
            notes = Notes("prices", history=5)
            bus.follow(notes.follower)
            with pytest.raises(BusError, match="cannot be reached"):
                bus.publish("prices", b"lost")
            server.start()
            eventually(lambda: notes.before == [b"before"])
            publish_when_possible(bus, "prices", b"after")
            notes.gets(b"after")
    assert "cannot read from Redis, trying again" in caplog.text


def test_redis_that_does_not_answer_holds_publishers_up_once(server: RedisServer) -> None:
    with RedisBus(server.url) as bus:
        bus.publish("prices", b"")
        server.signal(signal.SIGSTOP)
        with pytest.raises(BusError, match="Redis cannot be reached: Timeout"):
            bus.publish("prices", b"")
        with pytest.raises(BusError, match="could not be reached just now"):
            bus.publish("prices", b"")
        server.signal(signal.SIGCONT)
        publish_when_possible(bus, "prices", b"")


def test_message_that_redis_refuses(server: RedisServer) -> None:
    with RedisBus(server.url) as bus, server.client() as client:
        client.set("rocket:bus", "no stream")
        with pytest.raises(BusError, match="Redis refuses the message: WRONGTYPE"):
            bus.publish("prices", b"")
        client.delete("rocket:bus")
        bus.publish("prices", b"")


def test_redis_keeps_no_more_than_it_was_told(server: RedisServer) -> None:
    with RedisBus(server.url, length=200) as bus, server.client() as client:
        for _ in range(1000):
            bus.publish("prices", b"")
        assert 200 <= client.xlen("rocket:bus") <= 400


def test_entries_of_others_are_ignored(server: RedisServer) -> None:
    with RedisBus(server.url) as bus, server.client() as client:
        notes = Notes("prices", history=1)
        bus.follow(notes.follower)
        client.xadd("rocket:bus", {"something": "else"})
        client.xadd("rocket:bus", {"n": "prices"})
        bus.publish("prices", b"1")
        notes.gets(b"1")
        again = Notes("prices", history=1)
        bus.follow(again.follower)
        assert again.before == [b"1"]


def test_error_of_a_subscriber_is_logged_and_concerns_no_other(
    buses: Any, caplog: pytest.LogCaptureFixture
) -> None:
    bus = buses()

    def fails(name: str, message: bytes) -> None:
        raise RuntimeError(message)

    bus.subscribe(fails)
    notes = Notes("prices")
    bus.follow(notes.follower)
    bus.publish("prices", b"1")
    bus.publish("prices", b"2")
    notes.gets(b"1", b"2")
    assert caplog.messages == ["a subscriber of the bus has failed"] * 2


def test_closed_bus_has_no_thread_and_no_connection(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with server.client() as client:
        before = len(client.client_list())
        bus = RedisBus(server.url)
        bus.follow(Notes("prices").follower)
        bus.publish("prices", b"")
        bus.close()
        bus.close()
        assert not any(each.name == "rocket-redis" for each in threading.enumerate())
        eventually(lambda: len(client.client_list()) == before)
    with pytest.raises(BusError, match="the bus is closed"):
        bus.publish("prices", b"")
    assert caplog.messages == []


def test_bus_can_be_closed_while_redis_is_away(server: RedisServer) -> None:
    bus = RedisBus(server.url)
    bus.follow(Notes("prices").follower)
    server.kill()
    bus.close()
    assert not any(each.name == "rocket-redis" for each in threading.enumerate())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"url": "http://localhost"}, "Redis URL must specify one of"),
        ({"url": "redis://localhost", "length": 0}, "length is 0"),
    ],
)
def test_arguments_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RedisBus(**arguments)


def test_groups_on_several_machines_are_one(server: RedisServer) -> None:
    with RedisBus(server.url) as here, RedisBus(server.url) as there:
        one = Group(name="prices", bus=here, history=10)
        one.send("a", id=1)
        one.send("b", event="news", id="two")
        other = Group(name="prices", bus=there, history=10)
        assert [each.to_bytes() for each in other._history] == [
            Broadcast("a", None, 1).to_bytes(),
            Broadcast("b", "news", "two").to_bytes(),
        ]
        other.send("c", id=3)
        eventually(lambda: len(one._history) == len(other._history) == 3)


FORK = """
import os, sys, time
from rocket_wsgi import Group
from rocket_wsgi.redis_bus import RedisBus

bus = RedisBus(sys.argv[1])
group = Group(name="prices", bus=bus, history=100)
group.send("before")
if os.fork() == 0:
    group.send("child")
    while not group._history or group._history[-1]._data != "last":
        time.sleep(0.001)
    print([each._data for each in group._history], flush=True)
    os._exit(0)
os.wait()
group.send("after")
bus.close()
"""


def test_child_goes_on_where_its_parent_was(server: RedisServer) -> None:
    with RedisBus(server.url) as bus:
        got: list[bytes] = []
        bus.subscribe(lambda name, message: got.append(message))
        with subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", FORK, server.url],
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            eventually(lambda: len(got) == 2)
            bus.publish("prices", Broadcast("last").to_bytes())
            output, _ = process.communicate(timeout=PATIENCE)
        assert output == "['before', 'child', 'last']\n"
        eventually(lambda: len(got) == 4)


WITHOUT = """
import sys
sys.modules["redis"] = None
import rocket_wsgi
try:
    import rocket_wsgi.redis_bus
except ImportError as error:
    print(error)
"""


def test_without_the_client_of_redis_the_error_names_the_extra() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == (
        'rocket_wsgi.redis_bus needs the client of Redis: pip install "rocket-wsgi[redis]"\n'
    )
