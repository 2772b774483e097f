"""Says, where the log warns of busy threads, which command shows what they do."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

_LOGGER: Final = "rocket_core.saturation"


class SaturationHint(logging.Filter):
    """Adds a command to the warnings of one logger. A filter of the handler, which passes all."""

    def __init__(self, admin: Path | None) -> None:
        """Name the command for the admin socket at ``admin``; None: there is none."""
        super().__init__()
        self._hint = (
            "see what they do with --admin PATH, and rocket-cli threads"
            if admin is None
            else f"see rocket-cli threads --admin {admin}"
        )

    def filter(self, record: logging.LogRecord) -> bool:
        """Add the hint to a warning of saturation."""
        if record.name == _LOGGER and record.levelno >= logging.WARNING:
            record.msg = f"{record.getMessage()}; {self._hint}"
            record.args = None
        return True
