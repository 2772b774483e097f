"""Flask-SocketIO, as its users write it. Only the call of install() is for Rocket."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any

from flask import Flask, jsonify, request, session
from flask_socketio import SocketIO, call, disconnect, emit, join_room, send

import rocket_wsgi.engineio

if "WITHOUT_INSTALL" not in os.environ:
    rocket_wsgi.engineio.install()


def is_friend(origin: str | None) -> bool:
    return origin is not None and origin.startswith(("http://127.0.0.1:", "http://friend."))


app = Flask(__name__)
app.secret_key = b"of the test"
socketio = SocketIO(
    app,
    async_mode="threading",
    ping_interval=float(os.environ.get("PING_INTERVAL", "25")),
    ping_timeout=float(os.environ.get("PING_TIMEOUT", "20")),
    max_http_buffer_size=100_000,
    cors_allowed_origins=is_friend,
    cookie="io",
)
gone: list[str] = []
handled_by: set[str] = set()
most_threads = [0]


def look() -> None:
    """Note which thread handles an event, and how many threads there are."""
    handled_by.add(threading.current_thread().name.rstrip("0123456789"))
    most_threads[0] = max(most_threads[0], threading.active_count())


@app.get("/")
def state() -> Any:
    sockets = [each for each in socketio.server.eio.sockets.copy().values() if not each.closed]
    rooms = socketio.server.manager.rooms.get("/", {})
    return jsonify(
        threads=sorted(each.name for each in threading.enumerate()),
        most=most_threads[0],
        handled_by=sorted(handled_by),
        sockets=len(sockets),
        waiting=[each.sid for each in sockets if getattr(each, "_poll", None)],
        clients=len(rooms.get(None, {})),
        gone=gone,
        mode=socketio.async_mode,
    )


@app.get("/broadcast/<text>")
def broadcast(text: str) -> str:
    """Emit from a thread that is neither a handler nor a request."""
    thread = threading.Thread(target=socketio.emit, args=("news", text))
    thread.start()
    thread.join()
    return "sent"


@app.get("/to/<room>/<text>")
def to_room(room: str, text: str) -> str:
    socketio.emit("room", text, to=room)
    return "sent"


@app.get("/binary")
def binary() -> str:
    socketio.emit("data", b"\0binary")
    return "sent"


@socketio.on("connect")
def connect() -> bool:
    look()
    return request.args.get("refuse") is None


@socketio.on("disconnect")
def leave(reason: str) -> None:
    look()
    gone.append(reason)
    sys.stdout.write(f"gone: {reason}\n")
    sys.stdout.flush()


@socketio.on("join")
def join(room: str) -> str:
    look()
    join_room(room)
    session["room"] = room
    return f"in {room}"


@socketio.on("where")
def where() -> str:
    return str(session["room"])


@socketio.on("reverse")
def reverse(data: bytes) -> bytes:
    look()
    emit("reversed", data[::-1])
    return data[::-1]


@socketio.on("count")
def count(number: int) -> None:
    look()
    send(number)


@socketio.on("ask")
def ask(question: str) -> None:
    emit("question", question, callback=lambda answer: socketio.emit("answered", answer))


@socketio.on("call me")
def call_back(sid: str) -> str:
    try:
        return str(call("question", "really", to=sid, timeout=60))
    except RuntimeError as error:
        return str(error)


@socketio.on("bye")
def bye() -> None:
    disconnect()


@socketio.on("shout", namespace="/loud")
def shout(text: str) -> str:
    emit("shouted", text.upper(), namespace="/loud")
    return "done"


@socketio.on("fail")
def fail() -> None:
    raise LookupError("as you wish")
