from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

from rocket_core import Listener, Server, Timeouts
from rocket_core.testing import NarrowListener
from rocket_wsgi import Site, WSGIWorker
from served import Served
from stream_client import ServedStreams
from websocket_peer import Notes, WebSocketServer

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

# A busy machine is slow now and then, and that is no failure. CI (variable CI) tries the same
# examples every time; elsewhere each run looks for new ones.
settings.register_profile(
    "wsgi",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("wsgi")

Serve = Callable[..., Served]

if not getattr(sys, "_is_gil_enabled", lambda: True)():
    # These compare with httptools and ngh2, which have no wheel for Python without the GIL.
    collect_ignore = ["conformance/test_differential.py", "http2/test_hpack_nghttp2.py"]


_BOTH = frozenset(
    {
        "test_cancelled",
        "test_compressed_files",
        "test_compressed_responses",
        "test_server_header",
        "test_deferred_answer",
        "test_ends",
        "test_event_stream",
        "test_fair_shares",
        "test_group_of_websockets",
        "test_offers",
        "test_request_rate",
        "test_websocket_offer",
        "test_websocket_protocol",
    }
)
"""The modules whose tests are run over HTTP/1.1 and over HTTP/2, where they are not marked."""


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "http1: what is tested is a matter of HTTP/1 alone")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.module.__name__ in _BOTH:
        alone = metafunc.definition.get_closest_marker("http1") is not None
        versions = ["http/1.1"] if alone else ["http/1.1", "h2"]
        for fixture in ("serve", "start"):
            if fixture in metafunc.fixturenames:
                metafunc.parametrize(fixture, versions, indirect=True)


@pytest.fixture
def serve(request: pytest.FixtureRequest) -> Iterator[Serve]:
    """Serves an application; returns a client for it. Everything ends with the test.

    Tests that have a parameter for it are given clients that speak HTTP/2.
    """
    http2 = getattr(request, "param", "http/1.1") == "h2"
    with ExitStack() as stack:

        def start(
            application: WSGIApplication,
            *,
            threads: int = 2,
            narrow: bool = False,
            listener: type[Listener] = Listener,
            timeouts: Timeouts | None = None,
            server: dict[str, Any] | None = None,
            **worker: Any,
        ) -> Served:
            listening = (NarrowListener if narrow else listener)("127.0.0.1:0")
            if http2:
                worker["h2c"] = True
            site = Site(application, **worker)
            running = Server(
                lambda: WSGIWorker(site),
                [listening],
                min_threads=threads,
                max_threads=threads,
                timeouts=timeouts,
                **(server or {}),
            )
            stack.enter_context(running)
            return stack.enter_context((ServedStreams if http2 else Served)(running))

        yield start


@pytest.fixture
def start(request: pytest.FixtureRequest) -> Iterator[Callable[..., WebSocketServer]]:
    """Starts servers of websockets, which end with the test. As `serve`."""
    http2 = getattr(request, "param", "http/1.1") == "h2"
    with ExitStack() as stack:
        yield lambda *args, **options: stack.enter_context(
            WebSocketServer(*args, http2=http2, **options)
        )


@pytest.fixture
def notes() -> Notes:
    """A handler for them."""
    return Notes()
