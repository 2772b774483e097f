"""Numbers, sizes and times with their units, as the help, the logs and the terminal show them.

The settings are read, in plain bytes and seconds, by `rocket_cli._settings.kinds`.
"""

from __future__ import annotations

import math
from typing import Final

_DAY: Final = 86_400


def seconds(value: float | None) -> str:
    """Return a short time: ``85 µs``, ``1.24 ms``, ``3.50 s``, ``2m05s``; ``-`` if unknown."""
    if value is None or math.isnan(value):
        return "-"
    if value < 1e-3:
        return f"{value * 1e6:.0f} µs"
    if value < 1:
        return f"{_three_digits(value * 1e3)} ms"
    return f"{_three_digits(value)} s" if value < 100 else age(value)


def age(value: float) -> str:
    """Return a long time, in seconds, in its two largest units: ``47s``, ``3m05s``, ``5d03h``."""
    whole = int(value)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < _DAY:
        return f"{whole // 3600}h{whole % 3600 // 60:02}m"
    return f"{whole // _DAY}d{whole % _DAY // 3600:02}h"


def size(value: float) -> str:
    """Return a number of bytes: ``512 B``, ``1.50 KiB``, ``47.2 MiB``, ``154 MiB``."""
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{_three_digits(value)} {unit}"
        value /= 1024
    return f"{_three_digits(value)} GiB"


def exact_size(value: int) -> str:
    """Return a number of bytes in the largest unit of which it is a multiple.

    Examples: ``64 MiB``, ``1000 bytes``.
    """
    for power, unit in ((3, "GiB"), (2, "MiB"), (1, "KiB")):
        if value and value % 1024**power == 0:
            return f"{value // 1024**power} {unit}"
    return f"{value} bytes"


def number(value: float) -> str:
    """Return a count or a rate: ``7``, ``9.5``, ``12,345``; ``-`` if unknown."""
    if math.isnan(value):
        return "-"
    return f"{value:.1f}" if value < 10 and not float(value).is_integer() else f"{value:,.0f}"


def _three_digits(value: float) -> str:
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.1f}" if value < 99.95 else f"{value:.0f}"
