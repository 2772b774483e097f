from __future__ import annotations

import math

import pytest

from rocket_cli._units import age, exact_size, number, seconds, size


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (math.nan, "-"),
        (0.0, "0 µs"),
        (8.5e-5, "85 µs"),
        (0.00124, "1.24 ms"),
        (0.0124, "12.4 ms"),
        (0.1, "100 ms"),
        (3.5, "3.50 s"),
        (99.0, "99.0 s"),
        (125, "2m05s"),
    ],
)
def test_seconds(value: float | None, shown: str) -> None:
    assert seconds(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.9, "0s"),
        (59, "59s"),
        (60, "1m00s"),
        (7260, "2h01m"),
        (5 * 86400 + 3 * 3600, "5d03h"),
    ],
)
def test_age(value: float, shown: str) -> None:
    assert age(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.50 KiB"), (47.2 * (1 << 20), "47.2 MiB"),
     (3 << 30, "3.00 GiB")],
)  # fmt: skip
def test_size(value: float, shown: str) -> None:
    assert size(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"), [(7, "7"), (9.51, "9.5"), (12345.6, "12,346"), (math.nan, "-")]
)
def test_number(value: float, shown: str) -> None:
    assert number(value) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0, "0 bytes"),
        (1000, "1000 bytes"),
        (1536, "1536 bytes"),
        (1024, "1 KiB"),
        (64 << 20, "64 MiB"),
        (4 << 30, "4 GiB"),
        (1 << 42, "4096 GiB"),
    ],
)
def test_exact_size(value: int, shown: str) -> None:
    """Nothing is rounded: a value is shown in the largest unit of which it is a multiple."""
    assert exact_size(value) == shown
