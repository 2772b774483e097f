"""Event streams and deferred answers through frameworks, whose middleware sees the response."""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import flask
import pytest

from rocket_core import Listener, Server, TCPAddress
from rocket_core.testing import PATIENCE, Client, eventually
from rocket_tls import TLSListener
from rocket_wsgi import Cancelled, CancelledBy, WSGIWorker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from wsgiref.types import StartResponse, WSGIApplication

    from rocket_wsgi import DeferredAnswer, EventStream
    from systemtests.certificates import Certificates


@contextlib.contextmanager
def client_of(
    application: WSGIApplication, certificates: Certificates | None = None, **settings: Any
) -> Iterator[Client]:
    """A client of a server, which speaks TLS if there are ``certificates``."""
    listener: Listener
    if certificates is None:
        listener = Listener("127.0.0.1:0")
    else:
        listener = TLSListener("127.0.0.1:0", certificates.cert, certificates.key)
    with Server(lambda: WSGIWorker(application, **settings), [listener], min_threads=1) as server:
        address = server.listeners[0].address
        assert isinstance(address, TCPAddress)
        if certificates is None:
            with Client(address) as client:
                yield client
            return
        trust = ssl.create_default_context(cafile=certificates.ca)
        sock = socket.create_connection((address.host, address.port), PATIENCE)
        with trust.wrap_socket(sock, server_hostname="127.0.0.1") as secure, Client(secure) as one:
            yield one


