from __future__ import annotations

import pytest

from rocket_cli._errors import CommandError
from rocket_cli._threads import parse_threads


@pytest.mark.parametrize(
    ("text", "threads"), [("8", (8, 8)), ("1", (1, 1)), ("4:16", (4, 16)), ("3:3", (3, 3))]
)
def test_numbers(text: str, threads: tuple[int, int]) -> None:
    assert parse_threads(text) == threads


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "1.5", "8:4", "0:4", "4:", ":4", "1:2:3"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse_threads(text)
    assert f"--threads {text!r}" in str(caught.value)
    assert "MIN:MAX" in str(caught.value)
