"""Waiting for clients beside others that accept from the same socket."""

from __future__ import annotations

import socket
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING

import pytest

from coresupport import Gate, connect, serving, wait_for, worker
from rocket_core import Listener
from rocket_core._network.accept_wait import SharedAcceptWait
from rocket_core._server import listener as module
from rocket_core.testing import PATIENCE, eventually

if TYPE_CHECKING:
    from collections.abc import Callable

exclusive = pytest.mark.skipif(sys.platform != "linux", reason="needs EPOLLEXCLUSIVE")


def test_clients_are_spread_over_those_who_wait() -> None:
    """Each listener stands for one in a process of its own."""
    with socket.create_server(("127.0.0.1", 0)) as shared:
        first, second = Listener(shared.dup()), Listener(shared.dup())
        first.shared = second.shared = lambda: 0.0
        with serving(worker(), first) as one, serving(worker(), second) as other:

            def accepted(number: int) -> bool:
                return one.statistics().accepted + other.statistics().accepted == number

            for number in range(1, 41):
                socket.create_connection(shared.getsockname(), PATIENCE).close()
                eventually(partial(accepted, number))
            assert one.statistics().accepted >= 10
            assert other.statistics().accepted >= 10


def test_others_go_first_for_as_long_as_they_are_given() -> None:
    """One that would leave clients to others for ever takes one of those that come together."""
    with socket.create_server(("127.0.0.1", 0), backlog=10) as shared:
        crowd = [socket.create_connection(shared.getsockname(), PATIENCE) for _ in range(3)]
        listener = Listener(shared.dup())
        asked: list[int] = []

        def others_first() -> float:
            asked.append(len(asked))
            return PATIENCE * 10 if len(asked) == 1 else 0.0

        listener.shared = others_first
        with serving(worker(), listener) as server:
            eventually(lambda: len(asked) == 1)
            assert server.statistics().accepted == 1
            listener.wake()  # as when there is room again, which ends the pause
            eventually(lambda: server.statistics().accepted == 3)
        for each in crowd:
            each.close()


@pytest.mark.parametrize("end", ["drain", "stop"])
def test_waiting_ends_with_the_server(end: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as shared:
        listener = Listener(shared.dup())
        listener.shared = lambda: 0.0
        with serving(worker(), listener) as server:
            getattr(server, end)()
            assert server.wait(PATIENCE)


@exclusive
def test_full_server_leaves_a_client_to_another_that_waits() -> None:
    """A server that a client wakes alone, though it is full, would keep the client waiting.

    The first server waits at the head of the queue of the system, since it has registered before
    the second one. Its only connection is busy, so that there is none to close for the client.
    """
    gate = Gate()
    with socket.create_server(("127.0.0.1", 0)) as shared:
        first, second = Listener(shared.dup()), Listener(shared.dup())
        first.shared = second.shared = lambda: 0.0
        with serving(worker(gate), first, max_connections=1) as full, connect(full) as busy:
            busy.send(b"hold\n")
            gate.wait()
            with serving(worker(), second) as other, connect(full) as client:
                assert client.ask(b"x\n") == b"X\n"
                assert (full.statistics().accepted, other.statistics().accepted) == (1, 1)
            gate.opened.set()
            assert busy.read_line() == b"HOLD\n"


def woken(monkeypatch: pytest.MonkeyPatch, happen: Callable[[], None]) -> threading.Event:
    """Have ``happen`` called when a client has woken a server, before that accepts it.

    The event is set once the server waits for clients.
    """
    waiting = threading.Event()

    class Woken(SharedAcceptWait):
        def wait(self) -> bool:
            waiting.set()
            signal = super().wait()
            if self.owes:
                happen()
            return signal

    monkeypatch.setattr(module, "SharedAcceptWait", Woken)
    return waiting


@exclusive
def test_server_that_a_client_has_woken_accepts_it_before_it_leaves(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1. A client wakes this server alone. 2. A drain begins. 3. No other server is woken."""

    def drain() -> None:
        server.drain(PATIENCE, shared=[listener])
        eventually(lambda: listener._phase is not module._Phase.ACCEPTING)

    waiting = woken(monkeypatch, drain)
    with socket.create_server(("127.0.0.1", 0)) as shared:
        listener = Listener(shared.dup())
        listener.shared = lambda: 0.0
        with serving(worker(), listener) as server:
            wait_for(waiting)
            with socket.create_connection(shared.getsockname(), PATIENCE) as client:
                client.sendall(b"x\n")
                assert client.recv(100) == b"X\n"
            assert server.wait(PATIENCE)


@exclusive
def test_server_that_a_client_has_woken_accepts_it_though_it_becomes_full(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """1. A client wakes this server alone. 2. It gets its last connection in another way."""
    gate = Gate()
    ours, theirs = socket.socketpair()
    theirs.sendall(b"hold\n")

    def fill() -> None:
        server.handle(ours)
        gate.wait()

    waiting = woken(monkeypatch, fill)
    with socket.create_server(("127.0.0.1", 0)) as shared, theirs:
        listener = Listener(shared.dup())
        listener.shared = lambda: 0.0
        with serving(worker(gate), listener, max_connections=1) as server:
            wait_for(waiting)
            with socket.create_connection(shared.getsockname(), PATIENCE) as client:
                client.sendall(b"x\n")
                assert client.recv(100) == b"X\n"
            gate.opened.set()
            assert theirs.recv(100) == b"HOLD\n"
