"""A websocket and an event stream for the clients of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request

from rocket_wsgi import EventStream, Group

if TYPE_CHECKING:
    from rocket_wsgi import WebSocket

app = Flask(__name__)
news = Group(history=100)


class Echo:
    """Answers each message with itself, and closes when it is told to."""

    def on_message(self, ws: WebSocket, data: str | bytes) -> None:
        if data == "close":
            ws.close(4000, "as you wish, Zoë")
        else:
            ws.send(data)


@app.get("/")
def page() -> str:
    return "<!doctype html><title>A page</title>"


@app.route("/echo", websocket=True)
def echo() -> str:
    offer = request.environ["rocket.websocket"]
    offer.accept(Echo(), subprotocol="v1", max_message=8 << 20)
    return ""


@app.get("/events")
def events() -> Any:
    stream = request.environ["rocket.events"].open(retry=0.1)
    news.add(stream, since=request.headers.get("Last-Event-ID"))
    return Response(": welcome\n\n", mimetype="text/event-stream")


@app.post("/news/<int:number>")
def tell(number: int) -> dict[str, int]:
    """Send an event, whose data has two lines."""
    return {"told": news.send(f"news {number}\nä", event="news", id=number)}


@app.post("/end")
def end() -> str:
    """End all streams."""
    for stream in news:
        assert isinstance(stream, EventStream)
        stream.close()
    return ""
