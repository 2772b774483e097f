from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

import pytest

from rocket_wsgi._clock import SERVER, Clock


def test_the_fields_change_with_the_second(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([1_000_000_000.2, 1_000_000_000.9, 1_000_000_001.0])
    monkeypatch.setattr("time.time", lambda: next(seconds))
    clock = Clock()
    clock.update()
    first = clock.date
    assert first == b"Date: Sun, 09 Sep 2001 01:46:40 GMT\r\n"
    assert clock.fields == first + f"Server: {SERVER}\r\n".encode()
    clock.update()
    assert clock.date is first
    clock.update()
    assert b"01:46:41" in clock.date


def test_a_clock_that_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([1_000_000_001.0, 1_000_000_000.9])
    monkeypatch.setattr("time.time", lambda: next(seconds))
    clock = Clock()
    clock.update()
    clock.update()
    assert b"01:46:40" in clock.date


def test_the_present() -> None:
    clock = Clock()
    clock.update()
    match = re.fullmatch(r"Date: (.*)\r\n", clock.date.decode())
    assert match is not None
    assert parsedate_to_datetime(match[1]).utcoffset() is not None
