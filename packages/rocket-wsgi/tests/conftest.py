from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

from client import Client
from rocket_core import Connection, Listener, Peer, Server, TCPAddress, Timeouts
from rocket_wsgi import Site, WSGIWorker

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

Serve = Callable[..., Client]

# A busy machine can be slow at any time, which does not mean that the code is wrong.
settings.register_profile("wsgi", deadline=None)
settings.load_profile("wsgi")

if not getattr(sys, "_is_gil_enabled", lambda: True)():
    # Compares with httptools, which has no wheel for Python without the GIL.
    collect_ignore = ["conformance/test_differential.py"]


class NarrowListener(Listener):
    """Its connections take little at once when their clients do not read."""

    def connect(self, sock: socket.socket, peer: Peer, timeouts: Timeouts) -> Connection:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16 * 1024)
        return super().connect(sock, peer, timeouts)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves an application; returns a client for it. Everything ends with the test."""
    with ExitStack() as stack:

        def start(
            application: WSGIApplication,
            *,
            threads: int = 2,
            narrow: bool = False,
            timeouts: Timeouts | None = None,
            server: dict[str, Any] | None = None,
            **worker: Any,
        ) -> Client:
            listener = (NarrowListener if narrow else Listener)("127.0.0.1:0")
            site = Site(application, **worker)
            running = Server(
                lambda: WSGIWorker(site),
                [listener],
                min_threads=threads,
                max_threads=threads,
                timeouts=timeouts,
                **(server or {}),
            )
            stack.enter_context(running)
            address = listener.address
            assert isinstance(address, TCPAddress)
            return stack.enter_context(Client((address.host, address.port), running))

        yield start
