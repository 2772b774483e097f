"""A chat in Flask: rooms with history and presence, over websockets that hold no thread.

A websocket begins as an ordinary request, with its session. The view accepts it with a `Visit`,
whose methods the server calls from then on, in threads of its pool.
"""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from flask import Flask, abort, g, redirect, render_template, request, session, url_for
from werkzeug.exceptions import Unauthorized
from werkzeug.wrappers import Response

import store
from rocket_wsgi import Group

if TYPE_CHECKING:
    from rocket_wsgi import WebSocket

LONGEST_NAME = 40
LONGEST_TEXT = 2000
LONGEST_KEY = 64
LARGEST = 1 << 53  # beyond it, not every number exists in JavaScript
FIRST_MESSAGES = 50
MESSAGES_AT_ONCE = 200

# Each group is one over all processes of the server.
ROOMS = {name: Group(name=f"chat {name}", shared=True) for name in ("lobby", "kitchen", "workshop")}

_open_connection = store.prepare()

app = Flask(__name__)
app.config.update(
    SECRET_KEY=store.secret_key(),
    SESSION_COOKIE_NAME="chat",
    SESSION_COOKIE_SAMESITE="Lax",  # against forms on other sites (CSRF)
)


def database() -> sqlite3.Connection:
    """Return the connection of this request or callback. It is opened at its first use.

    Callbacks have an application context because of the setting `around` in rocket.toml.
    """
    if "database" not in g:
        g.database = store.connect()
    connection: sqlite3.Connection = g.database
    return connection


@app.teardown_appcontext
def close_database(error: BaseException | None) -> None:
    if (connection := g.pop("database", None)) is not None:
        connection.close()


def login_required(view: Callable[..., Any]) -> Callable[..., Any]:
    """Answer visitors without a name with 401, and the page with its log-in form."""

    @functools.wraps(view)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        if "name" not in session:
            abort(401)
        return view(*args, **kwargs)

    return guarded


def room_or_404(name: str) -> str:
    return name if name in ROOMS else abort(404)


def page(room: str, error: str = "") -> str:
    return render_template(
        "chat.html",
        room=room,
        rooms=list(ROOMS),
        name=session.get("name"),
        error=error,
        longest_name=LONGEST_NAME,
        longest_text=LONGEST_TEXT,
    )


@app.get("/")
def front() -> Response:
    return redirect(url_for("show_room", room="lobby"))


@app.get("/rooms/<room>")
@login_required
def show_room(room: str) -> str:
    return page(room_or_404(room))


@app.errorhandler(401)
def ask_for_name(error: Unauthorized) -> tuple[str, int]:
    room = (request.view_args or {}).get("room", "lobby")
    return page(room if room in ROOMS else "lobby"), 401


@app.post("/log-in")
def log_in() -> Response | tuple[str, int]:
    room = room_or_404(request.form.get("room", ""))
    name = request.form.get("name", "").strip()
    if not 0 < len(name) <= LONGEST_NAME:
        return page(room, f"Please give a name of up to {LONGEST_NAME} characters."), 422
    session["name"] = name
    return redirect(url_for("show_room", room=room), 303)


@app.post("/log-out")
def log_out() -> Response:
    session.clear()
    return redirect(url_for("front"), 303)


@app.get("/session")
@login_required
def show_session() -> dict[str, str]:
    """Tell a page that cannot open its websocket whether the visitor is still logged in."""
    return {"name": session["name"]}


@app.route("/rooms/<room>/socket", websocket=True)
@login_required
def open_socket(room: str) -> str:
    visit = Visit(room_or_404(room), session["name"])
    request.environ["rocket.websocket"].accept(visit, max_message=1 << 16)
    return ""


class Visit:
    """A page that is in a room. Its methods are called one after another."""

    def __init__(self, room: str, name: str) -> None:
        self.room = room
        self.name = name
        self.group = ROOMS[room]
        self.number: int | None = None

    def on_open(self, ws: WebSocket) -> None:
        self.group.add(ws)
        self.number, roster = store.enter(database(), self.room, self.name)
        self.tell_all("roster", version=roster.version, names=roster.names)

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        match parse(data):
            case {"type": "ask", "since": int() | None as since} if 0 <= (since or 0) < LARGEST:
                self.answer(ws, since)
            case {"type": "say", "key": str() as key, "text": str() as text} if key.isascii():
                self.say(ws, key, text)
            case _:
                ws.close(1008, "not a message of this chat")

    def on_close(self, ws: WebSocket, code: int, reason: str) -> None:
        if self.number is not None:
            roster = store.leave(database(), self.room, self.number)
            self.tell_all("roster", version=roster.version, names=roster.names)

    def answer(self, ws: WebSocket, since: int | None) -> None:
        """Send what came after the message with the number `since`, or the last messages.

        1. The websocket joined the group, before its page could ask.
        2. The messages are read here.
        3. Another visitor says something: it is not among them, but the group sends it.

        What is said between 1 and 2 arrives twice, and perhaps in any order: the page looks at the
        numbers.
        """
        latest = store.latest_number(database(), self.room)
        if since is None:
            since = max(latest - FIRST_MESSAGES, 0)
        messages = store.messages_after(database(), self.room, since, MESSAGES_AT_ONCE)
        tell(ws, "answer", since=since, messages=messages, latest=latest)

    def say(self, ws: WebSocket, key: str, text: str) -> None:
        text = text.encode(errors="replace").decode().strip()  # half a surrogate pair is no text
        if not 0 < len(text) <= LONGEST_TEXT or not 0 < len(key) <= LONGEST_KEY:
            tell(ws, "refusal", key=key, why=f"A message has 1 to {LONGEST_TEXT} characters.")
            return
        message, new = store.add_message(database(), self.room, key, self.name, text)
        if new:
            self.tell_all("message", **message)
        else:
            tell(ws, "message", **message)

    def tell_all(self, kind: str, **values: object) -> None:
        self.group.send(json.dumps({"type": kind, **values}))


def tell(ws: WebSocket, kind: str, **values: object) -> None:
    ws.send(json.dumps({"type": kind, **values}))


def parse(data: str | bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return None
