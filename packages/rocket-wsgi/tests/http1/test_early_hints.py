"""103 responses, which precede the response."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Serve
from rocket_wsgi import ApplicationError
from rocket_wsgi._http1.early_hints import encode_hints

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], None]]

LINKS = [("Link", "</a.css>; rel=preload"), ("Link", "</b.js>; rel=preload")]


def hinting(environ: Environ, start_response: Start) -> list[bytes]:
    environ["wsgi.early_hints"](LINKS[:1])
    environ["wsgi.early_hints"]([])
    environ["wsgi.early_hints"](LINKS)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"done"]


def test_hints_come_before_the_response_and_the_connection_is_kept(serve: Serve) -> None:
    stream = serve(hinting).open()
    for _ in range(2):
        stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        for expected in (LINKS[:1], LINKS):
            version, status, reason, fields = stream.head()
            assert (version, status, reason) == ("HTTP/1.1", 103, "Early Hints")
            assert fields == [(name.lower(), value) for name, value in expected]
        assert stream.answer().body == b"done"


def test_clients_of_http_1_0_get_no_hints(serve: Serve) -> None:
    answer = serve(hinting).exchange(b"GET / HTTP/1.0\r\n\r\n")
    assert (answer.status, answer.body) == (200, b"done")


def test_hints_after_the_head_are_an_error(serve: Serve) -> None:
    kept: list[Environ] = []
    errors: list[ApplicationError] = []

    def application(environ: Environ, start_response: Start) -> list[bytes]:
        write = start_response("200 OK", [("Content-Length", "1")])
        write(b"x")
        kept.append(environ)
        try:
            environ["wsgi.early_hints"](LINKS)
        except ApplicationError as error:
            errors.append(error)
        return []

    client = serve(application)
    assert client.get().body == b"x"
    client.stop()
    assert "before the response" in str(errors[0])
    with pytest.raises(ApplicationError, match="before the response"):
        kept[0]["wsgi.early_hints"](LINKS)  # the request is long over


@pytest.mark.parametrize(
    "headers",
    [
        [("Link", "x\r\nSet-Cookie: a=b")],
        [("Link", "x\n")],
        [("Link\r\nX: y", "x")],
        [("Link:", "x")],
        [("", "x")],
        [("Link", "x\0")],
        [("Link", "\u20ac")],
        [("Link", 7)],
        [(b"Link", "x")],
        [("Connection", "close")],
        [("Transfer-Encoding", "chunked")],
        [("content-length", "5")],
    ],
)
def test_hints_that_could_split_a_head_or_mislead_are_refused(serve: Serve, headers: Any) -> None:
    def application(environ: Environ, start_response: Start) -> list[bytes]:
        environ["wsgi.early_hints"](headers)
        start_response("200 OK", [])
        return [b"not reached"]

    assert serve(application).get().status == 500


@given(st.lists(st.tuples(st.text(min_size=1), st.text())))
def test_encoded_hints_are_one_head(headers: list[tuple[str, str]]) -> None:
    try:
        data = encode_hints(headers)
    except ApplicationError:
        return
    if not headers:
        assert data == b""
        return
    lines = data.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 103 Early Hints"
    assert lines[-2:] == [b"", b""]
    expected = [f"{name}: {value}".encode("latin-1") for name, value in headers]
    assert lines[1:-2] == expected
    assert data.count(b"\n") == data.count(b"\r") == len(headers) + 2
