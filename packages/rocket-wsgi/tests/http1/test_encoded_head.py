"""Heads of responses, as the application gives them and as they are sent."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_wsgi import ApplicationError, _clock
from rocket_wsgi._http1.encoded_head import EncodedHead

CLOCK = _clock.Clock()
"""It has the date of the head that was encoded last."""


def encode(*headers: tuple[Any, Any], status: Any = "200 OK") -> bytes:
    return EncodedHead(status, list(headers)).encode(b"\r\n", CLOCK)


def test_head() -> None:
    assert encode(("X-A", "b"), status="404 Not Found") == (
        b"HTTP/1.1 404 Not Found\r\nX-A: b\r\n%bServer: %b\r\n\r\n"
        % (CLOCK.date, _clock.SERVER.encode())
    )


def test_a_usual_head_is_encoded_again_for_another_length_ending_and_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = _clock.Clock()
    head = EncodedHead("200 OK", [("X-A", "b"), ("Content-Length", "3")])
    usual = []
    for length, keeps, second in [
        (3, True, 1_000_000_000.0),
        (4, True, 1_000_000_000.5),
        (4, False, 1_000_000_000.5),
        (4, False, 1_000_000_001.0),
    ]:
        monkeypatch.setattr("time.time", lambda now=second: now)
        made = head.encode_usual(length, clock, keeps)
        ending = b"" if keeps else b"Connection: close\r\n"
        assert made == head.encode(b"Content-Length: %d\r\n%b\r\n" % (length, ending), clock)
        assert head.encode_usual(length, clock, keeps) is made
        usual.append(made)
    assert len(set(usual)) == 4


def test_the_application_may_send_date_or_server() -> None:
    assert encode(("Date", "x")).count(b"Date:") == 1
    assert b"Server: Rocket" in encode(("Date", "x"))
    assert encode(("Server", "x")).count(b"Server:") == 1
    head = encode(("Server", "x"))
    assert CLOCK.date in head


def test_the_application_may_send_date_and_server() -> None:
    head = encode(("date", "today"), ("SERVER", "mine"))
    assert head == b"HTTP/1.1 200 OK\r\ndate: today\r\nSERVER: mine\r\n\r\n"


def test_unusual_but_valid_values() -> None:
    assert b"A: \xe9\xa0\x80\t\xad b\r\n" in encode(("A", "\xe9\xa0\x80\t\xad b"))


def test_content_length_is_read() -> None:
    assert EncodedHead("200 OK", [("content-length", "12")]).length == 12


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
def test_an_interim_status_is_refused(status: str) -> None:
    with pytest.raises(ApplicationError, match=f"status '{status}' does not end a request; use"):
        encode(status=status)


@pytest.mark.parametrize("name", ["Connection", "Keep-Alive"])
def test_the_error_for_a_hop_by_hop_header_says_what_to_do(name: str) -> None:
    with pytest.raises(ApplicationError, match=f"header '{name}' is hop-by-hop.*leave it out"):
        encode((name, "close"))


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_value_ends_its_line(name: str, value: str) -> None:
    try:
        head = encode((name, value))
    except ApplicationError:
        return
    lines = head.split(b"\r\n")
    assert len(lines) == 6
    assert all(b"\r" not in line and b"\n" not in line for line in lines)
    assert lines[1] == f"{name}: {value}".encode("latin-1")
