"""An application that asks a PostgreSQL in each request. Where that is, libpq's variables tell."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment


def application(_environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    with psycopg.connect() as connection:
        connection.execute("UPDATE orders SET number = number + 1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "8")])
    return [b"ordered\n"]
