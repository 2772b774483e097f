"""A Redis of the test's own, on a Unix socket in a directory, with all that it was told there."""

from __future__ import annotations

import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Self

import redis

from rocket_core.testing import eventually
from systemtests.processes import PATIENCE, find_tool

if TYPE_CHECKING:
    from pathlib import Path


class RedisServer:
    """A server that can be killed and started again; a context manager that does both once."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._command = [
            *(find_tool("redis-server"), "--port", "0", "--save", "", "--dir", str(directory)),
            *("--unixsocket", str(directory / "redis.sock")),
            *("--appendonly", "yes", "--appendfsync", "always"),
        ]
        self.url = f"unix://{directory / 'redis.sock'}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and return when it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url) as client:

            def answers() -> bool:
                with suppress(redis.ConnectionError):
                    return bool(client.ping())
                return False

            eventually(answers, "for Redis")

    def kill(self) -> None:
        """Kill it, if it runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def lose(self) -> None:
        """Kill it, and remove what it has kept."""
        self.kill()
        for path in self._directory.glob("appendonlydir/*"):
            path.unlink()
