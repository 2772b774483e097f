from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from rocket_core._connection.turn_taker import TurnTaker
from rocket_core._engine.registry import Registry

if TYPE_CHECKING:
    import socket

    from rocket_core import Connection


def test_registry_tells_of_room_only_after_it_was_full(
    pair: tuple[Connection, socket.socket],
) -> None:
    connection, _ = pair
    told: list[str] = []
    registry = Registry(1, lambda: told.append("room"), lambda: told.append("empty"))
    registry.add(connection)
    registry.remove(connection)
    assert told == ["empty"]
    registry.add(connection)
    assert registry.full()
    assert registry.snapshot() == [connection]
    registry.remove(connection)
    assert told == ["empty", "room", "empty"]
    assert not registry.full()
    assert len(registry) == 0


def test_registry_is_empty_once_all_protocols_have_been_told(
    pair: tuple[Connection, socket.socket],
) -> None:
    connection, _ = pair
    told: list[int] = []
    registry = Registry(1, on_empty=lambda: told.append(registry.leaving))
    taker = TurnTaker()
    empty: list[bool] = []
    for first, second in (
        (partial(registry.remove, connection), partial(registry.end_leaving, taker)),
        (partial(registry.end_leaving, taker), partial(registry.remove, connection)),
    ):
        registry.add(connection)
        registry.begin_leaving(taker)
        first()
        empty.append(registry.empty)
        second()
        empty.append(registry.empty)
    assert empty == [False, True] * 2
    assert told == [1, 0, 0]
