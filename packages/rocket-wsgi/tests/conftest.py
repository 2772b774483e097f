from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from client import Client
from rocket_core import Listener, Server, TCPAddress, Timeouts
from rocket_wsgi import WSGIWorker

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

Serve = Callable[..., Client]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves an application; returns a client for it. Everything ends with the test."""
    with ExitStack() as stack:

        def start(
            application: WSGIApplication,
            *,
            threads: int = 2,
            timeouts: Timeouts | None = None,
            **settings: Any,
        ) -> Client:
            listener = Listener("127.0.0.1:0")
            server = Server(
                lambda: WSGIWorker(application, **settings),
                [listener],
                min_threads=threads,
                max_threads=threads,
                timeouts=timeouts,
            )
            stack.enter_context(server)
            address = listener.address
            assert isinstance(address, TCPAddress)
            return stack.enter_context(Client((address.host, address.port), server))

        yield start
