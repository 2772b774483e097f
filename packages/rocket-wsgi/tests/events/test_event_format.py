from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_wsgi._events.event_format import (
    KEEP_ALIVE,
    check_data,
    check_event,
    check_id,
    encode_comment,
    encode_event,
    encode_retry,
)


def parse(stream: bytes) -> list[tuple[str, str, str]]:
    """The events (type, data, last ID) by the standard's algorithm."""
    text = stream.decode().replace("\r\n", "\n").replace("\r", "\n")
    events: list[tuple[str, str, str]] = []
    kind, data, last = "", "", ""
    for line in text.split("\n")[:-1]:
        if not line:
            if data:
                events.append((kind or "message", data[:-1], last))
            kind, data = "", ""
            continue
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "event":
            kind = value
        elif name == "data":
            data += value + "\n"
        elif name == "id" and "\0" not in value:
            last = value
    return events


def test_event() -> None:
    assert encode_event("a\nb", "news", "7") == b"event: news\nid: 7\ndata: a\ndata: b\n\n"
    assert encode_event("") == b"data: \n\n"


line = st.text(st.characters(codec="utf-8", exclude_characters="\r\n\0"), min_size=1)


@given(st.text(st.characters(codec="utf-8")), line, st.integers())
def test_clients_read_what_was_sent(data: str, event: str, identity: int) -> None:
    stream = encode_comment(data) + encode_event(data, event, check_id(identity)) + KEEP_ALIVE
    lines = data.replace("\r\n", "\n").replace("\r", "\n")
    assert parse(stream) == [(event, lines, str(identity))]


def test_only_three_line_ends_split_data() -> None:
    assert encode_event("a\x0bb\u2028c\x85d") == "data: a\x0bb\u2028c\x85d\n\n".encode()


def test_retry_is_in_milliseconds() -> None:
    assert encode_retry(3.0) == b"retry: 3000\n\n"
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="seconds from 0"):
            encode_retry(wrong)


@pytest.mark.parametrize("text", ["a\rb", "a\nb", "a\0b"], ids=["cr", "lf", "nul"])
def test_lines_that_would_break(text: str) -> None:
    with pytest.raises(ValueError, match="CR, LF or NUL"):
        check_event(text)
    with pytest.raises(ValueError, match="CR, LF and NUL"):
        check_id(text)


def test_ids_are_ascii_or_numbers() -> None:
    assert (check_id(7), check_id("x-1"), check_id(None)) == ("7", "x-1", None)
    with pytest.raises(ValueError, match="ASCII"):
        check_id("ä")


def test_data_is_text() -> None:
    with pytest.raises(TypeError, match="not bytes"):
        check_data(b"x")
