"""Lines of the admin protocol."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_cli._admin.protocol import (
    COMMANDS,
    ProtocolError,
    answer,
    failure,
    parse_question,
    question,
)
from rocket_cli._admin.reply import Reply


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("stats", {}),
        ("threads", {"stacks": True, "limit": 5}),
        ("connections", {"sort": "held", "limit": 1}),
        ("log-level", {"level": "debug"}),
        ("resize", {"threads": "4:16"}),
        ("resize", {"processes": 3, "threads": "8"}),
    ],
)
def test_question(command: str, arguments: dict[str, Any]) -> None:
    assert parse_question(question(command, arguments)) == (command, arguments)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"", "the line is not JSON; ask as"),
        (b"stats", "the line is not JSON; ask as"),
        (b"\xff", "the line is not JSON; ask as"),
        (b"[" * 100_000, "the line is not JSON; ask as"),
        (b'["stats"]', "the line is not a JSON object; ask as"),
        (b'{"ask": "stats"}', 'unsupported version; this server expects "version": 1'),
        (
            b'{"version": 2, "ask": "stats"}',
            'unsupported version; this server expects "version": 1',
        ),
        (
            b'{"version": true, "ask": "stats"}',
            'unsupported version; this server expects "version": 1',
        ),
        (b'{"version": 1}', "unknown question; ask for one of stats, processes, threads"),
        (b'{"version": 1, "ask": ["stats"]}', "unknown question; ask for one of stats"),
        (b'{"version": 1, "ask": "stats", "x\\n": 1}', 'unknown key "x\\n"; a question has'),
        (b'{"version": 1, "ask": "stats", "arguments": []}', "arguments must be an object"),
        (
            b'{"version": 1, "ask": "stats", "arguments": {"limit": 1}}',
            'stats takes no arguments, not "limit"',
        ),
        (
            b'{"version": 1, "ask": "threads", "arguments": {"limit": 0}}',
            "threads: limit must be a whole number from 1 to 10000",
        ),
        (
            b'{"version": 1, "ask": "threads", "arguments": {"stacks": 1}}',
            "threads: stacks must be true or false",
        ),
        (
            b'{"version": 1, "ask": "connections", "arguments": {"sort": "size"}}',
            "connections: sort must be one of age, held, requests, state",
        ),
        (
            b'{"version": 1, "ask": "resize", "arguments": {"threads": "0"}}',
            'resize: threads must be a string such as "8" or "4:16"',
        ),
        (b'{"version": 1, "ask": "resize"}', "resize needs the argument processes or threads"),
        (b'{"version": 1, "ask": "log-level"}', "log-level needs the argument level"),
    ],
)
def test_line_that_is_not_a_question(line: bytes, complaint: str) -> None:
    with pytest.raises(ProtocolError) as error:
        parse_question(line)
    assert complaint in str(error.value)
    assert "\n" not in str(error.value)


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none()
        | st.booleans()
        | st.floats()
        | st.text(max_size=20)
        | st.sampled_from([*COMMANDS]),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["version", "ask", "arguments", "limit", "threads", "x"]), inner
            )
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_line_is_a_question_or_told_why_not(line: bytes) -> None:
    try:
        command, _ = parse_question(line)
    except ProtocolError as error:
        assert str(error)
        assert str(error).isprintable()
    else:
        assert command in COMMANDS


def test_replies_are_one_line() -> None:
    line = answer(Reply([{"process": 1, "request": "GET /\n"}], {"requests": 1}))
    assert line.count(b"\n") == 1
    assert json.loads(line) == {
        "version": 1,
        "answers": [{"process": 1, "request": "GET /\n"}],
        "ended": {"requests": 1},
    }
    assert json.loads(failure("a\nb")) == {"version": 1, "error": "a\nb"}
