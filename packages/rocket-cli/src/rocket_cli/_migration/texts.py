"""The text of a configuration file."""

from __future__ import annotations

from pathlib import Path

from rocket_cli._errors import CommandError


def read_text(path: Path) -> str:
    """Return the text of a file that is not empty. Raises `CommandError`."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise CommandError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise CommandError(f"cannot read {path}: it is not encoded in UTF-8") from error
    if not text.strip():
        raise CommandError(f"{path} is empty: there is nothing to carry over")
    return text
