"""The directory for data that Rocket keeps for its user."""

from __future__ import annotations

import os
from pathlib import Path


def data_directory() -> Path:
    """Return ``rocket`` in this user's data directory (XDG Base Directory Specification)."""
    home = Path(os.environ.get("XDG_DATA_HOME", ""))
    if not home.is_absolute():  # the specification says to ignore a relative path
        home = Path.home() / ".local/share"
    return home / "rocket"
