"""The option ``--threads``."""

from __future__ import annotations

from rocket_cli._errors import CommandError


def parse_threads(text: str) -> tuple[int, int]:
    """The least and the greatest number of threads, read from ``N`` or ``MIN:MAX``.

    Raises `CommandError`.
    """
    least, colon, most = text.partition(":")
    try:
        numbers = (int(least), int(most if colon else least))
    except ValueError:
        numbers = (0, 0)
    if not 1 <= numbers[0] <= numbers[1]:
        raise CommandError(
            f"--threads {text!r}: use a number from 1 up, such as 8, "
            "or two as MIN:MAX, such as 4:16"
        )
    return numbers