def get(path: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: localhost", *fields, "", ""]).encode()


# -- Flask -----------------------------------------------------------------------------------------


class Site:
    """A Flask application with a session, log-in and a hook after each request."""

    def __init__(self) -> None:
        self.begun: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.told: queue.SimpleQueue[str] = queue.SimpleQueue()
        self.app = app = flask.Flask("site")
        app.secret_key = "of a test"

        @app.after_request
        def mark(response: flask.Response) -> flask.Response:
            response.headers["X-After"] = "yes"
            return response

        @app.get("/login")
        def login() -> str:
            flask.session["user"] = "ann"
            return "welcome"

        @app.get("/events")
        def events() -> Any:
            if "user" not in flask.session:
                return flask.redirect("/login")
            stream: EventStream = flask.request.environ["rocket.events"].open(
                retry=None, on_close=self._tell
            )
            flask.session["streams"] = flask.session.get("streams", 0) + 1
            stream.context = flask.session["user"]
            self.begun.put(stream)
            return flask.Response(": welcome\n\n", mimetype="text/event-stream")

        @app.get("/poll")
        def poll() -> Any:
            if "user" not in flask.session:
                flask.abort(401)
            later: DeferredAnswer = flask.request.environ["rocket.deferred"].hold()
            flask.session["polls"] = 1
            self.begun.put(later)
            return flask.jsonify({"ignored": True})

    def _tell(self, stream: EventStream) -> None:
        self.told.put(f"{stream.context} {flask.current_app.name}")


def cookie_of(answer: Any) -> str:
    value: str = answer["Set-Cookie"]
    return f"Cookie: {value.partition(';')[0]}"


def test_event_stream_through_flask() -> None:
    site = Site()
    with client_of(site.app, around=site.app.app_context) as client:
        client.send(get("/events"))
        assert client.answer().status == 302
        client.send(get("/login"))
        cookie = cookie_of(client.answer())
        client.send(get("/events", cookie))
        head = client.head()
        assert (head.status, head["X-After"]) == (200, "yes")
        assert "Set-Cookie" in head
        assert "Content-Length" not in head
        assert head["Content-Type"] == "text/event-stream; charset=utf-8"
        assert client.chunk() == b": welcome\n\n"
        stream = site.begun.get(timeout=PATIENCE)
        stream.send("news")
        assert client.chunk() == b"data: news\n\n"
        assert stream.environ["HTTP_COOKIE"] == cookie.removeprefix("Cookie: ")
        stream.close()
        assert client.chunk() == b""
        assert site.told.get(timeout=PATIENCE) == "ann site"


def test_deferred_answer_through_flask() -> None:
    site = Site()
    with client_of(site.app) as client:
        client.send(get("/poll"))
        assert client.answer().status == 401
        client.send(get("/login"))
        cookie = cookie_of(client.answer())
        client.send(get("/poll", cookie))
        later = site.begun.get(timeout=PATIENCE)
        answering = threading.Thread(
            target=later.answer,
            args=("200 OK", [("Content-Type", "application/json")], b'{"news": 1}'),
        )
        answering.start()
        answer = client.answer()
        answering.join(PATIENCE)
        assert (answer.status, answer.body) == (200, b'{"news": 1}')
        assert answer["X-After"] == "yes"
        assert answer["Content-Length"] == "11"
        assert "Set-Cookie" in answer


# -- TLS -------------------------------------------------------------------------------------------


def test_event_stream_over_tls(certificates: Certificates) -> None:
    begun: queue.SimpleQueue[EventStream] = queue.SimpleQueue()
    told: queue.SimpleQueue[EventStream] = queue.SimpleQueue()

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        begun.put(environ["rocket.events"].open(retry=None, on_close=told.put))
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return [b": welcome\n\n"]

    with client_of(view, certificates) as client:
        client.send(get("/"))
        assert client.head().status == 200
        assert client.chunk() == b": welcome\n\n"
        stream = begun.get(timeout=PATIENCE)
        assert stream.send("x" * 100_000)
        assert client.chunk() == b"data: " + b"x" * 100_000 + b"\n\n"
        stream.close()
        assert client.chunk() == b""
        assert told.get(timeout=PATIENCE) is stream
        client.send(get("/"))  # on the same connection
        assert client.head().status == 200
        stream = begun.get(timeout=PATIENCE)
        client.close()
        assert told.get(timeout=PATIENCE) is stream
        assert stream.environ["wsgi.url_scheme"] == "https"


def test_deferred_answer_over_tls(certificates: Certificates) -> None:
    begun: queue.SimpleQueue[DeferredAnswer] = queue.SimpleQueue()
    told: queue.SimpleQueue[DeferredAnswer] = queue.SimpleQueue()

    def view(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        begun.put(environ["rocket.deferred"].hold(on_close=told.put))
        start_response("200 OK", [])
        return []

    with client_of(view, certificates) as client:
        for body in (b"one", bytes(100_000)):
            client.send(get("/"))
            later = begun.get(timeout=PATIENCE)
            assert later.answer("200 OK", [], body)
            assert client.answer().body == body
            assert told.get(timeout=PATIENCE) is later
        client.send(get("/"))
        later = begun.get(timeout=PATIENCE)
        client.close()
        assert told.get(timeout=PATIENCE) is later
        assert later.gone


# -- Django ----------------------------------------------------------------------------------------

DJANGO = """
import sys
from contextlib import suppress

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpResponse
from django.urls import path

from rocket_core import Listener, Server
from rocket_wsgi import Cancelled, CancelledBy, WSGIWorker
from rocket_wsgi.django import around

settings.configure(
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="of a test",
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "site.db"}},
    MIDDLEWARE=[
        *(["django.middleware.gzip.GZipMiddleware"] if "gzip" in sys.argv else []),
        "django.middleware.common.CommonMiddleware",
    ],
)
django.setup()
begun = []


def count(stream):
    before = connection.connection is not None
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    print("connected", before, connection.connection is not None, flush=True)


def events(request):
    stream = request.META["rocket.events"].open(retry=None, on_close=count)
    begun.append(stream)
    size = int(request.GET.get("size", "10"))
    return HttpResponse(":" + "x" * (size - 3) + "\\n\\n", content_type="text/event-stream")


def poll(request):
    begun.append(request.META["rocket.deferred"].hold())
    return HttpResponse("ignored")


def tell(request):
    for each in begun:
        if hasattr(each, "send"):
            each.send("news")
        else:
            each.answer("200 OK", [("Content-Type", "text/plain")], b"answer")
    return HttpResponse("told")


urlpatterns = [path("events", events), path("poll", poll), path("tell", tell)]
application = get_wsgi_application()
listener = Listener("127.0.0.1:0")
one = {"min_threads": 1, "max_threads": 1}
with Server(lambda: WSGIWorker(application, around=around), [listener], **one) as server:
    print(listener.address, flush=True)
    with suppress(EOFError):
        input()
"""


@contextlib.contextmanager
def django(site: Path, *arguments: str) -> Iterator[tuple[Client, Client, Any]]:
    (site / "site_of_test.py").write_text(DJANGO, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "site_of_test.py", *arguments],
        cwd=site,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            host, _, port = process.stdout.readline().strip().rpartition(":")
            address = TCPAddress(host, int(port))
            with Client(address) as one, Client(address) as other:
                yield one, other, process
        finally:
            process.stdin.close()
            process.wait(PATIENCE)


def test_event_stream_through_django(tmp_path: Path) -> None:
    with django(tmp_path) as (client, other, process):
        client.send(get("/events"))
        head = client.head()
        assert head.status == 200
        assert "Content-Length" not in head
        assert client.chunk() == b":xxxxxxx\n\n"
        other.send(get("/tell"))
        assert other.answer().body == b"told"
        assert client.chunk() == b"data: news\n\n"
        client.close()
        assert process.stdout.readline() == "connected False True\n"


def test_callbacks_leave_no_old_connection_to_a_database(tmp_path: Path) -> None:
    """Both callbacks run on the same thread, and no request of Django's comes between them."""
    with django(tmp_path) as (*clients, process):
        for client in clients:
            client.send(get("/events"))
            assert client.head().status == 200
            assert client.chunk() == b":xxxxxxx\n\n"
        for client in clients:
            client.close()
            assert process.stdout.readline() == "connected False True\n"


def test_deferred_answer_through_django(tmp_path: Path) -> None:
    with django(tmp_path) as (client, other, _):
        client.send(get("/poll"))
        answer = None

        def told() -> bool:
            other.send(get("/tell"))
            return other.answer().body == b"told"

        eventually(told)
        answer = client.answer()
        assert (answer.status, answer.body) == (200, b"answer")
        assert answer["Content-Type"] == "text/plain"


@pytest.mark.parametrize(("size", "status"), [(199, 200), (200, 500)])
def test_compression_of_django_is_an_error(tmp_path: Path, size: int, status: int) -> None:
    with django(tmp_path, "gzip") as (client, _, process):
        client.send(get(f"/events?size={size}", "Accept-Encoding: gzip"))
        assert client.head().status == status
        if status == 500:
            process.stdin.close()
            assert "Content-Encoding: gzip" in process.stderr.read()


# -- rocket.cancelled ------------------------------------------------------------------------------


@pytest.mark.parametrize("politely", [True, False], ids=["close_notify", "no close_notify"])
def test_view_is_told_that_a_client_over_tls_has_left(
    certificates: Certificates, politely: bool
) -> None:
    found: queue.SimpleQueue[Cancelled] = queue.SimpleQueue()
    begun = threading.Event()

    def application(environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
        cancelled = environ["rocket.cancelled"]
        begun.set()
        cancelled.wait(PATIENCE)
        try:
            cancelled.raise_if()
        except Cancelled as error:
            found.put(error)
        start_response("200 OK", [])
        return []

    with client_of(application, certificates) as client:
        client.send(get("/"))
        assert begun.wait(PATIENCE)
        sock = client.socket
        assert isinstance(sock, ssl.SSLSocket)
        if politely:
            sock.setblocking(False)
            with contextlib.suppress(ssl.SSLWantReadError):  # for the answer of the server
                sock.unwrap()
        sock.close()
        assert found.get(timeout=PATIENCE).by is CancelledBy.CLIENT
