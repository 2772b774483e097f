from __future__ import annotations

from rocket_core import Networks, Peer
from rocket_core._connection.client_connections import ClientConnections

NOBODY = Networks([])


class Counted:
    def __init__(self, host: str) -> None:
        self.peer = Peer(host, 1)


def test_limit_of_each_client() -> None:
    clients = ClientConnections(2, None, NOBODY)
    first, second, third = (Counted("192.0.2.1") for _ in range(3))
    assert clients.admit(first)
    assert clients.admit(second)
    assert not clients.admit(third)
    assert clients.admit(Counted("192.0.2.2"))
    clients.release(first)
    clients.release(first)
    assert clients.admit(third)
    assert not clients.admit(first)
    assert clients.refused == 2


def test_nothing_is_left_of_a_client_without_connections() -> None:
    clients = ClientConnections(1, None, NOBODY)
    for number in range(100):
        connection = Counted(f"2001:db8:0:{number:x}::1")
        assert clients.admit(connection)
        assert not clients.admit(Counted(f"2001:db8:0:{number:x}::2"))
        clients.release(connection)
    assert not len(clients)


def test_rate_of_each_client() -> None:
    clients = ClientConnections(None, 0.5, NOBODY)
    admitted = [clients.admit(Counted("192.0.2.1")) for _ in range(8)]
    assert admitted == [True] * 5 + [False] * 3
    assert clients.admit(Counted("192.0.2.2"))


def test_proxies_are_free() -> None:
    clients = ClientConnections(1, 1.0, Networks(["10.0.0.0/8"]))
    assert all(clients.admit(Counted("10.1.2.3")) for _ in range(100))
    assert not len(clients)
