from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from rocket_cli._errors import CommandError
from rocket_cli._serving import health_check
from rocket_cli._serving.health_check import check_health
from rocket_core import Listener, Server
from rocket_wsgi import WSGIWorker


def application(environ: Any, start_response: Any) -> list[bytes]:
    status = {"/fine": "200 OK", "/strict": "400 Bad Request"}.get(environ["PATH_INFO"])
    start_response(status or "503 Service Unavailable", [("Content-Length", "0")])
    return []


def check(*paths: str, application: Callable[..., Any] = application) -> int:
    """Check a server that accepts no clients; return the number of its connections."""
    server = Server(
        lambda: WSGIWorker(application, health="/healthz"), [Listener("127.0.0.1:0")], min_threads=1
    )
    server.start(accept=False)
    try:
        check_health(server, paths)
        return server.statistics().accepted
    finally:
        server.stop()
        server.wait()


def test_answers_of_the_server_and_of_the_application() -> None:
    assert check("/healthz", "/fine") == 2


def test_status_below_500_is_not_a_failure() -> None:
    assert check("/strict") == 1


def test_status_from_500_on() -> None:
    with pytest.raises(CommandError, match="the health check /ö was answered with status 503"):
        check("/ö")


def test_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health_check, "PATIENCE", 0.05)

    def silent(environ: Any, start_response: Any) -> Any:
        for _ in iter(environ["rocket.client_gone"], True):
            pass
        raise ConnectionError

    with pytest.raises(CommandError, match="the health check / was not answered: timed out"):
        check("/", application=silent)
