from __future__ import annotations

import gc
import os
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from coresupport import rocket_threads
from rocket_core import Connection, Timeouts
from rocket_core.testing import PATIENCE, descriptors, eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A busy machine is slow now and then, and that is no failure. CI (variable CI) tries the same
# examples every time; elsewhere each run looks for new ones.
settings.register_profile(
    "core",
    deadline=None,
    derandomize="CI" in os.environ,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("core")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """After every test, its descriptors are closed and its threads have ended."""
    before = descriptors()
    yield
    for thread in rocket_threads():
        thread.join(PATIENCE)
    assert not rocket_threads()
    if descriptors() != before:
        gc.collect()
    eventually(lambda: descriptors() == before, "for all descriptors to be closed")


@pytest.fixture
def sockets() -> Iterator[Callable[[], tuple[socket.socket, socket.socket]]]:
    """Make connected pairs of TCP sockets: the server's side and the client's."""
    made: list[socket.socket] = []

    def make() -> tuple[socket.socket, socket.socket]:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            client = socket.create_connection(listening.getsockname(), PATIENCE)
            made.append(client)
            server, _ = listening.accept()
            made.append(server)
        return server, client

    yield make
    for each in made:
        each.close()


@pytest.fixture
def pair(
    sockets: Callable[[], tuple[socket.socket, socket.socket]],
) -> Iterator[tuple[Connection, socket.socket]]:
    """A connection outside of any server, and its client."""
    server, client = sockets()
    connection = Connection(server, timeouts=Timeouts(stall=PATIENCE))
    yield connection, client
    connection.close()
