"""The command as a subprocess. Tests wait for the lines that it prints."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

import pytest

from rocket_core.testing import PATIENCE

COMMAND = [sys.executable, "-P", "-m", "rocket_cli"]
"""The option -P keeps Python itself from importing modules of the current directory."""


def refuse(directory: Path, *arguments: str, command: str = "serve", **variables: str) -> str:
    """Run `rocket-cli serve`, which must fail with one line; return it without its prefix."""
    done = run(directory, command, *arguments, **variables)
    assert done.returncode == 2, done.stdout + done.stderr
    assert done.stdout == ""
    assert done.stderr.endswith("\n")
    assert done.stderr.count("\n") == 1, done.stderr
    prefix = "rocket-cli: error: "
    assert done.stderr.startswith(prefix)
    return done.stderr.removeprefix(prefix).rstrip()


def run(directory: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=directory,
        env={**os.environ, **variables},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )


class Served:
    """A running `rocket-cli serve`; a context manager that ends with all its processes."""

    def __init__(
        self, directory: Path, *arguments: str, command: Sequence[str] = COMMAND, **variables: str
    ) -> None:
        """Run ``command`` with these arguments in ``directory``."""
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.said: list[str] = []
        self._process = subprocess.Popen(
            [*command, "serve", *arguments],
            cwd=directory,
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,  # a process group of its own, which can be killed as a whole
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Its children, too: the reader waits as long as one of them holds the pipe.
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._reader.join(PATIENCE)
        assert not self._reader.is_alive(), "a process outside of the group holds the pipe"
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Return the match of ``pattern`` in the next matching line on standard error."""
        while True:
            try:
                line = self._lines.get(timeout=PATIENCE)
            except queue.Empty:
                pytest.fail(f"waited in vain for {pattern!r} after {self.said}")
            if line is None:
                pytest.fail(f"ended without {pattern!r} after {self.said}")
            self.said.append(line)
            if match := re.search(pattern, line):
                return match

    def location(self) -> str:
        """Return the next address that the command reports to listen on."""
        return self.wait_for(r"^Listening on (.*)$")[1]

    @property
    def pid(self) -> int:
        return self._process.pid

    def workers(self) -> list[int]:
        """Return the PIDs of the child processes, in the order in which they started."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(number) for number in path.read_text().split()]

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> tuple[int, str]:
        """Wait for the end of the command; return its exit code and its standard output.

        Afterwards `said` has all lines of its standard error.
        """
        code = self._process.wait(PATIENCE)
        assert self._process.stdout is not None
        output = self._process.stdout.read()
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            self.said.append(line)
        return code, output

    def stop(self) -> str:
        """Send SIGTERM, after which the command must exit with 0; return its standard output."""
        self.send(signal.SIGTERM)
        code, output = self.wait()
        assert code == 0, self.said
        return output
