from __future__ import annotations

import select
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from rocket_core._system.poller import ENDS, SelectorPoller, default_poller
from rocket_core.extending import READ, WRITE
from rocket_core.testing import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rocket_core._system.poller import Poller


@pytest.fixture(params=[default_poller, SelectorPoller], ids=["default", "selector"])
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    made: Poller = request.param()
    yield made
    made.close()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair()
    left.setblocking(False)
    yield left, right
    left.close()
    right.close()


def ready(poller: Poller, timeout: float = 0) -> list[int]:
    return [descriptor for descriptor, _ in poller.poll(timeout, 64)]


def wait(poller: Poller) -> list[int]:
    """The next events; a poll may return without any."""
    for _ in range(10):
        if found := ready(poller, PATIENCE):
            return found
    pytest.fail("no event came")


def quiet(poller: Poller) -> bool:
    """Whether nothing comes, also after what `wake` may have left."""
    return not any(ready(poller) for _ in range(3))


def test_default_is_the_best_of_the_platform() -> None:
    made = default_poller()
    assert hasattr(select, "epoll") is (type(made).__name__ == "EpollPoller")
    made.close()


def test_reading_is_reported_at_arrivals_or_once_for_each_arming(
    poller: Poller, ends: tuple[socket.socket, socket.socket]
) -> None:
    left, right = ends
    poller.arm(left.fileno(), READ, first=True)
    assert quiet(poller)
    right.send(b"x")
    assert wait(poller) == [left.fileno()]
    assert quiet(poller)
    right.send(b"y")
    assert quiet(poller) is not poller.lasting
    poller.arm(left.fileno(), READ, first=False)
    assert wait(poller) == [left.fileno()]
    left.recv(2)
    poller.arm(left.fileno(), READ, first=False)
    assert quiet(poller)


def test_what_was_armed_for_writing_is_not_reported_for_reading(
    poller: Poller, ends: tuple[socket.socket, socket.socket]
) -> None:
    left, right = ends
    poller.arm(left.fileno(), READ, first=True)
    poller.arm(left.fileno(), WRITE, first=False)
    assert wait(poller) == [left.fileno()]
    right.send(b"x")
    assert quiet(poller)


def test_arrivals_are_not_reported_where_only_the_end_is_of_interest(
    poller: Poller, ends: tuple[socket.socket, socket.socket]
) -> None:
    left, right = ends
    poller.arm(left.fileno(), READ, first=True)
    poller.arm(left.fileno(), ENDS, first=False)
    right.send(b"x")
    assert quiet(poller)
    if poller.lasting:  # other pollers do not tell of the end
        right.close()
        assert wait(poller) == [left.fileno()]
    poller.arm(left.fileno(), READ, first=False)
    assert wait(poller) == [left.fileno()]


def test_arrival_and_nothing_else_is_told_as_such(
    poller: Poller, ends: tuple[socket.socket, socket.socket]
) -> None:
    if not poller.lasting:
        pytest.skip("this poller tells of states")
    left, right = ends
    poller.arm(left.fileno(), READ, first=True)
    right.send(b"x")
    assert poller.poll(PATIENCE, 64) == [(left.fileno(), READ)]
    right.shutdown(socket.SHUT_WR)
    [(descriptor, events)] = poller.poll(PATIENCE, 64)
    assert descriptor == left.fileno()
    assert events != READ


def test_writing_is_reported_when_there_is_room(
    poller: Poller, ends: tuple[socket.socket, socket.socket]
) -> None:
    left, right = ends
    sent = 0
    try:
        while True:
            sent += left.send(bytes(65536))
    except BlockingIOError:
        pass
    poller.arm(left.fileno(), WRITE, first=True)
    assert quiet(poller)
    while sent:
        sent -= len(right.recv(65536))
    assert wait(poller) == [left.fileno()]


def test_both_interests(poller: Poller, ends: tuple[socket.socket, socket.socket]) -> None:
    left, _ = ends
    poller.arm(left.fileno(), READ, first=True)
    assert quiet(poller)
    poller.arm(left.fileno(), READ | WRITE, first=False)
    assert wait(poller) == [left.fileno()]


def test_end_of_the_stream_is_reported(
    poller: Poller, ends: tuple[socket.socket, socket.socket]
) -> None:
    left, right = ends
    poller.arm(left.fileno(), READ, first=True)
    right.close()
    assert wait(poller) == [left.fileno()]


