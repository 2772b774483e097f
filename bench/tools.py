"""Commands of others that the benchmark runs."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from typing import Final

from bench.errors import BenchError, UnavailableError
from bench.paths import ROOT

PACKAGES: Final[Mapping[str, str]] = {
    "nginx": "nginx-light",
    "perf": "linux-perf",
    "redis-benchmark": "redis-tools",
    "redis-server": "redis-server",
    "strace": "strace",
    "valgrind": "valgrind",
    "wrk": "wrk",
}
"""Debian's package for each command."""


def find(name: str) -> str:
    """Path of the command ``name``. Raises `UnavailableError`, which names its package."""
    path = shutil.which(name)
    if path is None:
        raise UnavailableError(f"{name} is not installed: apt-get install {PACKAGES[name]}")
    return path


def run(
    command: list[str], *, timeout: float, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command for up to ``timeout`` seconds. Raises `BenchError` when it fails."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            env=environment,
            cwd=ROOT,
        )
    except subprocess.TimeoutExpired:
        raise BenchError(f"no end after {timeout:g} s: {' '.join(command[:3])} ...") from None
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise BenchError(f"{command[0]} failed with status {done.returncode}: {''.join(last)}")
    return done
