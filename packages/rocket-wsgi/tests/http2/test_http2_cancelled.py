"""``rocket.cancelled`` where a connection has several requests."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import Any

from conftest import Serve
from http2_client import HTTP2Client
from rocket_core.testing import PATIENCE, eventually
from rocket_wsgi import CancelledBy


def test_reset_cancels_one_stream_and_the_end_of_the_connection_all(serve: Serve) -> None:
    begun: dict[str, Any] = {}
    called: dict[str, threading.Event] = {"/a": threading.Event(), "/b": threading.Event()}

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        path, cancelled = environ["PATH_INFO"], environ["rocket.cancelled"]
        cancelled.on(called[path].set)
        begun[path] = cancelled
        assert cancelled.wait(PATIENCE)
        start_response("200 OK", [])
        return [b"in vain"]

    served = serve(application, h2c=True)
    with ExitStack() as stack:
        client = HTTP2Client(served.address)
        stack.callback(client.close)
        first, _ = client.begin("/a"), client.begin("/b")
        eventually(lambda: len(begun) == 2)
        client.reset(first)
        client.flush()
        assert called["/a"].wait(PATIENCE)
        assert begun["/a"].is_set()
        assert not called["/b"].is_set()
        assert not begun["/b"].is_set()
    assert called["/b"].wait(PATIENCE)
    assert begun["/b"].is_set()


def test_reason_of_a_reset(serve: Serve) -> None:
    reasons: list[CancelledBy] = []

    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        begun.set()
        cancelled = environ["rocket.cancelled"]
        assert cancelled.wait(PATIENCE)
        try:
            cancelled.raise_if()
        except Exception as error:
            reasons.append(error.by)  # type: ignore[attr-defined]
            raise
        return []

    begun = threading.Event()
    client = HTTP2Client(serve(application, h2c=True).address)
    stream = client.begin("/")
    assert begun.wait(PATIENCE)
    client.reset(stream)
    client.flush()
    eventually(lambda: reasons == [CancelledBy.CLIENT])
    client.close()
