from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_core import Worker
from rocket_core.http1 import (
    MAX_FIELD,
    MAX_FIELDS,
    MAX_HEAD,
    MAX_REQUEST_LINE,
    FieldNames,
    HeadError,
    RequestLine,
    check_arriving,
    read_fields,
    split_head,
)

TOKEN = st.text("!#$%&'*+-.^_`|~" + string.digits + string.ascii_letters, min_size=1, max_size=20)
TARGET = st.text([chr(code) for code in range(0x21, 0x7F)], min_size=1, max_size=60)
VALUE = st.text(
    [chr(code) for code in (9, 32, *range(0x21, 0x7F), *range(0x80, 0x100))], max_size=60
)
FIELDS = st.lists(st.tuples(TOKEN, VALUE), max_size=20, unique_by=lambda field: field[0].lower())
HEADS = st.builds(
    lambda method, target, version, fields: (method, target, version, fields),
    TOKEN,
    TARGET,
    st.sampled_from(["HTTP/1.0", "HTTP/1.1"]),
    FIELDS,
)
Head = tuple[str, str, str, list[tuple[str, str]]]


def encode(head: Head) -> bytes:
    method, target, version, fields = head
    lines = [f"{method} {target} {version}", *(f"{name}:{value}" for name, value in fields)]
    return "\r\n".join(lines).encode("latin-1")


def refusal(head: bytes) -> int:
    with pytest.raises(HeadError) as caught:
        Worker.parse_head(head)
    return caught.value.status


def with_line(line: bytes) -> bytes:
    return b"GET / HTTP/1.1\r\nHost: here\r\n" + line + b"\r\nAccept: */*"


@given(HEADS)
def test_valid_heads_are_read_back(head: Head) -> None:
    method, target, version, fields = head
    line, found = Worker.parse_head(encode(head))
    assert line == RequestLine(method, target, version)
    assert found == {name.lower(): value.strip(" \t") for name, value in fields}


@given(HEADS, st.data())
def test_mutated_heads_are_read_or_refused(head: Head, data: st.DataObject) -> None:
    raw = bytearray(encode(head))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(raw)))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        line, fields = Worker.parse_head(bytes(raw))
    except HeadError as error:
        assert 400 <= error.status <= 599
        assert str(error) == f"{error.status}: {error.reason}"
        return
    # What is accepted holds nothing that a later reader could take for a line end.
    for text in (*line, *fields, *fields.values()):
        assert not set(text) & {"\r", "\n", "\0"}


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(raw: bytes) -> None:
    try:
        Worker.parse_head(raw)
    except HeadError as error:
        assert error.status in (400, 505)


@pytest.mark.parametrize(
    "line",
    [
        b"X: a\rb",
        b"X: a\nb",
        b"X: a\r\r",
        b"X: a\n\rb",
        b"X: a\0b",
        b"X: a\x07b",
        b"X: a\x7fb",
        b" folded",
        b"\tfolded: with a colon",
        b"X : space before the colon",
        b"X\t: tab before the colon",
        b": no name",
        b"no colon",
        b"N\xe4me: not a token",
        b"N(me: not a token",
        b"",
    ],
)
def test_malformed_lines_are_refused(line: bytes) -> None:
    assert Worker.parse_head(with_line(b"X: fine"))[1]["x"] == "fine"
    assert refusal(with_line(line)) == 400


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"", 400),
        (b"GET", 400),
        (b"GET /", 400),
        (b"GET  / HTTP/1.1", 400),
        (b"GET / HTTP/1.1 ", 400),
        (b" GET / HTTP/1.1", 400),
        (b"GET /a b HTTP/1.1", 400),
        (b"GET\t/\tHTTP/1.1", 400),
        (b"G(T / HTTP/1.1", 400),
        (b"GET /\xe4 HTTP/1.1", 400),
        (b"GET / http/1.1", 400),
        (b"GET / HTTP/1", 400),
        (b"GET / HTTP/1.10", 400),
        (b"GET / HTTP/2.0", 505),
        (b"GET / HTTP/0.9", 505),
    ],
)
def test_malformed_request_lines_are_refused(line: bytes, status: int) -> None:
    assert refusal(line + b"\r\nHost: here") == status


def test_later_minor_versions_are_understood() -> None:
    assert Worker.parse_head(b"GET / HTTP/1.9")[0].version == "HTTP/1.9"


def request_line(size: int) -> bytes:
    return b"GET /" + b"a" * (size - 14) + b" HTTP/1.1"


def test_limit_of_the_request_line() -> None:
    split_head(request_line(MAX_REQUEST_LINE))
    assert refusal(request_line(MAX_REQUEST_LINE + 1)) == 414


