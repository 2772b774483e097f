"""What a Django project needs for callbacks of the server. To be used where Django is installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import close_old_connections


@contextmanager
def around() -> Iterator[None]:
    """Close database connections that are too old or broken, before a callback and after it.

    Django does the same before and after each request. Give this function to `WSGIWorker` as
    ``around``, or its name ``rocket_wsgi.django:around`` to rocket-cli as ``--around``.
    """
    close_old_connections()
    try:
        yield
    finally:
        close_old_connections()
