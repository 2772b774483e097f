from __future__ import annotations

import pytest

from rocket_cli._settings.threads import parse_threads


@pytest.mark.parametrize(
    ("text", "threads"), [("8", (8, 8)), ("1", (1, 1)), ("4:16", (4, 16)), ("3:3", (3, 3))]
)
def test_numbers(text: str, threads: tuple[int, int]) -> None:
    assert parse_threads(text) == threads
    assert parse_threads(str(parse_threads(text))) == threads


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "many", "1.5", "8:4", "0:4", "4:", ":4", "1:2:3", "٣", "1_0", "+1"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="MIN:MAX") as caught:
        parse_threads(text)
    assert str(caught.value).startswith(f"{text!r}: ")
