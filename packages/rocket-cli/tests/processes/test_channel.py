from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator

import pytest

from rocket_cli._processes import channel as channel_module
from rocket_cli._processes.channel import Channel, ChannelError, Message, channel_pair


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    ours, theirs = channel_pair()
    yield ours, theirs
    ours.close()
    theirs.close()


def test_messages_in_both_directions(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    theirs.send({"event": "ready"})
    theirs.send({"id": 7, "text": "two\nlines"})
    assert ours.receive() == [{"event": "ready"}, {"id": 7, "text": "two\nlines"}]
    assert ours.receive() == []
    ours.send({"order": "stop"})
    assert next(iter(theirs)) == {"order": "stop"}


def test_end_is_reported_after_the_last_message(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    theirs.send({"event": "final"})
    theirs.close()
    assert ours.receive() == [{"event": "final"}]
    with pytest.raises(EOFError):
        ours.receive()


def test_end_ends_the_iteration(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    ours.send({"order": "stop"})
    ours.close()
    assert list(theirs) == [{"order": "stop"}]


def test_the_supervisor_never_waits(ends: tuple[Channel, Channel]) -> None:
    """Messages that the other end does not read at once are kept, and sent completely later."""
    ours, theirs = ends
    sent: list[Message] = [{"n": n, "text": "x" * 100_000} for n in range(20)]
    for message in sent:
        ours.send(message)
    assert ours.unsent
    found: list[Message] = []

    def read() -> None:
        for message in theirs:
            found.append(message)
            if len(found) == len(sent):
                return

    reader = threading.Thread(target=read)
    reader.start()
    while ours.unsent:
        ours.flush()
    reader.join()
    assert found == sent


def test_sending_to_a_closed_end_is_not_an_error(ends: tuple[Channel, Channel]) -> None:
    ours, theirs = ends
    theirs.close()
    ours.send({"order": "stop"})
    assert not ours.unsent


@pytest.mark.parametrize("sent", [b"nonsense\n", b"[1]\n", b"\xff\n", b"[" * 100_000 + b"\n"])
def test_data_that_is_not_a_message(sent: bytes) -> None:
    left, right = socket.socketpair()
    with left:
        channel = Channel(right, waits=False)
        left.sendall(sent)
        with pytest.raises(ChannelError, match="not a JSON object"):
            channel.receive()
        channel.close()


def test_a_message_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel_module, "LIMIT", 1000)
    left, right = socket.socketpair()
    with left:
        channel = Channel(right, waits=False)
        left.sendall(b"x" * 1001)
        with pytest.raises(ChannelError, match="longer than 1000 bytes"):
            channel.receive()
        channel.close()


def test_a_message_has_a_limit_of_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit holds for messages to the supervisor; its own messages may have more parts."""
    monkeypatch.setattr(channel_module, "_MAX_CONTAINERS", 100)
    left, right = socket.socketpair()
    message: Message = {"parts": [[]] * 100}
    with left:
        channel = Channel(right, waits=False)
        left.sendall(json.dumps(message).encode() + b"\n")
        with pytest.raises(ChannelError, match="more than 100 parts"):
            channel.receive()
        channel.send(message)
        assert next(iter(Channel(left, waits=True))) == message
        channel.close()


def test_a_process_that_never_stops_sending_leaves_time_for_others(
    ends: tuple[Channel, Channel],
) -> None:
    ours, theirs = ends
    sent: Message = {"text": "x" * 1000}
    for _ in range(50):
        theirs.send(sent)
    theirs.close()
    size = len(json.dumps(sent, separators=(",", ":"))) + 1
    assert ours.receive(size * 10) == [sent] * 10
    assert ours.receive(size * 10 + 1) == [sent] * 10
    assert ours.receive() == [sent] * 30
    with pytest.raises(EOFError):
        ours.receive()
