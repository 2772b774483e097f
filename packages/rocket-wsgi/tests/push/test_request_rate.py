"""Clients that send too many requests are answered 429."""

from __future__ import annotations

from typing import Any

import pytest

from conftest import Serve
from rocket_core.testing import eventually
from rocket_wsgi import Site

PROXIED: dict[str, Any] = {"trusted_proxies": ["127.0.0.1"]}
SLOW: dict[str, Any] = {"request_rate_per_client": 0.001, "request_burst_per_client": 2}


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]


def get(host: str = "", path: str = "/", body: bytes = b"") -> bytes:
    forwarded = f"X-Forwarded-For: {host}\r\n" if host else ""
    method = "POST" if body else "GET"
    length = f"Content-Length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nHost: a\r\n{forwarded}{length}\r\n".encode() + body


def test_requests_beyond_the_burst(serve: Serve) -> None:
    served = serve(application, **PROXIED, **SLOW)
    client = served.open()
    for _ in range(2):
        client.send(get("10.0.0.1"))
        assert client.answer().status == 200
    for _ in range(2):  # the connection goes on
        client.send(get("10.0.0.1"))
        answer = client.answer()
        assert answer.status == 429
        assert 900 < int(answer["Retry-After"]) <= 1000
        assert answer["RateLimit-Policy"] == '"client";q=2;w=2000'
        assert answer["RateLimit"] == f'"client";r=0;t={answer["Retry-After"]}'
    client.send(get("10.0.0.2"))
    assert client.answer().status == 200
    assert served.server.statistics().limited == 2


def test_connections_of_a_client_count_together(serve: Serve) -> None:
    served = serve(application, **SLOW)
    statuses = []
    for _ in range(4):
        client = served.open()
        client.send(get())
        statuses.append(client.answer().status)
    assert statuses == [200, 200, 429, 429]


def test_body_of_a_request_that_is_refused(serve: Serve) -> None:
    served = serve(application, **PROXIED, **SLOW)
    for status in (200, 200, 429):
        client = served.open()
        client.send(get("10.0.0.1", body=b"x" * 100))
        assert client.answer("POST").status == status


def test_tokens_come_back(serve: Serve) -> None:
    client = serve(application, request_rate_per_client=10, request_burst_per_client=1).open()

    def status() -> int:
        client.send(get())
        return client.answer().status

    assert status() == 200
    eventually(lambda: status() == 429)
    eventually(lambda: status() == 200)


def test_health_checks_and_proxies_that_tell_nothing_are_not_limited(serve: Serve) -> None:
    served = serve(application, health="/up", **PROXIED, **SLOW)
    client = served.open()
    for _ in range(4):
        client.send(get("10.0.0.1", "/up"))
        assert client.answer().body == b"ok\n"
        client.send(get())
        assert client.answer().body == b"done"


def test_settings() -> None:
    with pytest.raises(ValueError, match="must be greater than 0"):
        Site(application, request_rate_per_client=0)
    with pytest.raises(ValueError, match="needs request_rate_per_client"):
        Site(application, request_burst_per_client=1)
