from __future__ import annotations

import subprocess
import textwrap
from typing import TYPE_CHECKING

import pytest

from systemtests.processes import PATIENCE, PLAIN, environment, rocket_cli

if TYPE_CHECKING:
    from pathlib import Path

CALLS = {
    "gevent.monkey.patch_all()": "import gevent.monkey",
    "eventlet.monkey_patch()": "import eventlet",
}


@pytest.mark.parametrize("option", ["--no-preload", "--preload", "--reload"])
@pytest.mark.parametrize("call", CALLS)
def test_application_that_patches_is_refused(tmp_path: Path, call: str, option: str) -> None:
    """It ends by itself, with one line that tells what to do."""
    text = f"""
        {CALLS[call]}
        {call}
        def app(environ, start_response):
            start_response("204 No Content", [])
            return []
    """
    (tmp_path / "patching.py").write_text(textwrap.dedent(text))
    done = subprocess.run(
        [rocket_cli(), "serve", *PLAIN, option, "patching:app"],
        cwd=tmp_path,
        env=environment(PYTHONWARNINGS="ignore"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        f"rocket-cli: error: patching:app calls {call}, which replaces the threads and sockets"
    )
