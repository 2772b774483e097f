from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_wsgi._compression.codings import Codings
from rocket_wsgi._repeat_cache import MEMORY

CODINGS = Codings(("br", "gzip"))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", ()),
        ("gzip, deflate, br, zstd", ("br", "gzip")),
        ("gzip", ("gzip",)),
        ("X-GZip", ("gzip",)),
        ("gzip;q=0.5", ("gzip",)),
        ("gzip ; Q=0.5 ,br;q=0.25", ("gzip", "br")),
        ("br;q=0, gzip", ("gzip",)),
        ("br;q=0.000", ()),
        ("*", ("br", "gzip")),
        ("*;q=0", ()),
        ("br;q=0, *;q=0.1", ("gzip",)),
        ("identity", ()),
        ("identity;q=0.5, gzip;q=0.4, br;q=0.6", ("br",)),
        ("identity, br;q=0.9", ()),
        ("identity;q=0, gzip;q=0.1", ("gzip",)),
        ("gzip;q=1.5", ()),
        ("gzip;q=nan, br;level=1", ()),
        ("g zip, (br)", ()),
    ],
)
def test_preferred(value: str, expected: tuple[str, ...]) -> None:
    assert CODINGS[value] == expected


@given(st.text())
def test_any_text(text: str) -> None:
    assert set(CODINGS[text]) <= {"br", "gzip"}


def test_values_that_do_not_come_again_do_not_displace_others() -> None:
    for number in range(3 * MEMORY):
        for _ in range(2):
            CODINGS[f"x{number}"]
    assert len(CODINGS) <= MEMORY
    for _ in range(2):
        CODINGS["gzip, the usual one"]
    assert "gzip, the usual one" in CODINGS


def test_long_values_are_not_remembered() -> None:
    value = "gzip" + " " * 300
    for _ in range(3):
        assert CODINGS[value] == ("gzip",)
    assert value not in CODINGS
