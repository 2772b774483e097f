"""Where things are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
EXAMPLE: Final = ROOT / "examples/flask"
KEY_VALUE: Final = ROOT / "examples/keyvalue/server.py"
PAGE: Final = ROOT / "docs/benchmarks"
