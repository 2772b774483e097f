from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_wsgi import _date
from rocket_wsgi._head import ApplicationError, Head


class Clock(_date.Clock):
    """Stands still."""

    def update(self) -> None:
        self.date = "Date: today\r\n"
        self.fields = self.date + f"Server: {_date.SERVER}\r\n"


def encode(*headers: tuple[Any, Any], status: Any = "200 OK") -> bytes:
    return Head(status, list(headers), Clock()).encode("\r\n")


def test_head() -> None:
    assert encode(("X-A", "b"), status="404 Not Found") == (
        b"HTTP/1.1 404 Not Found\r\nX-A: b\r\nDate: today\r\nServer: %b\r\n\r\n"
        % _date.SERVER.encode()
    )


def test_the_application_may_date_or_sign() -> None:
    assert encode(("Date", "x")).count(b"Date:") == 1
    assert b"Server: Rocket" in encode(("Date", "x"))
    assert encode(("Server", "x")).count(b"Server:") == 1
    assert b"Date: today" in encode(("Server", "x"))


def test_the_application_may_date_and_sign() -> None:
    head = encode(("date", "today"), ("SERVER", "mine"))
    assert head == b"HTTP/1.1 200 OK\r\ndate: today\r\nSERVER: mine\r\n\r\n"


def test_odd_but_harmless_values() -> None:
    assert b"A: \xe9\xa0\x80\t\xad b\r\n" in encode(("A", "\xe9\xa0\x80\t\xad b"))


def test_content_length_is_read() -> None:
    assert Head("200 OK", [("content-length", "12")], Clock()).length == 12


@pytest.mark.parametrize(
    "headers",
    [
        [("A", "b\r\nC: d")],
        [("A", "b\nC: d")],
        [("A", "b\rC: d")],
        [("A", "b\x00")],
        [("A", "\u20ac")],
        [("A\r\nB", "c")],
        [("A b", "c")],
        [("", "c")],
        [("A:", "c")],
        [(b"A", "c")],
        [("A", b"c")],
        [("A", 1)],
        [("Content-Length", "x")],
        [("Content-Length", "-1")],
        [("Content-Length", "1"), ("content-length", "1")],
        [("Connection", "close")],
        [("transfer-encoding", "chunked")],
        [("Upgrade", "x")],
    ],
)
def test_refused_headers(headers: list[tuple[Any, Any]]) -> None:
    with pytest.raises(ApplicationError):
        encode(*headers)


@pytest.mark.parametrize(
    "status", ["200", "OK", "20 OK", 200, b"200 OK", "200 OK\r\nA: b", "099 x"]
)
def test_refused_status(status: Any) -> None:
    with pytest.raises(ApplicationError):
        encode(status=status)


@pytest.mark.parametrize("status", ["100 Continue", "101 Switching Protocols", "103 Early Hints"])
def test_an_interim_status_is_no_response(status: str) -> None:
    with pytest.raises(ApplicationError, match=f"status '{status}' ends no request; use"):
        encode(status=status)


@pytest.mark.parametrize("name", ["Connection", "Keep-Alive"])
def test_whoever_sends_a_hop_by_hop_header_is_told_what_to_do(name: str) -> None:
    with pytest.raises(ApplicationError, match=f"header '{name}' is hop-by-hop.*leave it out"):
        encode((name, "close"))


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_value_breaks_out_of_its_line(name: str, value: str) -> None:
    try:
        head = encode((name, value))
    except ApplicationError:
        return
    lines = head.split(b"\r\n")
    assert len(lines) == 6
    assert all(b"\r" not in line and b"\n" not in line for line in lines)
    assert lines[1] == f"{name}: {value}".encode("latin-1")
