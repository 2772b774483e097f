"""Groups that span processes: those of one command, and those of several, over Redis."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import httpx
import pytest
from websockets.sync.client import connect

from rocket_core.testing import eventually
from systemtests.processes import (
    APPLICATIONS,
    PATIENCE,
    PLAIN,
    Server,
    assert_quiet,
    serve,
)
from systemtests.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from websockets.sync.client import ClientConnection


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as store:
        yield store


def rooms(*options: str, **variables: str) -> Server:
    return serve("rooms:app", *PLAIN, *options, cwd=APPLICATIONS, variables=variables)


def join(stack: ExitStack, servers: list[Server], processes: int) -> list[ClientConnection]:
    """Open a websocket to each process of the servers."""
    found: dict[str | bytes, ClientConnection] = {}

    def all_found() -> bool:
        for server in servers:
            address = "ws" + server.address.removeprefix("http") + "/chat"
            socket = stack.enter_context(connect(address, proxy=None))
            greeting = socket.recv(PATIENCE)
            if greeting in found:
                socket.close()
            else:
                found[greeting] = socket
        return len(found) == processes

    eventually(all_found)
    return list(found.values())


def talk(sockets: list[ClientConnection], count: int) -> None:
    """Have all send at once; all must get the same messages in the same order."""

    def say(number: int, socket: ClientConnection) -> None:
        for each in range(count):
            socket.send(f"{number} {each}")

    threads = [threading.Thread(target=say, args=each) for each in enumerate(sockets)]
    for thread in threads:
        thread.start()
    expected = count * len(sockets)
    got = [[socket.recv(PATIENCE) for _ in range(expected)] for socket in sockets]
    for thread in threads:
        thread.join(PATIENCE)
    assert all(each == got[0] for each in got)
    for number in range(len(sockets)):
        own = [each for each in got[0] if str(each).startswith(f"{number} ")]
        assert own == [f"{number} {each}" for each in range(count)]


@pytest.mark.parametrize("processes", [2, 4])
def test_websockets_of_all_processes_get_the_same_order(processes: int) -> None:
    with rooms("--processes", str(processes)) as server, ExitStack() as stack:
        talk(join(stack, [server], processes), 50)
    assert_quiet(server.log)


def test_websockets_of_two_servers_get_the_same_order_over_redis(store: RedisServer) -> None:
    with (
        rooms("--processes", "2", REDIS_URL=store.url) as one,
        rooms("--processes", "2", "--preload", REDIS_URL=store.url) as two,
        ExitStack() as stack,
    ):
        sockets = join(stack, [one, two], 4)
        talk(sockets, 50)
        store.kill()
        one.wait_for("cannot read from Redis, trying again")
        store.start()
        later = join(stack, [one, two], 4)
        eventually(lambda: says(later[0]))
        for socket in (*sockets, *later):
            while socket.recv(PATIENCE) != "Redis is back":
                pass
    assert_quiet(one.log)
    assert "started threads at import" not in two.log


def says(socket: ClientConnection) -> bool:
    socket.send("Redis is back")
    return True


def test_feed_over_redis_goes_on_where_the_client_was(store: RedisServer) -> None:
    with (
        rooms("--processes", "2", REDIS_URL=store.url) as one,
        rooms(REDIS_URL=store.url) as two,
        httpx.Client(trust_env=False, timeout=PATIENCE) as client,
    ):
        for number in range(5):
            client.get(f"{one.address}/send?{number}").raise_for_status()
        for server in (one, two):
            assert ids(client, server, since="1", count=3) == ["2", "3", "4"]
        store.kill()
        two.wait_for("cannot read from Redis, trying again")
        store.start()

        def sent() -> bool:
            return client.get(f"{two.address}/send?5").status_code == 204

        eventually(sent)
        for server in (one, two):
            assert ids(client, server, since="3", count=2) == ["4", "5"]


def ids(client: httpx.Client, server: Server, since: str, count: int) -> list[str]:
    """The IDs of the first events that a client gets that comes back."""
    found = []
    headers = {"Last-Event-ID": since}
    with client.stream("GET", f"{server.address}/feed", headers=headers) as answer:
        for line in answer.iter_lines():
            if line.startswith("id: "):
                found.append(line.removeprefix("id: "))
            if len(found) == count:
                break
    return found
