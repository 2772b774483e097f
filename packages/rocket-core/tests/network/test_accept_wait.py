"""Waiting for clients beside others that accept from the same socket."""

from __future__ import annotations

import socket
from functools import partial

import pytest

from coresupport import serving, worker
from rocket_core import Listener
from rocket_core.testing import PATIENCE, eventually


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
