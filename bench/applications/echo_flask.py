"""The echo of Flask-Sock: a thread for each websocket, and one more of its library."""

from __future__ import annotations

from typing import Any

from flask import Flask
from flask_sock import Sock

application = Flask(__name__)
sock = Sock(application)


@application.get("/")
def hello() -> str:
    """Answer an ordinary request."""
    return "Hello, world!"


@sock.route("/echo")  # type: ignore[untyped-decorator] # as the library is
def echo(websocket: Any) -> None:
    """Send messages back until the client leaves."""
    while True:
        websocket.send(websocket.receive())
