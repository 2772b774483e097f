"""Programs under test: started as subprocesses, awaited by what they print, stopped by a signal."""

from __future__ import annotations

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
APPLICATIONS = ROOT / "tests" / "applications"
PLAIN = ["--bind", "127.0.0.1:0"]
PATIENCE = 60.0
"""Seconds after which a test that waits for an event fails."""


def rocket_cli() -> str:
    """Return the path of the `rocket-cli` installed beside the running interpreter."""
    command = shutil.which("rocket-cli", path=sysconfig.get_path("scripts"))
    if command is None:
        pytest.fail(f"rocket-cli is not installed in {sysconfig.get_path('scripts')}")
    return command


def find_tool(name: str) -> str:
    """Return the path of a program of the system; without it skip the test, or fail it in CI."""
    command = shutil.which(name)
    if command is None:
        reason = f"{name} is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return command


def environment(**variables: str) -> dict[str, str]:
    """Return this process's environment with `variables` set and output unbuffered."""
    return {**os.environ, "PYTHONUNBUFFERED": "1", **variables}


class Process:
    """A running program whose output, standard error included, is kept line by line."""

    def __init__(
        self, command: Sequence[str], cwd: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        self._lines: list[str] = []
        self._news: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._child = subprocess.Popen(
            command,
            cwd=cwd,
            env=environment(**(variables or {})),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def log(self) -> str:
        """Everything printed so far."""
        return "".join(self._lines)

    def _read(self) -> None:
        assert self._child.stdout is not None
        with self._child.stdout as output:
            for line in output:
                self._lines.append(line)
                self._news.put(line)
        self._news.put(None)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the match of `pattern` in the next line that has one."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                line = self._news.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                pytest.fail(f"waited in vain for {pattern!r}; printed so far:\n{self.log}")
            if line is None:
                pytest.fail(f"ended before it printed {pattern!r}; printed:\n{self.log}")
            if match := re.search(pattern, line):
                return match

    def send(self, number: signal.Signals) -> None:
        self._child.send_signal(number)

    def wait(self) -> int:
        """Return the exit code once the program has ended and its output is complete."""
        try:
            code = self._child.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            pytest.fail(f"did not end; printed:\n{self.log}")
        self._reader.join(PATIENCE)
        return code

    def kill(self) -> None:
        """End the program whatever it does; nothing happens when it has ended."""
        self._child.kill()
        self._child.wait()
        self._reader.join(PATIENCE)


class Server(Process):
    """A server that prints `Listening on ADDRESS`; as a context manager it must stop cleanly."""

    def __init__(
        self, command: Sequence[str], cwd: Path, variables: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(command, cwd, variables)
        try:
            self.address = self.wait_for(r"Listening on (\S+)")[1]
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if error is None:
                self.stop()
        finally:
            self.kill()

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ask the server to stop, if it runs; fail unless it has exited with 0."""
        self.send(number)
        code = self.wait()
        assert code == 0, f"exit code {code}; printed:\n{self.log}"


def assert_quiet(log: str) -> None:
    """Fail when a log tells of an error in the server or of a broken rule of WSGI."""
    for trouble in ["Traceback", "AssertionError", "Exception ignored", '" 500 ']:
        assert trouble not in log, f"{trouble!r} is in the log:\n{log}"


def serve(*arguments: str, cwd: Path, variables: Mapping[str, str] | None = None) -> Server:
    """Start `rocket-cli serve` in the directory `cwd` and return when it listens."""
    return Server([rocket_cli(), "serve", *arguments], cwd, variables)


def run_python(script: Path, *arguments: str) -> Server:
    """Start a script that is a server of its own and return when it listens."""
    return Server([sys.executable, str(script), *arguments], script.parent)
