from __future__ import annotations

import logging
import socket
import threading

import pytest

from bus_ends import Ends, Notes
from rocket_cli._processes.bus_frames import (
    FrameReader,
    Kind,
    frame,
    message_content,
    missed_count,
    recall_content,
    split_message,
)
from rocket_cli._supervisor.message_bus import MessageLog
from rocket_core.testing import PATIENCE, eventually

MESSAGE = message_content("prices", b"x")
LONG = 1 << 16


def test_log_keeps_the_latest_messages_within_its_bound() -> None:
    log = MessageLog(10 * (100 + 256))
    for number in range(25):
        log.add(b"even" if number % 2 == 0 else b"odd", bytes([number]) * 100)
    assert (log.first, log.end) == (15, 25)
    assert log.get(14) is None
    assert log.get(15) == bytes([15]) * 100
    assert list(log.latest(b"even", 25, 3)) == [20, 22, 24]
    assert list(log.latest(b"even", 22, 100)) == [16, 18, 20]
    assert list(log.latest(b"even", 25, 0)) == []
    log.add(b"large", bytes(10_000))
    assert (log.first, log.end) == (25, 26)
    assert list(log.latest(b"even", 26, 3)) == []
    assert log.get(25) == bytes(10_000)
    assert list(log._by_name) == [b"large"]


def test_process_that_does_not_read_holds_nothing_up_and_takes_no_more_than_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    count = 100
    with Ends(limit=1 << 20) as ends:
        stopped = ends.socket()
        stopped.sendall(frame(Kind.SUBSCRIBE))
        eventually(lambda: ends.links[0].position is not None)
        bus = ends.process()
        notes = Notes("prices")
        bus.follow(notes.follower)
        for number in range(count):
            bus.publish("prices", b"%8d" % number + bytes(LONG))
            notes.gets_number(number + 1)
        assert [int(each[:8]) for each in notes.got] == list(range(count))
        with ends.lock:
            assert sum(len(data) for _, data in ends.log._frames.values()) <= 1 << 20
            assert len(ends.links[0].rest) <= 2 * LONG
            dropped = ends.bus.dropped
            assert dropped > 0
        numbers, missed = read_to(stopped, count - 1)
        assert missed == dropped == count - len(numbers)
        assert numbers == sorted(set(numbers))
    (warning,) = [each for each in caplog.records if each.levelno == logging.WARNING]
    assert "worker 1 does not take the messages of its groups" in warning.getMessage()


def read_to(sock: socket.socket, last: int) -> tuple[list[int], int]:
    """Read up to message ``last``; return the numbers of messages, and how many were missed."""
    sock.settimeout(PATIENCE)
    reader = FrameReader()
    numbers: list[int] = []
    missed = 0
    while last not in numbers:
        for kind, content in reader.feed(sock.recv(LONG)):
            if kind == Kind.MISSED:
                missed += missed_count(content)
            else:
                numbers.append(int(split_message(content)[1][:8]))
    return numbers, missed


def test_process_that_was_too_slow_is_told_where_messages_are_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with Ends(limit=1 << 20) as ends:
        slow, fast = ends.process(), ends.process()
        go_on = threading.Event()
        slow.subscribe(lambda name, message: go_on.wait(PATIENCE))
        notes, others = Notes("prices"), Notes("prices")
        ends.follow(slow, notes)
        ends.follow(fast, others)
        for number in range(100):
            fast.publish("prices", b"%8d" % number + bytes(LONG))
            others.gets_number(number + 1)
        go_on.set()
        eventually(lambda: notes.got and notes.got[-1].startswith(b"%8d" % 99))
    gap = notes.got.index(b"MISSED")
    before = [int(each[:8]) for each in notes.got[:gap]]
    after = [int(each[:8]) for each in notes.got[gap + 1 :]]
    assert before == list(range(len(before)))
    assert after == list(range(100 - len(after), 100))
    assert len(before) + len(after) == 100 - ends.bus.dropped
    assert b"MISSED" not in others.got
    assert f"it has missed {ends.bus.dropped}" in caplog.text


def test_last_messages_of_a_process_are_passed_on_and_half_a_message_is_not() -> None:
    with Ends() as ends:
        notes = Notes("prices")
        ends.follow(ends.process(), notes)
        ended = ends.socket()
        with ends.lock:
            ended.sendall(frame(Kind.PUBLISH, MESSAGE) * 3 + frame(Kind.PUBLISH, MESSAGE)[:-1])
            ended.close()
            child = ends.links[-1].child
            assert child is not None
            ends.bus.gone(child)
            assert ends.links[-1].ours.fileno() < 0
        assert notes.gets(b"x", b"x", b"x")


RECALL = frame(Kind.RECALL, recall_content("prices", 3))


@pytest.mark.parametrize(
    "data",
    [
        b"\xff" * 5,
        frame(Kind.PUBLISH, b"\x00"),
        frame(Kind.PUBLISH, b"\x00\x09short"),
        frame(Kind.SUBSCRIBE, b"more"),
        frame(Kind.SUBSCRIBE) * 2,
        RECALL,
        frame(Kind.SUBSCRIBE) + frame(Kind.RECALL, b"short"),
        frame(Kind.SUBSCRIBE) + RECALL * 2,
        frame(Kind.MESSAGE, MESSAGE),
        b"\x63" + frame(Kind.PUBLISH, MESSAGE)[1:],
    ],
    ids=[
        "too long",
        "no name",
        "short name",
        "content",
        "twice",
        "not subscribed",
        "no count",
        "two questions",
        "of the supervisor",
        "unknown",
    ],
)
def test_process_that_sends_anything_else_is_rejected(data: bytes) -> None:
    with Ends() as ends:
        notes = Notes("prices")
        bus = ends.process()
        ends.follow(bus, notes)
        ends.socket().sendall(frame(Kind.PUBLISH, MESSAGE) + data + frame(Kind.PUBLISH, MESSAGE))
        eventually(lambda: ends.rejected)
        assert ends.links[-1].ours.fileno() < 0
        bus.publish("prices", b"y")
        assert notes.gets(b"x", b"y")
        assert len(ends.rejected) == 1


def test_earlier_messages_come_before_those_that_wait() -> None:
    with Ends() as ends:
        sock = ends.socket()
        sock.settimeout(PATIENCE)
        sock.sendall(frame(Kind.PUBLISH, MESSAGE))
        eventually(lambda: ends.log.end == 1)
        sock.sendall(frame(Kind.SUBSCRIBE) + RECALL + frame(Kind.PUBLISH, MESSAGE) * 2)
        reader = FrameReader()
        kinds: list[int] = []
        while len(kinds) < 4:
            kinds += [kind for kind, _ in reader.feed(sock.recv(LONG))]
        assert kinds == [Kind.RECALLED, Kind.RECALL_END, Kind.MESSAGE, Kind.MESSAGE]


def test_any_count_and_name_may_be_asked_for() -> None:
    with Ends() as ends:
        sock = ends.socket()
        question = recall_content("", (1 << 64) - 1) + b"\xff\xfe"
        sock.sendall(frame(Kind.SUBSCRIBE) + frame(Kind.RECALL, question))
        sock.settimeout(PATIENCE)
        assert sock.recv(100) == frame(Kind.RECALL_END)
        assert ends.rejected == []


def test_name_that_is_no_text_harms_no_other_process() -> None:
    with Ends() as ends:
        notes = Notes("prices")
        ends.follow(ends.process(), notes)
        ends.socket().sendall(frame(Kind.PUBLISH, b"\x00\x01\xffx") + frame(Kind.PUBLISH, MESSAGE))
        assert notes.gets(b"x")
