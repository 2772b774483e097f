from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rocket_core import Connection, Peer
from rocket_core._connection.origin import origin_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Sockets = Callable[[], tuple[socket.socket, socket.socket]]
    Make = Callable[..., Connection]


@pytest.fixture
def make(sockets: Sockets) -> Make:
    def connection(host: str, port: int = 1234, client: str | None = None) -> Connection:
        made = Connection(sockets()[0], Peer(host, port))
        made.client = client
        return made

    return connection


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff"),
        ("fe80::1%lo", "fe80::2%lo"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
    ],
)
def test_addresses_of_one_client_have_one_origin(make: Make, one: str, other: str) -> None:
    assert origin_of(make(one, 1)) == origin_of(make(other, 2))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("192.0.2.1", "192.0.2.2"),
        ("2001:db8:1:2::1", "2001:db8:1:3::1"),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
    ],
)
def test_addresses_of_two_clients_have_two_origins(make: Make, one: str, other: str) -> None:
    assert origin_of(make(one)) != origin_of(make(other))


def test_client_named_by_a_proxy_has_the_origin_of_its_own_address(make: Make) -> None:
    proxied = make("10.0.0.1", client="192.0.2.1")
    assert origin_of(proxied) == origin_of(make("192.0.2.1"))
    assert origin_of(make("", 0, client="192.0.2.1")) == origin_of(proxied)


@pytest.mark.parametrize(
    ("host", "port", "client"), [("", 0, None), ("/run/x", 0, None), ("10.0.0.1", 5, "")]
)
def test_each_connection_has_its_own_origin_when_the_proxy_names_no_client(
    make: Make, host: str, port: int, client: str | None
) -> None:
    one, other = make(host, port, client), make(host, port, client)
    assert origin_of(one) != origin_of(other)
    assert origin_of(one) == origin_of(one)


def test_name_that_is_not_an_address_is_an_origin_as_well(make: Make) -> None:
    assert origin_of(make("10.0.0.1", client="a:b")) == origin_of(make("10.0.0.2", client="a:b"))
