"""An application that fails, and takes long, when it is asked to; and is broken by a file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

if Path("broken").exists():
    raise RuntimeError("this deployment is broken")

HELD = 7.0


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    if environ["PATH_INFO"] == "/crash":
        raise RuntimeError("this view is broken")
    if environ["PATH_INFO"] == "/hold":
        time.sleep(HELD)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"ok"]
