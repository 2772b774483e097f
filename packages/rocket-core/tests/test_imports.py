from __future__ import annotations

import subprocess
import sys


def test_plain_sockets_do_without_ssl() -> None:
    program = "import sys, rocket_core; print({'ssl', '_ssl'} & set(sys.modules))"
    command = [sys.executable, "-c", program]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "set()\n"
