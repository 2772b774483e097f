"""Metrics for Prometheus, of all processes together."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from rocket_cli._admin.ledger import Ledger
from rocket_cli._admin.metric_table import DEFINITIONS, Scrape
from rocket_cli._admin.reply import Ask, AskError
from rocket_cli._admin.summary import summary

PATH: Final = "/metrics"
"""The only path with a resource."""


class MetricsCollector(Collector):
    """Asks the processes at each scrape, and keeps nothing but the counters of the last one."""

    def __init__(self, ask: Ask) -> None:
        """Ask the processes with ``ask``."""
        self._ask = ask
        self._ledger = Ledger()

    def collect(self) -> Iterable[Metric]:
        """Return all metrics. Raises `AskError`."""
        (supervisor,) = self._ask("processes", {}).answers
        reply = self._ask("stats", {})
        scrape = Scrape(
            stats=reply.sound,
            whole=summary(reply.sound),
            counters=self._ledger.total(reply),
            supervisor=supervisor,
        )
        return [each.collect(scrape) for each in DEFINITIONS]


def metrics_application(ask: Ask) -> WSGIApplication:
    """Return an application that serves the metrics at `PATH`, in a format that clients choose."""
    registry = CollectorRegistry()
    registry.register(MetricsCollector(ask))
    render = make_wsgi_app(registry)

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] != PATH:
            return _plain(start_response, "404 Not Found", f"The metrics are at {PATH}.")
        try:
            answer: Iterable[bytes] = render(environ, start_response)
        except AskError as error:
            return _plain(start_response, "503 Service Unavailable", f"No metrics: {error}.")
        return answer

    return application


def _plain(start_response: StartResponse, status: str, text: str) -> list[bytes]:
    body = f"{text}\n".encode()
    headers = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(body))),
    ]
    start_response(status, headers)
    return [body]
