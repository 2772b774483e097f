from __future__ import annotations

import io
import json
import logging
import sys
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_cli._logging.formatting import JSONLines, TextLines, has_colours, printable

ANY_TEXT = st.text(st.characters(codec=None, exclude_categories=()))


def record(message: str, *args: object, level: int = logging.INFO) -> logging.LogRecord:
    return logging.LogRecord("rocket_cli", level, __file__, 1, message, args, None)


def failed(message: str) -> logging.LogRecord:
    try:
        raise RuntimeError(message)
    except RuntimeError:
        made = record("it failed", level=logging.ERROR)
        made.exc_info = sys.exc_info()
    return made


@given(ANY_TEXT)
def test_data_cannot_begin_a_line(text: str) -> None:
    for made in (record("%s", text), failed(text)):
        lines = TextLines().format(made).splitlines()
        assert all(line.startswith("  ") for line in lines[1:])
        assert "\x1b" not in "".join(lines)
        "".join(lines).encode()


@given(ANY_TEXT)
def test_json_is_one_line_without_loss(text: str) -> None:
    made = failed(text)
    made.msg, made.args = "%s", (text,)
    line = JSONLines().format(made)
    assert line.isascii()
    assert len(line.splitlines()) == 1
    found = json.loads(line)
    assert found["message"] == text
    assert found["exception"].startswith("Traceback (most recent call last):\n")
    assert text in found["exception"]


def test_fields_of_json() -> None:
    made = record("cannot accept on %s", "127.0.0.1:80", level=logging.WARNING)
    found = json.loads(JSONLines().format(made))
    assert datetime.fromisoformat(found.pop("time")).timestamp() == pytest.approx(
        made.created, abs=0.001
    )
    assert found == {
        "level": "warning",
        "logger": "rocket_cli",
        "pid": made.process,
        "thread": "MainThread",
        "message": "cannot accept on 127.0.0.1:80",
    }


def test_stack_is_below_its_message() -> None:
    made = record("a thread is busy")
    made.stack_info = "Stack (most recent call last):\n  File x"
    assert json.loads(JSONLines().format(made))["stack"] == made.stack_info
    assert TextLines().format(made).endswith("busy\n  Stack (most recent call last):\n    File x")


def test_colour_shows_the_level() -> None:
    made = record("broken", level=logging.ERROR)
    assert "\x1b[31mERROR\x1b[0m" in TextLines(colours=True).format(made)
    assert "\x1b" not in TextLines().format(made)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert has_colours(Terminal())
    assert not has_colours(io.StringIO())
    monkeypatch.setenv("TERM", "dumb")
    assert not has_colours(Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert not has_colours(Terminal())
    monkeypatch.setenv("NO_COLOR", "")  # counts as not there
    assert has_colours(Terminal())


def test_printable() -> None:
    assert (
        printable("a\tb\nä\x1b[2J\r\x85\u202e\ud800") == "a\tb\nä\\x1b[2J\\x0d\\x85\\u202e\\ud800"
    )
