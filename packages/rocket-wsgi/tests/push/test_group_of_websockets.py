"""Groups whose members are websockets of real connections."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from rocket_core.testing import NARROW, PATIENCE, eventually
from rocket_wsgi import Group
from rocket_wsgi._group.broadcast import Broadcast
from rocket_wsgi._group.bus import LocalBus
from rocket_wsgi._websocket.session import SLOW
from websocket_peer import CLOSE, DEFLATE, FIN, RSV1, TEXT, Notes, Peer, WebSocketServer, inflated

if TYPE_CHECKING:
    from collections.abc import Callable

    from rocket_wsgi import WebSocket

    Start = Callable[..., WebSocketServer]


def open_many(
    server: WebSocketServer, notes: Notes, count: int, *fields: str
) -> tuple[list[Peer], list[WebSocket]]:
    opened = [(server.open(*fields), notes.opened()) for _ in range(count)]
    return [peer for peer, _ in opened], [ws for _, ws in opened]


def test_message_reaches_all_members(start: Start, notes: Notes) -> None:
    peers, sockets = open_many(start(notes), notes, 3)
    group = Group()
    for ws in sockets[:2]:
        group.add(ws)
    assert len(group) == 2
    assert set(group) == set(sockets[:2])
    assert sockets[2] not in group
    assert group.send("text") == 2
    assert group.send(b"data") == 2
    for peer in peers[:2]:
        assert peer.read() == "text"
        assert peer.read() == b"data"
    group.discard(sockets[0])
    assert group.send("to the second one") == 1
    assert peers[1].read() == "to the second one"


def test_message_is_encoded_and_compressed_once_for_all(start: Start, notes: Notes) -> None:
    server = start(notes)
    compressed, _ = open_many(server, notes, 2, DEFLATE)
    plain, _ = open_many(server, notes, 2)
    group = Group()
    for ws in notes.sockets:
        group.add(ws)
    assert group.send("x" * 1000) == 4
    for peer in compressed:
        frame = peer.read_frame()
        assert frame is not None
        assert frame[0] == FIN | RSV1 | TEXT
        assert inflated(frame[1]) == b"x" * 1000
    for peer in plain:
        assert peer.read() == "x" * 1000
    message = Broadcast("x" * 1000)
    for compress in (True, False):
        frames = {id(message.websocket_frame(compressed=compress)) for _ in range(4)}
        assert len(frames) == 1


def test_websocket_does_not_take_what_only_streams_have(start: Start, notes: Notes) -> None:
    _, (ws,) = open_many(start(notes), notes, 1)
    group = Group()
    group.add(ws)
    with pytest.raises(TypeError, match="one of websockets, not of event streams"):
        group.send("a", event="news")


@pytest.mark.parametrize("how", ["client closes", "we close", "client goes", "error", "exception"])
def test_member_that_closes_leaves_by_itself(start: Start, notes: Notes, how: str) -> None:
    (peer,), (ws,) = open_many(start(notes), notes, 1)
    groups = [Group(), Group()]
    for group in groups:
        group.add(ws)
    if how == "client closes":
        peer.send_close(1000)
    elif how == "we close":
        ws.close()
        assert not len(groups[0])
    elif how == "client goes":
        peer.client.close()
    elif how == "error":
        peer.client.send(b"\xff\xff")
    else:
        notes.act = lambda ws, data: 1 / 0
        peer.send("fails")
    eventually(lambda: not len(groups[0]) and not len(groups[1]))
    assert groups[0].send("late") == 0
    for group in groups:
        group.add(ws)
        assert ws not in group


def test_slow_member_is_closed_and_leaves_while_the_others_get_all(
    start: Start, notes: Notes
) -> None:
    server = start(notes)
    quick, _ = open_many(server, notes, 1)
    slow = server.open(receive_buffer=NARROW)
    notes.opened()
    group = Group()
    for ws in notes.sockets:
        group.add(ws)
    messages = 0
    reader = threading.Thread(target=lambda: [quick[0].read() for _ in range(40)])
    reader.start()
    while len(group) == 2:
        messages += 1
        taken = group.send(bytes([messages]) * 20_000)
        eventually(lambda: not notes.sockets[0].pending)
    assert taken == 1
    for _ in range(messages, 40):
        assert group.send("still here") == 1
    reader.join(PATIENCE)
    assert not reader.is_alive()
    assert messages * 20_000 > SLOW
    while (frame := slow.read_frame()) is not None and frame[0] != FIN | CLOSE:
        pass
    assert frame is not None
    assert int.from_bytes(frame[1][:2], "big") == 1013


def test_groups_of_one_name_on_a_bus_are_one(start: Start, notes: Notes) -> None:
    peers, sockets = open_many(start(notes), notes, 2)
    bus = LocalBus()
    groups = [Group(name="chat", bus=bus) for _ in range(2)]
    other = Group(name="other", bus=bus)
    for group, ws in zip(groups, sockets, strict=True):
        group.add(ws)
        other.add(ws)
    groups[0].send("to all of the name")
    groups[1].send(b"in one order")
    for peer in peers:
        assert peer.read() == "to all of the name"
        assert peer.read() == b"in one order"


def test_members_come_and_go_while_others_send(start: Start, notes: Notes) -> None:
    """Each member gets what is sent between its coming and its going, in order."""
    server = start(notes, threads=3)
    group = Group()
    ends = threading.Event()

    def send() -> None:
        number = 0
        while not ends.is_set():
            group.send(str(number))
            number += 1
            ends.wait(0.001)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        for _ in range(30):
            (peer,), (ws,) = open_many(server, notes, 1)
            group.add(ws)
            got = [int(peer.read()) for _ in range(5)]
            assert got == list(range(got[0], got[0] + 5))
            peer.send_close(1000)
            while (frame := peer.read_frame()) is not None:
                assert frame[0] in {FIN | TEXT, FIN | CLOSE}
            assert notes.next()[0] == "close"
    finally:
        ends.set()
        sender.join(PATIENCE)
    assert not len(group)
