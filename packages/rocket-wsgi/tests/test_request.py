from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_core import HeadError
from rocket_wsgi._request import Framing, Request


def read(*lines: str, first: str = "GET / HTTP/1.1", host: str | None = "Host: a") -> Request:
    head = [first, *([host] if host is not None else []), *lines]
    return Request("\r\n".join(head).encode("latin-1"), {"wsgi.version": (1, 0)})


def refused(*lines: str, **settings: Any) -> int:
    with pytest.raises(HeadError) as caught:
        read(*lines, **settings)
    return caught.value.status


def test_environ() -> None:
    request = read(
        "X-One: 1",
        "x-one: 2",
        "Cookie: a=b",
        "Cookie: c=d",
        "Content-Type: text/x",
        "Content-Length: 3",
        first="POST /p%20q?r=s HTTP/1.1",
    )
    environ = request.environ
    assert environ["REQUEST_METHOD"] == "POST"
    assert environ["PATH_INFO"] == "/p q"
    assert environ["QUERY_STRING"] == "r=s"
    assert environ["REQUEST_URI"] == "/p%20q?r=s"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["HTTP_HOST"] == "a"
    assert environ["HTTP_X_ONE"] == "1, 2"
    assert environ["HTTP_COOKIE"] == "a=b; c=d"
    assert environ["CONTENT_TYPE"] == "text/x"
    assert environ["CONTENT_LENGTH"] == "3"
    assert "HTTP_CONTENT_TYPE" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ


def test_template_is_not_changed() -> None:
    template = {"wsgi.version": (1, 0)}
    Request(b"GET / HTTP/1.1\r\nHost: a\r\nX-A: b", template)
    assert template == {"wsgi.version": (1, 0)}


def test_fields_that_could_be_mistaken_are_dropped() -> None:
    environ = read("X_Forwarded_For: evil", "Proxy: evil", "X-Ok: 1").environ
    assert "evil" not in environ.values()
    assert environ["HTTP_X_OK"] == "1"


def test_absolute_form_replaces_host() -> None:
    assert read(first="GET http://b:1/ HTTP/1.1").environ["HTTP_HOST"] == "b:1"


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Content-Length: 1", "Content-Length: 1"], 400),
        (["Content-Length: 1, 1"], 400),
        (["Content-Length: +1"], 400),
        (["Content-Length: -1"], 400),
        (["Content-Length: 1_0"], 400),
        (["Content-Length: 0x1"], 400),
        (["Content-Length: \xb2"], 400),
        (["Content-Length:"], 400),
        (["Content-Length: " + "9" * 30], 413),
        (["Transfer-Encoding: chunked", "Content-Length: 1"], 400),
        (["Transfer-Encoding: chunked", "Content-Length:"], 400),
        (["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"], 400),
        (["Transfer-Encoding: chunked, chunked"], 400),
        (["Transfer-Encoding: chunked, gzip"], 400),
        (["Transfer-Encoding: gzip, chunked"], 501),
        (["Transfer-Encoding: identity"], 400),
        (["Transfer-Encoding:"], 400),
        (["Transfer-Encoding: \x0bchunked"], 400),
        (["Expect: 200-ok"], 417),
        (["Host: a"], 400),
        (["Host: b"], 400),
        ([" folded: x"], 400),
        (["X: a", "\tfolded"], 400),
        (["X : a"], 400),
        ([": a"], 400),
        (["X(y): a"], 400),
        (["no colon"], 400),
        (["X: a\x00b"], 400),
        (["X: a\nb"], 400),
        (["X: a\rb"], 400),
        ([f"X-{n}: y" for n in range(101)], 431),
        (["X: " + "y" * (17 * 1024)], 431),
    ],
)
def test_malformed_fields(lines: list[str], status: int) -> None:
    assert refused(*lines) == status


@pytest.mark.parametrize(
    ("first", "status"),
    [
        ("GET / HTTP/2.0", 505),
        ("PRI * HTTP/2.0", 505),
        ("GET / HTTP/0.9", 505),
        ("GET / HTTP/1.10", 400),
        ("GET / http/1.1", 400),
        ("GET /", 400),
        ("GET  / HTTP/1.1", 400),
        ("GET / HTTP/1.1 ", 400),
        (" GET / HTTP/1.1", 400),
        ("G\x7fT / HTTP/1.1", 400),
        ("G@T / HTTP/1.1", 400),
        ("GET /\xe9 HTTP/1.1", 400),
        ("GET /" + "a" * 9000 + " HTTP/1.1", 414),
        ("CONNECT a:1 HTTP/1.1", 501),
    ],
)
def test_malformed_request_lines(first: str, status: int) -> None:
    assert refused(first=first) == status


def test_host_is_required_of_modern_clients_only() -> None:
    assert refused(host=None) == 400
    assert not read(host=None, first="GET / HTTP/1.0").modern


def test_later_minor_versions_are_modern() -> None:
    assert read(first="GET / HTTP/1.2").modern


def test_transfer_encoding_on_old_clients() -> None:
    assert refused("Transfer-Encoding: chunked", first="POST / HTTP/1.0") == 400


@pytest.mark.parametrize(
    ("lines", "framing", "length"),
    [
        ([], Framing.NONE, 0),
        (["Content-Length: 0"], Framing.NONE, 0),
        (["Content-Length: 012"], Framing.LENGTH, 12),
        (["Transfer-Encoding: Chunked"], Framing.CHUNKED, 0),
    ],
)
def test_framing(lines: list[str], framing: Framing, length: int) -> None:
    request = read(*lines, first="POST / HTTP/1.1")
    assert (request.framing, request.length) == (framing, length)
    assert "HTTP_TRANSFER_ENCODING" not in request.environ
    assert ("wsgi.input" in request.environ) == (framing is Framing.NONE)


@pytest.mark.parametrize(
    ("version", "connection", "kept"),
    [
        ("1.1", None, True),
        ("1.1", "keep-alive", True),
        ("1.1", "Close", False),
        ("1.1", "TE, close", False),
        ("1.1", "Upgrade", True),
        ("1.0", None, False),
        ("1.0", "Keep-Alive", True),
        ("1.0", "TE , keep-alive", True),
        ("1.0", "keep-alive, close", False),
    ],
)
def test_keep_alive(version: str, connection: str | None, kept: bool) -> None:
    lines = [] if connection is None else [f"Connection: {connection}"]
    assert read(*lines, first=f"GET / HTTP/{version}").keep_alive is kept


def test_expectation() -> None:
    assert read("Expect: 100-Continue", "Content-Length: 1").expects
    assert not read("Expect: 100-continue").expects
    assert not read("Expect: 100-continue", "Content-Length: 1", first="PUT / HTTP/1.0").expects


@given(st.binary(max_size=300))
def test_no_head_raises_anything_else(head: bytes) -> None:
    try:
        Request(head, {})
    except HeadError as error:
        assert 400 <= error.status < 600


@given(
    st.lists(
        st.sampled_from(
            [
                "Host: a",
                "Content-Length: 5",
                "Content-Length: 0",
                "Transfer-Encoding: chunked",
                "Transfer-Encoding: gzip",
                "X: y",
                "Connection: close",
            ]
        ),
        max_size=4,
    )
)
def test_two_framings_are_never_accepted(lines: list[str]) -> None:
    framings = [line for line in lines if line.startswith(("Content-L", "Transfer"))]
    try:
        read(*lines, host=None)
    except HeadError:
        return
    assert len(framings) <= 1
    assert "Transfer-Encoding: gzip" not in framings
    assert lines.count("Host: a") == 1
