from __future__ import annotations

import socket

from rocket_tls._waiting import waiting_in_system


def test_what_nobody_has_read() -> None:
    here, there = socket.socketpair()
    with here, there:
        assert not waiting_in_system(here.fileno())
        there.sendall(b"ab")
        assert waiting_in_system(here.fileno())
        here.recv(1)
        assert waiting_in_system(here.fileno())
        here.recv(1)
        assert not waiting_in_system(here.fileno())


def test_where_the_system_does_not_say_something_may_wait() -> None:
    assert waiting_in_system(-1)
    assert waiting_in_system(10**6)
