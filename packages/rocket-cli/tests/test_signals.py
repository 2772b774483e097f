from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from rocket_cli._signals import caught_signals, wait_for_end
from rocket_core import Connection, Lifecycle, Listener, Server, State, Worker


class Silent(Worker):
    def serve(self, connection: Connection) -> State:
        raise NotImplementedError


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Silent, [Listener("127.0.0.1:0")], min_threads=1, max_threads=1) as server:
        yield server


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_is_put_into_the_queue(number: signal.Signals) -> None:
    with caught_signals() as events:
        signal.raise_signal(number)
        assert events.get(timeout=30) is number


def test_handlers_are_put_back() -> None:
    before = [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)]
    with caught_signals():
        assert signal.getsignal(signal.SIGINT) not in before
    assert [signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)] == before


def test_waiting_is_interrupted_by_a_signal(server: Server) -> None:
    main = threading.main_thread().ident
    assert main is not None
    with caught_signals() as events:
        sender = threading.Timer(0, signal.pthread_kill, (main, signal.SIGTERM))
        sender.start()
        wait_for_end(server, events)
        sender.join()
    assert server.lifecycle is Lifecycle.STOPPED


def test_server_that_ends_by_itself(server: Server) -> None:
    with caught_signals() as events:
        server.stop()
        wait_for_end(server, events)
    assert server.lifecycle is Lifecycle.STOPPED
