"""Clients do all that clients may do, in rounds that end with a drain or a stop."""

from __future__ import annotations

import os
import random
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from coresupport import LineWorker, rocket_threads, shout, stuff
from rocket_core import Connection, Listener, Server, State, Timeouts
from rocket_core.testing import PATIENCE, Client, NarrowListener, descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = int(os.environ.get("ROCKET_SOAK_ROUNDS", "30"))
CLIENTS = 12
LARGE = bytes(1 << 20)


def handle(connection: Connection, line: bytes, body: bytes) -> State | None:
    match line:
        case b"large":
            connection.write(LARGE)
        case b"stuff":
            return stuff(connection, line, body)
        case b"fail":
            raise ValueError("as the client wished")
        case b"wait":
            threading.Event().wait(0.002)
        case b"linger":
            connection.write(b"linger\n")
            return State.LINGER
        case b"close":
            return None
    return shout(connection, line, body)


def converse(client: Client, chance: random.Random) -> None:
    for _ in range(chance.randrange(1, 8)):
        number = b"%d" % chance.randrange(1000)
        assert client.ask(number + b"\n") in (number + b"\n", b"")


def pipeline(client: Client, chance: random.Random) -> None:
    count = chance.randrange(1, 100)
    client.send(b"wait\n" + b"again\n" * count)
    for expected in (b"WAIT\n", *(b"AGAIN\n" for _ in range(count))):
        if client.read_line() != expected:
            return  # a stop has cut the connection


def upload(client: Client, chance: random.Random) -> None:
    size = chance.randrange(100_000)
    client.send(b"body %d\n" % size)
    for _ in range(size // 1000):
        client.send(bytes(1000))


def half_request(client: Client, chance: random.Random) -> None:
    client.send(chance.choice([b"half", b"body 50\nabc", b"wait\nhalf"]))
    client.read_all()


def half_close(client: Client, chance: random.Random) -> None:
    client.send(chance.choice([b"", b"half", b"wait\n", b"large\n", b"body 5\nabcdex\n"]))
    client.half_close()
    client.read_all()


def slow_reader(client: Client, chance: random.Random) -> None:
    client.send(chance.choice([b"large\n", b"stuff\n", b"large\nwait\nstuff\n"]))
    if chance.random() < 0.5:
        client.half_close()
    client.read(chance.randrange(2000))


def misfortune(client: Client, chance: random.Random) -> None:
    client.send(chance.choice([b"fail\n", b"close\n", b"linger\nmore\nand more"]))
    client.read_all()


def reset(client: Client, chance: random.Random) -> None:
    client.send(chance.choice([b"", b"half", b"wait\n", b"large\n", b"stuff\n", b"wait\nhalf"]))
    client.reset()


BEHAVIOURS: list[Callable[[Client, random.Random], None]] = [
    *(converse, pipeline, upload, half_request),
    *(half_close, slow_reader, misfortune, reset),
]


def live(target: Listener, seed: str, failures: list[BaseException]) -> None:
    """Live the life of one client: several connections, one after the other."""
    chance = random.Random(seed)
    try:
        for _ in range(chance.randrange(1, 4)):
            # A client is refused, reset or cut when its server ends.
            with suppress(ConnectionError), Client(target.address) as client:
                chance.choice(BEHAVIOURS)(client, chance)
    except BaseException as error:
        failures.append(error)
        raise


@pytest.mark.parametrize("number", range(ROUNDS))
def test_clients_of_every_kind_leave_nothing_behind(number: int) -> None:
    chance = random.Random(number)
    before = descriptors()
    threads = chance.randrange(1, 4)
    server = Server(
        lambda: LineWorker(handle),
        [NarrowListener()],
        min_threads=threads,
        max_threads=threads + chance.randrange(3),
        max_stalled=chance.choice([0, 1, 100]),
        max_connections=chance.choice([3, 1000]),
        timeouts=Timeouts(
            keep_alive=chance.choice([0.1, 0.4]),
            head=chance.choice([0.1, 0.4]),
            stall=0.2,
            linger=0.1,
        ),
    )
    server.start()
    target = Listener(str(server.listeners[0].address))
    failures: list[BaseException] = []
    clients = [
        threading.Thread(target=live, args=(target, f"{number} {index}", failures))
        for index in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    for client in clients[: chance.randrange(CLIENTS + 1)]:
        client.join(PATIENCE)
    if chance.random() < 0.5:
        server.drain(chance.choice([0.1, PATIENCE]))
    if chance.random() < 0.5:
        server.stop()
    server.drain(1)
    assert server.wait(PATIENCE)
    for client in clients:
        client.join(PATIENCE)
        assert not client.is_alive()
    assert not failures
    statistics = server.statistics()
    assert statistics.connections == {}
    assert statistics.accepted == sum(statistics.closes.values())
    assert (statistics.ready, statistics.stalled) == (0, 0)
    assert not rocket_threads()
    assert descriptors() == before
