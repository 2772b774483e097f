"""Reports that a database takes long for: the query is cancelled when its reader has gone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

REPORT = "SELECT count(*) FROM generate_series(1, 200) AS part, pg_sleep(0.1 + part * 0)"
"""Stands for a query that computes for 20 seconds, and gives the processor up meanwhile."""

TEXT = [("Content-Type", "text/plain; charset=utf-8")]


def run_report(cancelled: Any) -> int:
    """Return what the report says. Raises `rocket_wsgi.Cancelled`."""
    with (
        psycopg.connect(application_name="reports") as connection,
        cancelled.guard(connection.cancel_safe),
    ):
        row = connection.execute(REPORT).fetchone()
    return 0 if row is None else int(row[0])


def application(environ: dict[str, Any], start_response: Callable[..., object]) -> Iterable[bytes]:
    """Answer with the report, or with a greeting at any other path."""
    if environ["PATH_INFO"] == "/report":
        text = f"{run_report(environ['rocket.cancelled'])} parts\n"
    else:
        text = "Ask for /report, and interrupt that.\n"
    start_response("200 OK", TEXT)
    return [text.encode()]
