"""The site, served by Rocket."""

from __future__ import annotations

import re
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SITE = Path(__file__).parents[2] / "site"
_ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")


@contextmanager
def served() -> Iterator[int]:
    """Serve the files of the site, and yield the port. Raises `RuntimeError`."""
    command = shutil.which("rocket-cli", path=sysconfig.get_path("scripts"))
    if command is None:
        raise RuntimeError("rocket-cli is not installed beside this Python")
    arguments = ["serve", "--static", str(SITE), "--compress", "--bind", "127.0.0.1:0"]
    with subprocess.Popen([command, *arguments], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            yield _port(process.stderr)
        finally:
            process.terminate()
            process.stderr.read()
    if process.returncode != 0:
        raise RuntimeError(f"rocket-cli has ended with exit code {process.returncode}")


def _port(messages: Iterator[str]) -> int:
    lines = []
    for line in messages:
        lines.append(line)
        if found := _ADDRESS.search(line):
            return int(found[1])
    raise RuntimeError("".join(lines))


def chromium() -> str | None:
    """The path of Chromium, or None."""
    names = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
    return next(filter(None, map(shutil.which, names)), None)
