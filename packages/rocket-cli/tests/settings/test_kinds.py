from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_cli._errors import CommandError
from rocket_cli._settings.kinds import (
    BYTES,
    DIRECTORY_AT_PATH,
    FILE,
    FLAG,
    RATE,
    REQUESTS_PER_SECOND,
    SECONDS,
    SECONDS_OR_NONE,
    Choice,
    Kind,
    Nothing,
    Whole,
    Words,
)
from rocket_core import Networks

COUNT = Whole(1, 10, unit="threads")
NETWORKS = Words(Networks)
NETWORKS_OR_NONE = Words(Networks, none=True)
LEVEL = Choice(["low", "high", "higher"])


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        (COUNT, "1", 1),
        (COUNT, 10, 10),
        (BYTES, "0", 0),
        (BYTES, "64M", 64 << 20),
        (BYTES, "1.5 KiB", 1536),
        (BYTES, "2GB", 2 << 30),
        (BYTES, "1T", 1 << 40),
        (SECONDS, "0.5", 0.5),
        (SECONDS, "500ms", 0.5),
        (SECONDS, "30s", 30.0),
        (SECONDS, "1.5m", 90.0),
        (SECONDS, "2 h", 7200.0),
        (SECONDS, "1d", 86_400.0),
        (SECONDS_OR_NONE, "2h", 7200.0),
        (RATE, "10K", 10_240.0),
        (SECONDS, 3, 3.0),
        (SECONDS_OR_NONE, "0.5", 0.5),
        (SECONDS_OR_NONE, 3, 3.0),
        (SECONDS_OR_NONE, "none", Nothing.NONE),
        (FLAG, "yes", True),
        (FLAG, "OFF", False),
        (FLAG, True, True),
        (LEVEL, "high", "high"),
        (FILE, "a/b", Path("a/b")),
        (NETWORKS, "10.0.0.0/8, unix", ["10.0.0.0/8", "unix"]),
        (NETWORKS, ["unix"], ["unix"]),
        (NETWORKS_OR_NONE, "none", []),
        (NETWORKS_OR_NONE, [], []),
    ],
)
def test_value(kind: Kind, raw: Any, value: Any) -> None:
    assert kind.convert(raw, None, None) == value
    assert kind.convert(kind.plain(value), None, None) == value


@pytest.mark.parametrize(
    ("kind", "raw", "named"),
    [
        (COUNT, "0", ["'0'", "threads", "from 1 to 10"]),
        (COUNT, "11", ["'11'"]),
        (COUNT, "٣", ["whole number"]),
        (COUNT, "1.0", ["whole number"]),
        (COUNT, "", ["whole number"]),
        (BYTES, "64X", ["bytes", "10M"]),
        (BYTES, "1.3", ["whole number of bytes"]),
        (BYTES, "M", ["bytes"]),
        (BYTES, "9" * 30, ["bytes"]),
        (BYTES, "9" * 400 + ".5", ["bytes"]),
        (BYTES, "1iB", ["'1iB'"]),
        (BYTES, "8388608T", ["bytes"]),
        (SECONDS, "2 hours", ["'2 hours'", "2h"]),
        (SECONDS, "12d", ["at most"]),
        (SECONDS, "2M", ["5m"]),
        (BYTES, -1, ["'-1'"]),
        (SECONDS, "0", ["seconds", "greater than 0"]),
        (SECONDS, "-3", ["seconds"]),
        (SECONDS, "1e9", ["at most"]),
        (SECONDS, "9" * 400, ["at most"]),
        (SECONDS, float("nan"), ["nan"]),
        (SECONDS, float("inf"), ["inf"]),
        (RATE, "fast", ["bytes per second", "or one with a unit, such as 10K or 1M"]),
        (REQUESTS_PER_SECOND, "many", ["greater than 0 and at most 1000000000, such as 10 or 0.5"]),
        (SECONDS_OR_NONE, "0", ["'0'", "greater than 0", "or none"]),
        (SECONDS_OR_NONE, "never", ["'never'", "or none"]),
        (FLAG, "maybe", ["'maybe'", "true or false"]),
        (LEVEL, "middle", ["'middle'", "low, high or higher"]),
        (FILE, "", ["path"]),
        (NETWORKS, "none", ["'none'"]),
        (NETWORKS, "10.0.0.1,", ["''"]),
        (NETWORKS, [], ["at least one"]),
    ],
)
def test_what_is_wrong(kind: Kind, raw: Any, named: list[str]) -> None:
    with pytest.raises(CommandError) as caught:
        kind.convert(raw, None, None)
    for name in named:
        assert name in str(caught.value)


NUMBERS = st.from_regex(r"[0-9]{1,7}(\.[0-9]{1,4})?", fullmatch=True)
SPACES = st.sampled_from(["", " "])
SIZES = {"": 1, "B": 1, "k": 1024, "K": 1024, "KiB": 1024, "MB": 1024**2}
TIMES = {"": 1, "s": 1, "ms": 0.001, "m": 60, "h": 3600, "d": 86_400}


@given(NUMBERS, SPACES, st.sampled_from(list(SIZES)))
def test_sizes(number: str, space: str, unit: str) -> None:
    size = Fraction(number) * SIZES[unit]
    if size.denominator == 1:
        assert BYTES.convert(number + space + unit, None, None) == size
    else:
        with pytest.raises(CommandError, match="use a whole number of bytes"):
            BYTES.convert(number + space + unit, None, None)


@given(NUMBERS, SPACES, st.sampled_from(list(TIMES)))
def test_times(number: str, space: str, unit: str) -> None:
    seconds = float(number) * TIMES[unit]
    if 0 < seconds <= 1_000_000:
        assert SECONDS.convert(number + space + unit, None, None) == pytest.approx(seconds)
    else:
        with pytest.raises(CommandError, match="greater than 0 and at most 1000000"):
            SECONDS.convert(number + space + unit, None, None)


@given(st.text(), st.sampled_from([BYTES, SECONDS]))
def test_numbers_are_digits_with_a_unit(text: str, kind: Kind) -> None:
    try:
        value = kind.convert(text, None, None)
    except CommandError:
        return
    assert re.fullmatch(r"[0-9]+(\.[0-9]+)? ?([kKMGT]?B|[kKMGT]iB|[kKMGT]|ms|[smhd])?", text)
    assert value >= 0


def completions(kind: Kind, incomplete: str) -> list[tuple[str, str]]:
    parameter = click.Option(["--x"])
    context = click.Context(click.Command("x"))
    items = kind.shell_complete(context, parameter, incomplete)
    return [(item.type, item.value) for item in items]


def test_completion() -> None:
    assert completions(LEVEL, "hi") == [("plain", "high"), ("plain", "higher")]
    assert completions(FILE, "ce") == [("file", "ce")]
    assert completions(DIRECTORY_AT_PATH, "pu") == [("dir", "pu")]
    assert completions(DIRECTORY_AT_PATH, "/static=pu") == []
