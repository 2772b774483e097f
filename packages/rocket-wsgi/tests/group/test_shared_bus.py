from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from rocket_wsgi import Group
from rocket_wsgi._group.bus import Follower, LocalBus
from rocket_wsgi._group.shared_bus import SHARED, SharedBus
from views import Views, get

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

    from conftest import Serve


class Noted:
    """A bus that notes what it is asked for."""

    def __init__(self) -> None:
        self.published: list[tuple[str, bytes]] = []
        self.followers: list[Follower] = []
        self.subscribers: list[Callable[[str, bytes], object]] = []

    def publish(self, name: str, message: bytes) -> None:
        self.published.append((name, message))

    def subscribe(self, callback: Callable[[str, bytes], object]) -> None:
        self.subscribers.append(callback)

    def follow(self, follower: Follower) -> None:
        self.followers.append(follower)


def nothing(name: str, message: bytes) -> None:
    """Take a message."""


def test_groups_made_before_and_after_the_bus_is_known_are_on_it() -> None:
    shared = SharedBus()
    before = Group(name="prices", bus=shared)
    shared.subscribe(nothing)
    bus = Noted()
    shared.connect(bus)
    after = Group(name="news", bus=shared, history=7)
    assert [(each.name, each.history) for each in bus.followers] == [("prices", 0), ("news", 7)]
    assert bus.subscribers == [nothing]
    before.send("x")
    after.send("y")
    assert [name for name, _ in bus.published] == ["prices", "news"]


def test_messages_are_local_until_the_bus_is_known() -> None:
    shared = SharedBus()
    got: list[tuple[str, bytes]] = []
    shared.subscribe(lambda name, message: got.append((name, message)))
    shared.publish("prices", b"before")
    shared.connect(Noted())
    shared.publish("prices", b"after")
    assert got == [("prices", b"before")]


def test_forked_process_has_a_local_bus_with_the_same_groups() -> None:
    shared = SharedBus()
    group = Group(name="prices", bus=shared, history=2)
    local = shared._bus
    assert isinstance(local, LocalBus)
    with shared._lock, local._lock, local._sequencer.lock, group._sequencer.lock:
        shared.forked()  # none of the locks is released there
        group.send("x", id=1)
    assert len(group._history) == 1


def test_forked_process_stays_on_the_bus_that_it_was_connected_to() -> None:
    shared = SharedBus()
    bus = Noted()
    shared.connect(bus)
    shared.forked()
    shared.publish("prices", b"")
    assert bus.published == [("prices", b"")]


FORK = """
import os
from rocket_wsgi import Group

group = Group(name="prices", shared=True, history=3)
group._sequencer.lock.acquire()  # as another thread might
if os.fork() == 0:
    group.send("x")
    print(len(group._history), flush=True)
    os._exit(0)
os.wait()
"""


def test_every_fork_lets_go_of_the_locks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "1\n"


def test_shared_groups_of_a_name_are_one_without_the_command(serve: Serve) -> None:
    views = Views()
    one, two = (Group(name="test of the library", shared=True) for _ in range(2))
    client = serve(views.feed()).open()
    client.send(get())
    one.add(views.stream())
    client.head()
    two.send("x", id=1)
    assert client.chunk() == b"id: 1\ndata: x\n\n"


def test_environ_has_the_bus(serve: Serve) -> None:
    found: list[object] = []

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        found.append(environ["rocket.bus"])
        start_response("204 No Content", [])
        return []

    serve(view).get()
    assert found == [SHARED]


@pytest.mark.parametrize(
    "options",
    [{}, {"name": "a", "bus": LocalBus()}, {"bus": LocalBus()}],
    ids=["neither", "both", "bus"],
)
def test_shared_group_needs_a_name_and_no_other_bus(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a shared group needs a name, and has no other bus"):
        Group(shared=True, **options)
