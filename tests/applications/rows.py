"""A Django application whose threads keep their connections to a PostgreSQL.

Where that is, libpq's variables tell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.db import connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path

if TYPE_CHECKING:
    from collections.abc import Iterator

PART = bytes(64 * 1024)
PARTS = 200

settings.configure(
    ROOT_URLCONF=__name__,
    ALLOWED_HOSTS=["*"],
    DATABASES={
        "default": {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "postgres",
            "CONN_MAX_AGE": 600,
        }
    },
)
django.setup()


def ask() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")


def small(request: HttpRequest) -> HttpResponse:
    """A page of a row."""
    ask()
    return HttpResponse("a row\n")


def large(request: HttpRequest) -> StreamingHttpResponse:
    """An export of 13 MB that is made while it is sent."""
    ask()

    def parts() -> Iterator[bytes]:
        for _ in range(PARTS):
            yield PART

    return StreamingHttpResponse(parts())


urlpatterns = [path("", small), path("large", large)]
application = get_wsgi_application()
