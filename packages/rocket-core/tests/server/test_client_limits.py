"""Connections beyond what a client may have are closed at once."""

from __future__ import annotations

from typing import Any

import pytest

from proxyheaders import header, inet
from rocket_core import Connection, Listener, Server, State, TCPAddress, Worker
from rocket_core.testing import Client, eventually


class Echo(Worker):
    def serve(self, connection: Connection) -> State:
        connection.write(connection.take())
        return State.IDLE


def serve(listener: Listener | None = None, **settings: Any) -> Server:
    return Server(Echo, [listener or Listener("127.0.0.1:0")], min_threads=2, **settings)


def announce(host: str) -> bytes:
    return header(0x21, 0x11, inet((host, 1), ("127.0.0.1", 2)))


def connect(server: Server) -> Client:
    address = server.listeners[0].address
    assert isinstance(address, TCPAddress)
    return Client(address)


def test_number_of_connections() -> None:
    with serve(max_connections_per_client=2) as server:
        first, second = connect(server), connect(server)
        for client in (first, second):
            client.send(b"x")
            assert client.read(1) == b"x"
        with connect(server) as third:
            assert third.closed_by_server()
        assert server.statistics().refused_clients == 1
        first.close()
        eventually(lambda: server.connections == 1)
        with connect(server) as fourth:
            fourth.send(b"x")
            assert fourth.read(1) == b"x"
        second.close()


def test_rate_of_connections() -> None:
    with serve(connection_rate_per_client=0.2) as server:
        for _ in range(2):
            with connect(server) as client:
                client.send(b"x")
                assert client.read(1) == b"x"
        with connect(server) as client:
            assert client.closed_by_server()
        assert server.statistics().refused_clients == 1


def test_peers_that_are_free() -> None:
    with serve(max_connections_per_client=1, free_peers=["127.0.0.1"]) as server:
        clients = [connect(server) for _ in range(3)]
        for client in clients:
            client.send(b"x")
            assert client.read(1) == b"x"
            client.close()


def test_clients_that_a_proxy_announces() -> None:
    listener = Listener("127.0.0.1:0", proxy_protocol=["127.0.0.1"])
    with serve(listener, max_connections_per_client=1) as server:
        clients = [connect(server) for _ in range(3)]
        clients[0].send(announce("192.0.2.1") + b"x")
        assert clients[0].read(1) == b"x"
        clients[1].send(announce("192.0.2.2") + b"x")
        assert clients[1].read(1) == b"x"
        clients[2].send(announce("192.0.2.1") + b"x")
        assert clients[2].closed_by_server()
        eventually(lambda: server.statistics().closes.get("limit exceeded") == 1)
        for client in clients:
            client.close()


@pytest.mark.parametrize(
    "settings",
    [
        {"max_connections_per_client": 0},
        {"connection_rate_per_client": 0},
        {"max_running_per_client": 0},
    ],
)
def test_limits_must_be_positive(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        serve(**settings)
