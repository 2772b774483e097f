from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_wsgi import _clock
from rocket_wsgi._response.response_head import ApplicationError, ResponseHead, ResponseHeads


class Clock(_clock.Clock):
    """Stands still."""

    def update(self) -> None:
        self.date = b"Date: today\r\n"
        self.fields = self.date + _clock.SERVER_LINE


def encode(*headers: tuple[Any, Any], status: Any = "200 OK") -> bytes:
    return ResponseHead(status, list(headers)).encode(b"\r\n", Clock())


def test_head() -> None:
    assert encode(("X-A", "b"), status="404 Not Found") == (
        b"HTTP/1.1 404 Not Found\r\nX-A: b\r\nDate: today\r\nServer: %b\r\n\r\n"
        % _clock.SERVER.encode()
    )


def test_kept_head_is_made_anew_for_another_length_and_another_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = _clock.Clock()
    head = ResponseHead("200 OK", [("X-A", "b"), ("Content-Length", "3")])
    kept = []
    for length, second in [(3, 1_000_000_000.0), (4, 1_000_000_000.5), (4, 1_000_000_001.0)]:
        monkeypatch.setattr("time.time", lambda now=second: now)
        made = head.encode_kept(length, clock)
        assert made == head.encode(b"Content-Length: %d\r\n\r\n" % length, clock)
        assert head.encode_kept(length, clock) is made
        kept.append(made)
    assert len(set(kept)) == 3


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
    assert ResponseHead("200 OK", [("content-length", "12")]).length == 12


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


# -- heads that come again ------------------------------------------------------------------------


def test_a_head_that_comes_again_is_remembered() -> None:
    heads = ResponseHeads()
    made = [heads.make("200 OK", [("A", "b"), ("Content-Length", "3")]) for _ in range(4)]
    assert made[0] is not made[1]
    assert made[1] is made[2] is made[3]
    assert [head.encode(b"\r\n", Clock()) for head in made] == [
        encode(("A", "b"), ("Content-Length", "3"))
    ] * 4
    assert made[3].length == 3


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("201 OK", [("A", "b")]),
        ("200 OK", [("A", "c")]),
        ("200 OK", [("a", "b")]),
        ("200 OK", [("A", "b"), ("A", "b")]),
        ("200 OK", []),
    ],
)
def test_another_head_is_another_one(status: str, headers: list[tuple[str, str]]) -> None:
    heads = ResponseHeads()
    for _ in range(3):
        heads.make("200 OK", [("A", "b")])
    assert heads.make(status, headers).start == ResponseHead(status, headers).start


def test_a_refused_head_is_refused_again() -> None:
    heads = ResponseHeads()
    for _ in range(4):
        with pytest.raises(ApplicationError):
            heads.make("200 OK", [("A", "b\n")])


class Text(str):
    """A str that is none to PEP 3333."""

    __slots__ = ()


def test_what_only_equals_a_known_head_is_refused() -> None:
    heads = ResponseHeads()
    for _ in range(3):
        heads.make("200 OK", [("A", "b")])
    with pytest.raises(ApplicationError, match="is not a str"):
        heads.make("200 OK", [("A", Text("b"))])


def test_fields_that_are_no_tuples_are_taken_as_they_come() -> None:
    heads = ResponseHeads()
    fields: Any = [["A", "b"]]
    for _ in range(3):
        assert heads.make("200 OK", fields).start == b"HTTP/1.1 200 OK\r\nA: b\r\n"


def test_a_long_head_is_not_remembered() -> None:
    heads = ResponseHeads()
    made = [heads.make("200 OK", [("A", "b" * 2048)]) for _ in range(3)]
    assert made[1] is not made[2]


def test_a_remembered_head_has_the_present_date(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = ResponseHeads()
    for second, text in ((1_000_000_000, b"01:46:40"), (1_000_000_001, b"01:46:41")):
        monkeypatch.setattr("time.time", lambda second=second: second)
        for _ in range(3):
            head = heads.make("200 OK", [("A", "b")])
            assert text in head.encode(b"\r\n", heads.clock)
