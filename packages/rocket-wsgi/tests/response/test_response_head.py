"""Heads of responses that repeat."""

from __future__ import annotations

from typing import Any, cast

import pytest

from rocket_wsgi import ApplicationError
from rocket_wsgi._http1.encoded_head import EncodedHead
from rocket_wsgi._response.response_head import ResponseHeads


def test_a_head_that_repeats_is_remembered() -> None:
    heads = ResponseHeads(EncodedHead)
    made = []
    for _ in range(4):
        made.append(heads.make("200 OK", [("A", "b"), ("Content-Length", "3")]))
        heads.make("404 Not Found", [])
    assert made[0] is not made[1]
    assert made[1] is made[2] is made[3]
    assert [head.start for head in made] == [b"HTTP/1.1 200 OK\r\nA: b\r\n"] * 4
    assert made[3].length == 3


def test_the_latest_head_is_made_once() -> None:
    heads = ResponseHeads(EncodedHead)
    headers = [("A", "b")]
    made = heads.make("200 OK", headers)
    assert heads.make("200 OK", [("A", "b")]) is made
    headers[0] = ("A", "c")
    assert heads.make("200 OK", headers).start == b"HTTP/1.1 200 OK\r\nA: c\r\n"
    assert heads.make("201 OK", headers).start == b"HTTP/1.1 201 OK\r\nA: c\r\n"
    assert heads.make("201 OK", cast("Any", tuple(headers))).status == 201


def test_heads_that_differ_in_content_length_are_one() -> None:
    heads = ResponseHeads(EncodedHead)
    made = set()
    for length in (3, 4, 3, None, 5, None):
        fields = [] if length is None else [("Content-Length", str(length))]
        head = heads.make("200 OK", [("A", "b"), *fields])
        assert head.length == length
        assert head.start == b"HTTP/1.1 200 OK\r\nA: b\r\n"
        made.add(head)
    assert len(made) < 6


@pytest.mark.parametrize("value", ["x", "", "-1", "1_0", "\xb2", "3\r\nX: y"])
def test_a_wrong_length_of_a_remembered_head_is_refused(value: str) -> None:
    heads = ResponseHeads(EncodedHead)
    for length in "345":
        heads.make("200 OK", [("A", "b"), ("Content-Length", length)])
    with pytest.raises(ApplicationError, match="is not a number"):
        heads.make("200 OK", [("A", "b"), ("Content-Length", value)])
    with pytest.raises(ApplicationError, match="given twice"):
        heads.make("200 OK", [("Content-Length", "3"), ("Content-Length", "3")])


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
def test_a_different_head_is_made_anew(status: str, headers: list[tuple[str, str]]) -> None:
    heads = ResponseHeads(EncodedHead)
    for _ in range(3):
        heads.make("200 OK", [("A", "b")])
    assert heads.make(status, headers).start == EncodedHead(status, headers).start


def test_a_refused_head_is_refused_again() -> None:
    heads = ResponseHeads(EncodedHead)
    for _ in range(4):
        with pytest.raises(ApplicationError):
            heads.make("200 OK", [("A", "b\n")])


class Text(str):
    """Equals a str, and is not one in the sense of PEP 3333."""

    __slots__ = ()


def test_a_value_that_only_equals_a_remembered_str_is_refused() -> None:
    heads = ResponseHeads(EncodedHead)
    for _ in range(3):
        heads.make("200 OK", [("A", "b")])
    with pytest.raises(ApplicationError, match="is not a str"):
        heads.make("200 OK", [("A", Text("b"))])


def test_fields_that_are_not_tuples_are_accepted() -> None:
    heads = ResponseHeads(EncodedHead)
    fields: Any = [["A", "b"]]
    for _ in range(3):
        assert heads.make("200 OK", fields).start == b"HTTP/1.1 200 OK\r\nA: b\r\n"


def test_a_field_that_the_application_changes_afterwards_is_read_again() -> None:
    heads = ResponseHeads(EncodedHead)
    fields: Any = [("A", "b"), ["Content-Length", "5"]]
    assert heads.make("200 OK", fields).length == 5
    fields[1][1] = "7"
    assert heads.make("200 OK", fields).length == 7


def test_a_long_head_is_not_remembered() -> None:
    heads = ResponseHeads(EncodedHead)
    made = [heads.make("200 OK", [("A", "b" * 2048)]) for _ in range(3)]
    assert made[1] is not made[2]


def test_a_remembered_head_has_the_present_date(monkeypatch: pytest.MonkeyPatch) -> None:
    heads = ResponseHeads(EncodedHead)
    for second, text in ((1_000_000_000, b"01:46:40"), (1_000_000_001, b"01:46:41")):
        monkeypatch.setattr("time.time", lambda second=second: second)
        for _ in range(3):
            head = heads.make("200 OK", [("A", "b")])
            assert text in head.encode(b"\r\n", heads.clock)