def test_limit_of_a_field() -> None:
    Worker.parse_head(with_line(b"X:" + b"a" * (MAX_FIELD - 2)))
    assert refusal(with_line(b"X:" + b"a" * (MAX_FIELD - 1))) == 431


def test_limit_of_the_number_of_fields() -> None:
    head = b"GET / HTTP/1.1" + b"\r\nX: a" * MAX_FIELDS
    Worker.parse_head(head)
    assert refusal(head + b"\r\nX: a") == 431


def test_repeated_fields_are_joined_and_named() -> None:
    fields: dict[str, object] = {}
    lines = ["Accept: a", "Cookie: x=1", "accept:b", "Host: here", "COOKIE: y=2", "Accept:"]
    assert read_fields(lines, fields) == ["accept", "cookie", "accept"]
    assert fields == {"accept": "a, b, ", "cookie": "x=1; y=2", "host": "here"}


def test_the_dictionary_may_hold_other_things() -> None:
    fields: dict[str, object] = {"REMOTE_ADDR": "127.0.0.1"}
    assert read_fields(["Host: here"], fields) == []
    assert fields == {"REMOTE_ADDR": "127.0.0.1", "host": "here"}


class Keys(FieldNames):
    def key(self, name: str) -> str:
        return "" if name == "Proxy" else "HTTP_" + name.upper()


def test_names_choose_keys_and_drop_fields() -> None:
    fields: dict[str, object] = {}
    read_fields(["Proxy: evil", "Host: here"], fields, Keys())
    assert fields == {"HTTP_HOST": "here"}


def test_names_learnt_are_bounded() -> None:
    names = FieldNames()
    for number in range(2000):
        assert names[f"X-{number}"] == f"x-{number}"
    assert 0 < len(names) < 1000
    assert MAX_HEAD >= MAX_FIELD


def arriving(part: bytes) -> tuple[int, str] | None:
    try:
        check_arriving(part)
    except HeadError as error:
        return error.status, error.reason
    return None


@pytest.mark.parametrize(
    ("part", "status"),
    [
        (b"A" * (MAX_REQUEST_LINE + 2), 501),
        (b"\r\n" + b"A" * (MAX_REQUEST_LINE + 2), 501),
        (b"GET / HTTP/1.1\r\n" + b"A" * (MAX_FIELD + 2), 431),
        (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * MAX_FIELDS + b"A:", 431),
        (b"GET / HTTP/1.1\r\n" + (b"A: " + b"b" * 16_000 + b"\r\n") * 5, 431),
        (b"GET / HTTP/1.1\n", 400),
        (b"GET / HTTP/1.1\rH", 400),
        (b"\x16\x03\x01", 400),
    ],
)
def test_a_hopeless_beginning_is_refused(part: bytes, status: int) -> None:
    found = arriving(part)
    assert found is not None
    assert found[0] == status


@pytest.mark.parametrize(
    "part",
    [
        b"",
        b"\r",
        b"\r\n\r",
        b"GET / HTTP/1.1\r",
        b"A" * MAX_REQUEST_LINE + b"\r",
        b"GET / HTTP/1.1\r\n" + b"A" * MAX_FIELD + b"\r",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * MAX_FIELDS + b"\r",
    ],
)
def test_a_beginning_that_may_end_well_is_not_refused(part: bytes) -> None:
    assert arriving(part) is None


LINES = st.one_of(
    st.sampled_from(
        [b"GET / HTTP/1.1", b"Host: here", b"X: \0", b"X: a\rb", b"X: a\nb", b"\r", b"no"]
    ),
    st.integers(MAX_REQUEST_LINE - 2, MAX_REQUEST_LINE + 2).map(lambda size: b"A" * size),
    st.integers(MAX_FIELD - 2, MAX_FIELD + 2).map(lambda size: b"X:" + b"a" * (size - 2)),
    st.integers(MAX_FIELDS - 3, MAX_FIELDS + 1).map(lambda count: b"\r\n".join([b"X: y"] * count)),
)


@given(st.lists(LINES, min_size=1, max_size=6), st.data())
def test_the_answer_does_not_depend_on_how_much_has_arrived(
    lines: list[bytes], data: st.DataObject
) -> None:
    whole = b"\r\n".join(lines) + b"\r\n\r\n"
    head = whole[: whole.index(b"\r\n\r\n")]
    found = arriving(head[: data.draw(st.integers(0, len(head)))])
    if found is None:
        return
    with pytest.raises(HeadError) as caught:
        Worker.parse_head(head)
    assert (caught.value.status, caught.value.reason) == found
