"""A server that serves as fast as it can keeps its times, and obeys.

A thread that runs compiled code gives the interpreter away less often than one that runs byte code.
So these tests have the threads of a server compute, in either build, for clients that never pause.
"""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import pytest

from coresupport import connect, serving, shout, worker
from rocket_core import Connection, State, TCPAddress, Timeouts
from rocket_core.testing import PATIENCE, Client, Load, Script, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rocket_core import Server

    Handler = Callable[[Connection, bytes, bytes], State]


def compute(connection: Connection, line: bytes, body: bytes) -> State:
    """Answer after some milliseconds of byte code."""
    number = 0
    for each in range(50_000):
        number += each
    return shout(connection, line, body)


def hold_on(connection: Connection, line: bytes, body: bytes) -> State:
    """Answer after some milliseconds of a call that does not give the interpreter away."""
    sum(range(300_000))
    return shout(connection, line, body)


handlers = pytest.mark.parametrize("handler", [shout, compute, hold_on])


@contextmanager
def loaded(
    handler: Handler, *, threads: int = 4, timeouts: Timeouts | None = None
) -> Iterator[tuple[Server, Load]]:
    """Run a server whose threads are all busy with clients that never pause."""
    with serving(worker(handler), threads=threads, timeouts=timeouts) as server:
        address = server.listeners[0].address
        assert isinstance(address, TCPAddress)
        with Load(address, b"x\n", clients=2 * threads) as load:
            load.go_on()
            yield server, load


@handlers
def test_deadlines_are_kept(handler: Handler) -> None:
    timeouts = Timeouts(head=0.3, keep_alive=0.4, grace=0.3, stall=0.2, minimum_rate=1e6)
    with loaded(handler, timeouts=timeouts) as (server, load), ExitStack() as clients:
        head, idle, body = (clients.enter_context(connect(server)) for _ in range(3))
        head.send(b"he")
        body.send(b"body 4\nbo")
        for client in (head, idle, body):
            assert client.closed_by_server()
        load.go_on()
        expected = {"head timed out", "keep-alive timed out", "body too slow"}
        assert server.statistics().closes.keys() == expected


@handlers
def test_new_client_is_served(handler: Handler) -> None:
    with loaded(handler) as (server, load):
        for _ in range(5):
            with connect(server) as client:
                assert client.ask(b"new\n") == b"NEW\n"
        load.go_on()


@handlers
def test_stop_by_another_thread_ends_the_server(handler: Handler) -> None:
    with loaded(handler) as (server, _):
        thread = threading.Thread(target=server.stop)
        thread.start()
        assert server.wait(PATIENCE)
        thread.join(PATIENCE)
        assert not thread.is_alive()


@handlers
def test_drain_ends_within_its_time(handler: Handler, caplog: pytest.LogCaptureFixture) -> None:
    with loaded(handler) as (server, _):
        server.drain(PATIENCE)
        assert server.wait(PATIENCE)
    assert not caplog.records
    assert server.statistics().closes.keys() == {"drained"}


@handlers
def test_time_of_a_drain_is_kept(handler: Handler, caplog: pytest.LogCaptureFixture) -> None:
    with loaded(handler) as (server, _), connect(server) as slow:
        slow.send(b"half")
        eventually(lambda: server.statistics().connections.get("head") == 1)
        began = time.monotonic()
        server.drain(0.5)
        assert server.wait(PATIENCE)
        assert time.monotonic() - began >= 0.5
    assert "drain timeout reached" in caplog.text


SIGNALLED = """
import signal
import test_promptness
from coresupport import worker
from rocket_core import Listener, Server

handler = test_promptness.{}
server = Server(worker(handler), [Listener("127.0.0.1:0")], min_threads=4, max_threads=4)
signal.signal(signal.SIGTERM, lambda *_: server.drain(30))
signal.signal(signal.SIGINT, lambda *_: server.stop())
signal.signal(signal.SIGHUP, lambda *_: print("noted", flush=True))
server.start()
print(server.listeners[0].address.port, flush=True)
server.wait()
print(server.lifecycle.value, flush=True)
"""


@handlers
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda each: each.name)
def test_signals_are_handled(handler: Handler, number: signal.Signals) -> None:
    with Script(SIGNALLED.format(handler.__name__)) as script:
        address = TCPAddress("127.0.0.1", int(script.read_line()))
        with Load(address, b"x\n") as load:
            load.go_on()
            script.signal(signal.SIGHUP)
            assert script.read_line() == "noted\n"
            with Client(address) as client:
                assert client.ask(b"y\n") == b"Y\n"
            script.signal(number)
            assert script.read_line() == "stopped\n"
            assert script.finish() == ""
