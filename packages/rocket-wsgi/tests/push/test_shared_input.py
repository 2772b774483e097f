"""Messages that clients begin and do not end keep no room from the messages of others."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from rocket_core.testing import eventually
from websocket_peer import BINARY, FIN, Notes, WebSocketServer, masked

Start = Callable[..., WebSocketServer]

MEBIBYTE = 1024 * 1024
CLIENTS = 33
"""Clients whose messages, of the usual maximum, fill the room of a server."""


@pytest.mark.parametrize("dribbles", [False, True], ids=["they wait", "they all send on"])
def test_messages_that_do_not_end_keep_nobody_waiting(
    start: Start, notes: Notes, dribbles: bool
) -> None:
    notes.act = lambda ws, data: ws.send(data)
    server = start(notes)
    room = server.running._server_state.room
    begun = masked(FIN | BINARY, bytes(MEBIBYTE))
    slow = [server.open() for _ in range(CLIENTS)]
    for peer in slow:
        peer.client.send(begun[:-9])
    eventually(lambda: room.held > 32 * MEBIBYTE, "for the room to be full")
    if dribbles:
        for peer in slow:
            with suppress(OSError):
                peer.client.send(begun[-9:-8])
    neighbour = server.open()
    message = bytes(range(256)) * 400
    frame = masked(FIN | BINARY, message)
    neighbour.client.send(frame[:50_000])
    eventually(lambda: server.running.statistics().shared["websocket"].parked > CLIENTS - 3)
    neighbour.client.send(frame[50_000:])
    assert neighbour.read() == message
    closes = server.running.statistics().closes
    assert 0 < closes["body too slow"] < CLIENTS
