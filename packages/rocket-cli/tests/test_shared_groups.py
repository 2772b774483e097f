"""Groups that span the processes of a running command."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from conftest import Write
from processes import Served
from rocket_core import parse_address
from rocket_core.testing import PATIENCE, Client, eventually

ANY = ["--bind", "127.0.0.1:0"]

APP = """
    import os
    from urllib.parse import parse_qs
    from rocket_wsgi import BusError, Group

    prices = Group(name="prices", shared=True, history=1000)
    rooms = {}

    def app(environ, start_response):
        path, query = environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"])
        fields = [("Content-Type", "text/plain")]
        body = str(os.getpid())
        if path == "/feed":
            stream = environ["rocket.events"].open()
            prices.add(stream, since=environ.get("HTTP_LAST_EVENT_ID"))
            fields = [("Content-Type", "text/event-stream")]
            body = f": {os.getpid()}\\n\\n"
        elif path == "/send":
            size = int(query.get("size", ["1"])[0])
            for number in range(int(query["count"][0])):
                prices.send("x" * size, id=f"{query['by'][0]}-{number}")
        elif path == "/room":  # made when it is first needed
            name = query["name"][0]
            if name not in rooms:
                rooms[name] = Group(name=name, shared=True, history=10)
            if "send" in query:
                rooms[name].send("x", id=query["send"][0])
            body = " ".join(str(each.identity) for each in rooms[name]._history)
        elif path == "/last":
            body = " ".join(str(each.identity) for each in list(prices._history)[-3:])
        elif path == "/raw":
            environ["rocket.bus"].publish("prices", b'tno JSON')
        start_response("200 OK", fields)
        return [body.encode()]
