from __future__ import annotations

import re
from wsgiref.types import StartResponse, WSGIEnvironment
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from rocket_cli._application.welcome_page import welcome


def get(path: str) -> tuple[str, dict[str, str], str]:
    environ: WSGIEnvironment = {"SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": ""}
    setup_testing_defaults(environ)
    started: list[tuple[str, dict[str, str]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> StartResponse:
        started.append((status, dict(headers)))
        return lambda _: None  # type: ignore[return-value]

    response = validator(welcome)(environ, start_response)  # type: ignore[arg-type]
    try:
        body = b"".join(response)
    finally:
        response.close()  # type: ignore[attr-defined]
    [(status, headers)] = started
    assert headers["Content-Length"] == str(len(body))
    return status, headers, body.decode()


def test_page_says_how_to_serve_an_application() -> None:
    status, headers, page = get("/")
    assert status == "200 OK"
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert "rocket-cli serve myproject.wsgi:application" in page


def test_page_refers_to_no_other_resource() -> None:
    page = get("/")[2]
    assert not re.search(r"https?:|\ssrc=|@import|url\(", page)
    assert re.findall(r'href="([^"]*)"', page) == ["data:,"]


def test_page_is_not_cached() -> None:
    assert get("/")[1]["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/favicon.ico", "/admin/"])
def test_other_paths_are_not_found(path: str) -> None:
    status, headers, _ = get(path)
    assert status == "404 Not Found"
    assert headers["Content-Type"] == "text/plain; charset=utf-8"
