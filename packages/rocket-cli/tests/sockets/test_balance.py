from __future__ import annotations

import os

from rocket_cli._sockets import balance as balance_module
from rocket_cli._sockets.balance import PAUSE, ConnectionCounts


def test_a_process_with_more_connections_lets_others_go_first() -> None:
    balance = ConnectionCounts()
    first, second = balance.take(), balance.take()
    assert first.pause(0) == 0
    assert second.pause(0) == 0
    assert first.pause(1) == PAUSE
    assert second.pause(1) == 0
    assert first.pause(1) == 0


def test_the_only_process_never_pauses() -> None:
    balance = ConnectionCounts()
    first, second = balance.take(), balance.take()
    assert first.pause(5) == 0
    second.pause(0)
    second.leave()
    assert first.pause(5) == 0


def test_numbers_are_shared_by_processes() -> None:
    balance = ConnectionCounts()
    ours, theirs = balance.take(), balance.take()
    pid = os.fork()
    if pid == 0:
        theirs.pause(3)
        os._exit(0)
    os.waitpid(pid, 0)
    assert ours.pause(3) == 0
    assert ours.pause(4) == PAUSE


def test_slots_are_used_again() -> None:
    balance = ConnectionCounts()
    slots = [balance.take() for _ in range(balance_module._SLOTS)]
    one_too_many = balance.take()
    slots[0].pause(0)
    assert one_too_many.pause(9) == 0
    balance.give_back(slots[0])
    assert balance.take().index == slots[0].index
