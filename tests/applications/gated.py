"""An application that tells a test it is running, and then waits for the test's leave to answer."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment

GATE = ("127.0.0.1", int(os.environ["GATE_PORT"]))


def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    with socket.create_connection(GATE) as gate:
        gate.recv(1)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "9")])
    return [b"complete\n"]
