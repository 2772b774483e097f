"""Processes that the application forks while there are connections with TLS."""

from __future__ import annotations

import os
import socket
from functools import partial

import pytest

from helpers import Serve, exchange, read_all
from rocket_core import Timeouts
from rocket_core.testing import PATIENCE, at_growing_scales, within

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


def test_client_sees_the_end_though_a_child_lives(serve: Serve) -> None:
    """It gets its close_notify, too: a child sends nothing in its parent's name."""
    at_growing_scales(partial(fork_and_wait_for_the_end, serve))


def fork_and_wait_for_the_end(serve: Serve, scale: float) -> None:
    limit = 0.5 * scale
    served = serve(timeouts=Timeouts(keep_alive=limit))
    with within(limit):
        client = served.connect()
        assert exchange(client, "shout x") == b"X\n"
    alive, end = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(end)
        os.read(alive, 1)
        os._exit(0)
    try:
        assert read_all(client) == b""  # the context notices when a stream is cut short
        with socket.socket(fileno=client.detach()) as below:
            below.settimeout(PATIENCE)
            assert below.recv(1) == b""
    finally:
        os.close(end)
        os.close(alive)
        os.waitpid(child, 0)
