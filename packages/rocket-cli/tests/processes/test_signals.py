from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from manual_timers import Clock
from rocket_cli._processes import signals as signals_module
from rocket_cli._processes.signals import Order, Terminations, caught_signals, wait_for_end
from rocket_core import Connection, Lifecycle, Listener, Server, State, Worker
from rocket_core.testing import PATIENCE

CAUGHT = [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1]


class Silent(Worker):
    def serve(self, connection: Connection) -> State:
        raise NotImplementedError


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Silent, [Listener("127.0.0.1:0")], min_threads=1, max_threads=1) as server:
        yield server


@pytest.mark.parametrize("number", CAUGHT, ids=lambda number: number.name)
def test_signal(number: signal.Signals) -> None:
    with caught_signals() as events:
        signal.raise_signal(number)
        assert events.wait() is number


def test_signal_that_another_thread_receives() -> None:
    """Such a signal does not interrupt a blocking call of the main thread.

    The same is true of one that arrives just before the main thread begins to wait.
    """

    def receive() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    with caught_signals() as events:
        receiver = threading.Timer(0, receive)
        receiver.start()
        assert events.wait() is signal.SIGTERM
        receiver.join()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2], ids=lambda number: number.name)
def test_signals_that_the_application_handles_are_left_alone(number: signal.Signals) -> None:
    caught = []
    before = signal.signal(number, lambda number, _: caught.append(number))
    try:
        with caught_signals() as events:
            signal.raise_signal(number)
            signal.raise_signal(signal.SIGTERM)
            assert events.wait() is signal.SIGTERM
    finally:
        signal.signal(number, before)
    assert caught == [number]


def test_handlers_are_restored() -> None:
    before = [signal.getsignal(number) for number in CAUGHT]
    with caught_signals():
        assert signal.getsignal(signal.SIGINT) not in before
    assert [signal.getsignal(number) for number in CAUGHT] == before


def test_signal_is_ignored_afterwards_in_this_process_alone() -> None:
    before = [signal.getsignal(number) for number in CAUGHT]
    try:
        with caught_signals(ignored=[signal.SIGINT]):
            process = os.fork()
            if not process:
                os._exit([signal.getsignal(number) for number in CAUGHT] != before)
            assert os.waitpid(process, 0)[1] == 0
        after = [signal.getsignal(number) for number in CAUGHT]
    finally:
        signal.signal(signal.SIGINT, before[1])
    assert after == [before[0], signal.SIG_IGN, *before[2:]]


def test_signal_that_the_application_handles_is_not_ignored_afterwards() -> None:
    caught = []
    before = signal.signal(signal.SIGINT, lambda number, _: caught.append(number))
    try:
        with caught_signals(ignored=[signal.SIGINT]):
            pass
        signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert caught == [signal.SIGINT]


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=lambda number: number.name
)
def test_signal_ends_an_idle_server(server: Server, number: signal.Signals) -> None:
    with caught_signals() as events:
        signal.raise_signal(number)
        wait_for_end(server, events, lambda: server.drain(PATIENCE), {})
    assert server.lifecycle is Lifecycle.STOPPED


def test_server_that_ends_by_itself(server: Server) -> None:
    with caught_signals() as events:
        server.stop()
        wait_for_end(server, events, server.drain, {})
    assert server.lifecycle is Lifecycle.STOPPED


def test_renewals_are_called_in_order_and_end_nothing(server: Server) -> None:
    called = []

    def renew(number: signal.Signals) -> None:
        called.append(number)
        if len(called) == 3:
            assert server.lifecycle is Lifecycle.RUNNING
            server.stop()

    with caught_signals() as events:
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGHUP):
            signal.raise_signal(number)
        wait_for_end(
            server,
            events,
            server.drain,
            {
                signal.SIGHUP: lambda: renew(signal.SIGHUP),
                signal.SIGUSR1: lambda: renew(signal.SIGUSR1),
            },
        )
    assert called == [signal.SIGHUP, signal.SIGUSR1, signal.SIGHUP]


def test_sigterm_that_was_sent_twice_is_one_order(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(signals_module, "time", clock)
    terminations = Terminations()
    orders = [terminations.arrived(), terminations.arrived()]
    clock.now += 0.9
    orders.append(terminations.arrived())
    clock.now += 0.2
    orders.append(terminations.arrived())
    assert orders == [Order.DRAIN, Order.NOTHING, Order.NOTHING, Order.STOP]


def test_server_drains_though_sigterm_was_sent_twice(server: Server) -> None:
    drains: list[None] = []
    ends: list[None] = []

    def drain() -> None:
        drains.append(None)

    with caught_signals() as events:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP):
            signal.raise_signal(number)

        def hang_up() -> None:
            ends.append(None)
            assert server.lifecycle is Lifecycle.RUNNING
            server.stop()

        wait_for_end(server, events, drain, {signal.SIGHUP: hang_up})
    assert (len(drains), len(ends)) == (1, 1)
