"""Websockets that hold no thread, in Flask, as its users write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask, Response, abort, request, session

from rocket_wsgi import Group

if TYPE_CHECKING:
    from rocket_wsgi import WebSocket

app = Flask(__name__)
app.secret_key = b"of the test"
everybody = Group()


class Echo:
    """Answers each message with itself."""

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        if data == "close":
            ws.close(4000, "as you wish")
        elif data == "fail":
            raise LookupError("as you wish")
        else:
            ws.send(data)


class Chat:
    """Hands each message to everybody."""

    def __init__(self, name: str) -> None:
        self.name = name

    def on_open(self, ws: WebSocket) -> None:
        everybody.add(ws)
        everybody.send(f"{self.name} comes")

    def on_message(self, ws: WebSocket, data: str) -> None:
        everybody.send(f"{self.name}: {data}")

    def on_shutdown(self, ws: WebSocket) -> None:
        ws.send("we will be back")

    def on_close(self, ws: WebSocket, code: int, reason: str) -> None:
        everybody.send(f"{self.name} goes: {code}")


@app.after_request
def seen(response: Response) -> Response:
    response.headers["X-Seen"] = "yes"
    return response


@app.get("/")
def page() -> str:
    return "a page"


@app.get("/login/<name>")
def login(name: str) -> str:
    session["name"] = name
    return "welcome"


@app.route("/echo", websocket=True)
def echo() -> str:
    request.environ["rocket.websocket"].accept(Echo(), max_message=8 << 20)
    return ""


@app.route("/chat", websocket=True)
def chat() -> str:
    if "name" not in session:
        abort(401)
    offer = request.environ["rocket.websocket"]
    if "chat.v1" not in offer.subprotocols:
        abort(400, "this server speaks chat.v1")
    offer.accept(Chat(session["name"]), subprotocol="chat.v1")
    session["seen"] = True
    return ""
