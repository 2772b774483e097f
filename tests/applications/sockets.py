"""Websockets by Flask-Sock and by Flask-SocketIO, as their users write them."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from flask import Flask
from flask_sock import Sock
from flask_socketio import SocketIO, emit

if TYPE_CHECKING:
    from simple_websocket import Server

app = Flask(__name__)
app.config["SOCK_SERVER_OPTIONS"] = {"ping_interval": 25}
sock = Sock(app)
socketio = SocketIO(app, async_mode="threading")


@app.get("/")
def page() -> str:
    return "a page"


@app.get("/threads")
def threads() -> str:
    return str(threading.active_count())


@sock.route("/echo")
def echo(ws: Server) -> None:
    while (message := ws.receive()) != "enough":
        ws.send(message)


@sock.route("/endless")
def endless(ws: Server) -> None:
    while True:
        ws.send(ws.receive())


@socketio.on("shout")
def shout(text: str) -> str:
    emit("shouted", text.upper())
    return "done"