"""


@pytest.fixture
def site(tmp_path: Path, write: Write) -> Path:
    write("shared.py", APP)
    return tmp_path


class Connection(Client):
    """A connection to one process, and perhaps its event stream.

    Attributes:
        pid: the process.
        ended: whether the stream has ended.
    """

    pid = 0
    ended = False

    def get(self, path: str) -> str:
        self.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        answer = self.answer()
        assert answer.status == 200, answer
        return answer.body.decode()

    def feed(self, since: str | None) -> None:
        """Ask for the event stream."""
        field = "" if since is None else f"Last-Event-ID: {since}\r\n"
        self.send(f"GET /feed HTTP/1.1\r\nHost: a\r\n{field}\r\n".encode())
        assert self.head().status == 200
        self._text = b""
        self._events: list[str] = []
        while not self.pid:
            self._read()

    def events(self, count: int) -> list[str]:
        """Wait for so many events, or for the end of the stream; return the IDs of all so far."""
        while len(self._events) < count and not self.ended:
            self._read()
        return self._events

    def _read(self) -> None:
        chunk = self.chunk()
        self.ended = not chunk
        *complete, self._text = (self._text + chunk).split(b"\n\n")
        for each in complete:
            name, _, value = each.partition(b"\n")[0].decode().partition(": ")
            if name == "id":
                self._events.append(value)
            elif not name:
                self.pid = int(value)


@contextmanager
def connected(
    location: str, pids: list[int], *, feed: bool = True, since: str | None = None
) -> Iterator[list[Connection]]:
    """Connect to each process, in this order; with ``feed`` to its event stream."""
    address = parse_address(location.removeprefix("http://"))
    with ExitStack() as stack:
        found: dict[int, Connection] = {}

        def all_found() -> bool:
            one = stack.enter_context(Connection(address))
            if feed:
                one.feed(since)
            else:
                one.pid = int(one.get("/"))
            found.setdefault(one.pid, one)
            return found.keys() >= set(pids)

        eventually(all_found)
        yield [found[pid] for pid in pids]


def send(connection: Connection, by: str, count: int, size: int = 1) -> None:
    connection.get(f"/send?by={by}&count={count}&size={size}")


def ids(by: str, count: int) -> list[str]:
    return [f"{by}-{number}" for number in range(count)]


@pytest.mark.parametrize("options", [[], ["--preload"]], ids=["", "preload"])
@pytest.mark.parametrize("count", [1, 2, 4])
def test_clients_of_all_processes_get_the_same_order(
    site: Path, count: int, options: list[str]
) -> None:
    with Served(site, *ANY, *options, "--processes", str(count), "shared") as served:
        location = served.location()
        workers = served.workers()
        assert len(workers) == count
        with (
            connected(location, workers) as feeds,
            connected(location, workers, feed=False) as senders,
        ):
            threads = [
                threading.Thread(target=send, args=(each, str(each.pid), 50)) for each in senders
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join(PATIENCE)
            first = feeds[0].events(50 * count)
            assert all(each.events(50 * count) == first for each in feeds)
            for pid in workers:
                assert [each for each in first if each.startswith(f"{pid}-")] == ids(str(pid), 50)
            send(senders[0], "last", 1)  # and nothing came twice
            assert all(each.events(50 * count + 1)[50 * count :] == ["last-0"] for each in feeds)
        served.stop()


def test_large_messages_reach_all_processes(site: Path) -> None:
    with Served(site, *ANY, "--processes", "2", "shared") as served:
        location = served.location()
        workers = served.workers()
        with (
            connected(location, workers) as feeds,
            connected(location, workers, feed=False) as senders,
        ):
            for number, sender in enumerate(senders):
                send(sender, f"large{number}", 1, size=1 << 20)
                for each in feeds:
                    assert len(each.events(number + 1)) == number + 1
        served.stop()


def test_killed_process_takes_nothing_with_it_and_its_successor_has_the_history(
    site: Path,
) -> None:
    with Served(site, *ANY, "--processes", "2", "shared") as served:
        location = served.location()
        workers = served.workers()
        with (
            connected(location, workers) as feeds,
            connected(location, workers, feed=False) as senders,
        ):
            send(senders[0], "before", 20)
            os.kill(workers[0], signal.SIGKILL)
            served.wait_for(r"was killed by SIGKILL \(out of memory\?\) after .*: replacing it in ")
            new = int(served.wait_for(r"worker (\d+) serves")[1])
            send(senders[1], "after", 20)
            assert feeds[1].events(40) == ids("before", 20) + ids("after", 20)
            with connected(location, [new], feed=False) as (sender,):
                send(sender, "new", 1)
            assert feeds[1].events(41)[40:] == ["new-0"]
            with connected(location, [new], since="before-15") as (late,):
                assert late.events(25) == [
                    *ids("before", 20)[16:],
                    *ids("after", 20),
                    "new-0",
                ]
        served.stop()


def test_reload_keeps_history_and_order(site: Path) -> None:
    with Served(site, *ANY, "--processes", "2", "shared") as served:
        location = served.location()
        old = served.workers()
        with (
            connected(location, old[:1]) as (feed,),
            connected(location, old[1:], feed=False) as (sender,),
        ):
            send(sender, "before", 20)
            assert feed.events(20) == ids("before", 20)
            served.send(signal.SIGHUP)
            served.wait_for("reloaded: generation 2 serves")
            new = [each for each in served.workers() if each not in old]
            assert len(new) == 2
            with connected(location, new[:1], feed=False) as (other,):
                send(other, "new", 20)
            with connected(location, new, since="before-9") as again:
                expected = ids("before", 20)[10:] + ids("new", 20)
                assert all(each.events(30) == expected for each in again)
            got = feed.events(1000)  # to its end
            assert feed.ended
            assert got == (ids("before", 20) + ids("new", 20))[: len(got)]
        served.stop()


def test_process_that_is_stopped_holds_no_other_up_and_its_clients_come_back(site: Path) -> None:
    count = 200
    with Served(site, *ANY, "--processes", "2", "shared") as served:
        location = served.location()
        workers = served.workers()
        with (
            connected(location, workers) as (feed, other),
            connected(location, workers[1:], feed=False) as (sender,),
        ):
            os.kill(workers[0], signal.SIGSTOP)
            for number in range(count):
                send(sender, f"{number}", 1, size=100_000)
                assert other.events(number + 1)[number] == f"{number}-0"
            served.wait_for(
                rf"WARNING rocket_cli: worker {workers[0]} does not take the messages of its groups"
            )
            os.kill(workers[0], signal.SIGCONT)
            served.wait_for("this process was too slow to take all messages of its groups")
            got = feed.events(count)
            assert feed.ended
            assert got == [f"{number}-0" for number in range(len(got))]
            assert len(got) < count
            send(sender, "last", 1)

            with connected(location, workers, feed=False) as both:
                eventually(lambda: all(each.get("/last") == "198-0 199-0 last-0" for each in both))
        served.stop()


def test_group_that_a_process_makes_late_has_the_history_of_the_others(site: Path) -> None:
    with Served(site, *ANY, "--processes", "2", "shared") as served:
        with connected(served.location(), served.workers(), feed=False) as (one, two):
            for number in range(12):
                one.get(f"/room?name=a&send={number}")
            assert two.get("/room?name=b") == ""
            assert two.get("/room?name=a") == "2 3 4 5 6 7 8 9 10 11"
            two.get("/room?name=a&send=12")
            eventually(lambda: one.get("/room?name=a") == "3 4 5 6 7 8 9 10 11 12")
        served.stop()


def test_application_may_publish_itself(site: Path) -> None:
    with Served(site, *ANY, "--processes", "2", "shared") as served:
        location = served.location()
        with connected(location, served.workers()[:1], feed=False) as (one,):
            one.get("/raw")
            for _ in range(2):
                served.wait_for("a message to group prices is not delivered here: Expecting value")
        served.stop()
