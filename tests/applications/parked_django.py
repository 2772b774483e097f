"""Websockets that hold no thread, in Django, as its users write them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.urls import path

if TYPE_CHECKING:
    from rocket_wsgi import WebSocket

settings.configure(
    SECRET_KEY="of the test",
    ALLOWED_HOSTS=["*"],
    ROOT_URLCONF=__name__,
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MIDDLEWARE=[
        "django.middleware.gzip.GZipMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
    ],
)
django.setup()


class Echo:
    """Answers each message with itself, and with how often the client has come."""

    def __init__(self, visits: int) -> None:
        self.visits = visits

    def on_message(self, ws: WebSocket, data: str) -> None:
        ws.send(f"{self.visits}: {data}")


def echo(request: HttpRequest) -> HttpResponse:
    visits = request.session["visits"] = request.session.get("visits", 0) + 1
    request.META["rocket.websocket"].accept(Echo(visits))
    return HttpResponse("x" * 1000)


def refuse(request: HttpRequest) -> HttpResponse:
    request.META["rocket.websocket"].accept(Echo(0))
    return HttpResponse("not you", status=403)


urlpatterns = [path("echo", echo), path("refuse", refuse)]
app = get_wsgi_application()
