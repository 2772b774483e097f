"""A Redis that tests start, kill and start again."""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest
import redis

from rocket_core.testing import PATIENCE, eventually


class RedisServer:
    """A Redis on a Unix socket in a directory, in which it keeps its data if it is told to."""

    def __init__(self, directory: Path, *, keeps: bool = True) -> None:
        """Find the command: without it the test is skipped, or fails in CI."""
        command = shutil.which("redis-server")
        if command is None:
            message = "redis-server is not installed"
            if os.environ.get("CI"):
                pytest.fail(message)
            pytest.skip(message)
        self._socket = directory / "redis.sock"
        self._command = [
            *(command, "--port", "0", "--unixsocket", str(self._socket), "--save", ""),
            *("--dir", str(directory), "--appendonly", "yes" if keeps else "no"),
            *("--appendfsync", "always"),
        ]
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        with redis.Redis.from_url(self.url) as client:

            def answers() -> bool:
                with suppress(redis.ConnectionError):
                    return bool(client.ping())
                return False

            eventually(answers)

    def kill(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(PATIENCE)
            self._process = None

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def client(self) -> redis.Redis:
        client: redis.Redis = redis.Redis.from_url(self.url)
        return client
