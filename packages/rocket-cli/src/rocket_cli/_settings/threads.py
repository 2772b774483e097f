"""The number of threads of a process: fixed, or a range."""

from __future__ import annotations

from typing import NamedTuple


class Threads(NamedTuple):
    """The smallest and the largest number of threads."""

    least: int
    most: int

    def __str__(self) -> str:
        return f"{self.least}" if self.least == self.most else f"{self.least}:{self.most}"


def parse_threads(text: str) -> Threads:
    """Read ``N`` or ``MIN:MAX``. Raises `ValueError`, whose message says what would be right."""
    least, colon, most = text.partition(":")
    numbers = (least, most if colon else least)
    if all(each.isascii() and each.isdigit() for each in numbers):
        threads = Threads(*map(int, numbers))
        if 1 <= threads.least <= threads.most:
            return threads
    raise ValueError(f"{text!r}: use a number from 1, such as 8, or a range MIN:MAX, such as 4:16")


def plain_threads(threads: Threads) -> int | str:
    """Return the number, or the text of the range, as a settings file has it."""
    return threads.most if threads.least == threads.most else str(threads)