def polling(poller: Poller) -> tuple[threading.Thread, list[list[int]], threading.Event]:
    """Poll for ever in a thread; what its only poll returned."""
    results: list[list[int]] = []
    begun = threading.Event()

    def run() -> None:
        begun.set()
        results.append([descriptor for descriptor, _ in poller.poll(None, 64)])

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread, results, begun


def test_wake_ends_a_poll(poller: Poller) -> None:
    thread, results, begun = polling(poller)
    assert begun.wait(PATIENCE)
    poller.wake()
    thread.join(PATIENCE)
    assert results == [[]]


def test_wake_before_a_poll_ends_it(poller: Poller) -> None:
    poller.wake()
    thread, results, _ = polling(poller)
    thread.join(PATIENCE)
    assert results == [[]]
    assert quiet(poller)


def test_every_wake_is_heard(poller: Poller) -> None:
    for _ in range(50):
        poller.wake()
        poller.wake()
        thread, results, _ = polling(poller)
        thread.join(PATIENCE)
        assert results == [[]]


def test_arming_from_another_thread_reaches_the_one_that_polls(
    poller: Poller, ends: tuple[socket.socket, socket.socket]
) -> None:
    left, right = ends
    right.send(b"x")
    found: list[int] = []

    def run() -> None:
        found.extend(wait(poller))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    poller.arm(left.fileno(), READ, first=True)
    thread.join(PATIENCE)
    assert found == [left.fileno()]


def test_many_events_all_come_though_a_poll_is_limited(poller: Poller) -> None:
    pairs = [socket.socketpair() for _ in range(10)]
    for left, right in pairs:
        poller.arm(left.fileno(), READ, first=True)
        right.send(b"x")
    found: list[int] = []
    for _ in range(50):
        some = [descriptor for descriptor, _ in poller.poll(0, 3)]
        assert len(some) <= 4
        found += some
    assert sorted(found) == sorted(left.fileno() for left, _ in pairs)
    for left, right in pairs:
        left.close()
        right.close()


def test_closed_descriptors_are_refused_or_forgotten(
    poller: Poller, ends: tuple[socket.socket, socket.socket]
) -> None:
    left, right = ends
    third, fourth = socket.socketpair()
    gone = third.fileno()
    poller.arm(gone, READ, first=True)
    third.close()
    fourth.close()
    for first in (True, False):
        try:
            poller.arm(gone, READ, first=first)
        except OSError:
            continue
    with pytest.raises((OSError, ValueError)):
        poller.arm(-1, READ, first=True)
    right.send(b"x")
    assert quiet(poller)
    poller.arm(left.fileno(), READ, first=True)
    assert wait(poller) == [left.fileno()]


def test_two_threads_are_never_told_of_the_same_event(poller: Poller) -> None:
    pairs = [socket.socketpair() for _ in range(40)]
    lock = threading.Lock()
    found: list[int] = []
    complete = threading.Event()

    def run() -> None:
        while not complete.is_set():
            some = ready(poller, 0.05)
            with lock:
                found.extend(some)
                if len(found) >= len(pairs):
                    complete.set()

    threads = [threading.Thread(target=run, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for left, right in pairs:
        right.send(b"x")
        poller.arm(left.fileno(), READ, first=True)
    assert complete.wait(PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)
    assert sorted(found) == sorted(left.fileno() for left, _ in pairs)
    for left, right in pairs:
        left.close()
        right.close()


def test_listening_socket_is_reported_for_as_long_as_a_client_waits(poller: Poller) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        poller.watch(listening.fileno(), exclusive=False)
        assert quiet(poller)
        with socket.create_connection(listening.getsockname(), PATIENCE):
            for _ in range(3):
                assert wait(poller) == [listening.fileno()]
            listening.accept()[0].close()
            assert quiet(poller)
        with socket.create_connection(listening.getsockname(), PATIENCE):
            assert wait(poller) == [listening.fileno()]
            poller.unwatch(listening.fileno())
            assert quiet(poller)
            poller.watch(listening.fileno(), exclusive=True)
            assert wait(poller) == [listening.fileno()]
            poller.unwatch(listening.fileno())
            poller.unwatch(listening.fileno())  # it is not watched any more


def test_client_ends_a_poll_that_has_begun_before_its_socket_was_watched(poller: Poller) -> None:
    found: list[int] = []
    thread = threading.Thread(target=lambda: found.extend(wait(poller)))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread.start()
        poller.watch(listening.fileno(), exclusive=False)
        with socket.create_connection(listening.getsockname(), PATIENCE):
            thread.join(PATIENCE)
        assert found == [listening.fileno()]
