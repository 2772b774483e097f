"""`Absences` limits how many workers are away, and cuts clients to get workers back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from rocket_core import CloseReason, Connection, Peer
from rocket_core._lease import Lease
from rocket_core._pool.absences import STALL_GRACE, Absences
from rocket_core.extending import UpgradedSocket

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

    Sockets = Callable[[], tuple[socket.socket, socket.socket]]

NOW = 1000.0


class Crowd:
    """Connections whose workers wait for the client, and how many of them are cut."""

    def __init__(self, sockets: Sockets, absences: Absences) -> None:
        self._sockets = sockets
        self._absences = absences
        self.all: list[Connection] = []
        self._others: list[socket.socket] = []

    def stall(
        self, host: str, *, at: float = NOW, moved: int = 0, sending: bool = True
    ) -> Connection:
        server, client = self._sockets()
        self._others.append(client)
        connection = Connection(server, Peer(host, len(self.all) + 1))
        connection.begin_transfer(at, sending=sending)
        assert connection._transfer is not None
        connection._transfer.move(moved, at)
        self._absences.stall(connection, at)
        self.all.append(connection)
        return connection

    @property
    def cut(self) -> list[int]:
        return [n for n, each in enumerate(self.all) if each.close_reason is not None]


@pytest.fixture
def absences() -> Absences:
    return Absences(max_stalled=8, max_upgraded=1)


@pytest.fixture
def crowd(sockets: Sockets, absences: Absences) -> Crowd:
    return Crowd(sockets, absences)


def test_one_address_may_have_as_many_places_as_are_left(crowd: Crowd, absences: Absences) -> None:
    for number in range(4):
        crowd.stall("192.0.2.1", at=NOW + number)
    assert crowd.cut == []
    crowd.stall("192.0.2.1", at=NOW + 4)
    assert crowd.cut == [0]  # the connection that has moved nothing for the longest time
    assert crowd.all[0].close_reason is CloseReason.SEND_TIMEOUT
    assert absences.replaced == 5  # its worker has yet to come back
    absences.resume(crowd.all[0])
    assert absences.replaced == len(absences) == 4


@pytest.mark.parametrize(
    ("sending", "reason"), [(True, CloseReason.SEND_TIMEOUT), (False, CloseReason.BODY_TIMEOUT)]
)
def test_reason_tells_an_upload_from_a_response(
    crowd: Crowd, sending: bool, reason: CloseReason
) -> None:
    for number in range(5):
        crowd.stall("192.0.2.1", at=NOW + number, sending=sending)
    assert [each.close_reason for each in crowd.all] == [reason, None, None, None, None]


def test_other_addresses_leave_fewer_places_for_each(crowd: Crowd) -> None:
    for host in ("192.0.2.2", "192.0.2.3", "192.0.2.4"):
        crowd.stall(host)
    for number in range(3):
        crowd.stall("192.0.2.1", at=NOW + number)
    assert crowd.cut == [3]


def test_client_that_reads_is_spared(crowd: Crowd) -> None:
    crowd.stall("192.0.2.1", moved=1_000_000)
    for number in range(1, 5):
        crowd.stall("192.0.2.1", at=NOW + number)
    assert crowd.cut == [1]


def test_many_addresses_with_one_connection_each_are_not_cut(crowd: Crowd) -> None:
    for number in range(12):
        crowd.stall(f"192.0.2.{number}")
    assert crowd.cut == []


def test_connections_to_a_unix_socket_are_clients_of_their_own(crowd: Crowd) -> None:
    for number in range(8):
        server, client = crowd._sockets()
        connection = Connection(server, Peer("", 0))
        crowd._absences.stall(connection, NOW + number)
        crowd.all.append(connection)
        crowd._others.append(client)
    assert crowd.cut == []


def test_relief_begins_with_the_address_that_has_most_connections(
    crowd: Crowd, absences: Absences
) -> None:
    for number in range(6):
        crowd.stall(f"192.0.2.{number}")
    crowd.stall("198.51.100.1", moved=1000)
    crowd.stall("198.51.100.1", moved=2000)
    assert crowd.cut == [6]
    absences.resume(crowd.all[6])
    crowd.stall("198.51.100.2")
    crowd.stall("198.51.100.3")
    absences.relieve(NOW + STALL_GRACE, 1)
    assert len(crowd.cut) == 2
    absences.relieve(NOW + STALL_GRACE, 1)  # until that worker is back, no other is needed
    assert len(crowd.cut) == 2


def test_relief_cuts_no_more_clients_than_needed(crowd: Crowd, absences: Absences) -> None:
    for number in range(11):
        crowd.stall(f"192.0.2.{number}", at=NOW + number / 100)
    absences.relieve(NOW + STALL_GRACE, 2)
    assert crowd.cut == [0, 1]
    absences.relieve(NOW + STALL_GRACE, 5)
    assert crowd.cut == [0, 1, 2]


def test_grace_is_shared_by_all_waiting_workers(crowd: Crowd, absences: Absences) -> None:
    for number in range(10):
        crowd.stall(f"192.0.2.{number}")
    absences.relieve(NOW + STALL_GRACE / 11, 1)
    assert crowd.cut == []
    absences.relieve(NOW + STALL_GRACE / 9, 1)
    assert crowd.cut == [0]


def test_only_waiting_worker_leaves_its_client_the_whole_grace(sockets: Sockets) -> None:
    absences = Absences(max_stalled=0, max_upgraded=0)
    crowd = Crowd(sockets, absences)
    crowd.stall("192.0.2.1")
    assert absences.replaced == 0
    absences.relieve(NOW + STALL_GRACE * 0.9, 1)
    assert crowd.cut == []
    absences.relieve(NOW + STALL_GRACE * 1.1, 1)
    assert crowd.cut == [0]


def test_overdue_requests_take_places_of_max_stalled(crowd: Crowd, absences: Absences) -> None:
    leases = [Lease(0.0) for _ in range(6)]
    assert all(map(absences.replace, leases))
    crowd.stall("192.0.2.1")
    crowd.stall("192.0.2.1", at=NOW + 1)
    assert crowd.cut == [0]
    assert not absences.replace(Lease(0.0))
    absences.returned(leases[0])
    assert absences.replace(Lease(0.0))


def test_upgraded_connections_have_places_of_their_own(crowd: Crowd, absences: Absences) -> None:
    taken = UpgradedSocket(crowd.stall("192.0.2.1"))
    assert absences.upgrade(taken)
    assert not absences.upgrade(UpgradedSocket(crowd.all[0]))
    for number in range(2, 9):
        crowd.stall(f"192.0.2.{number}")
    assert crowd.cut == []
    assert (absences.replaced, len(absences)) == (9, 9)
    absences.downgrade(taken)
    assert absences.replaced == 8


def test_stall_counts_from_the_first_wait_in_a_request(crowd: Crowd, absences: Absences) -> None:
    connection = crowd.stall("192.0.2.1")
    absences.resume(connection)
    absences.stall(connection, NOW + 3)
    assert connection.stalled_since == NOW
    absences.resume(connection)
    connection.requests += 1
    absences.stall(connection, NOW + 5)
    assert connection.stalled_since == NOW + 5
