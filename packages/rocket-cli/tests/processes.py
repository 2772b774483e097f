"""The command as a subprocess, awaited by what it prints."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pytest

from rocket_core.testing import PATIENCE

COMMAND = [sys.executable, "-P", "-m", "rocket_cli"]
"""Python itself does not let modules be imported from the current directory (-P)."""


def refuse(directory: Path, *arguments: str, command: str = "serve", **variables: str) -> str:
    """Run `rocket-cli serve`, which must give up with one line; return what follows its prefix."""
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
    """A running `rocket-cli serve`; a context manager that ends with the process."""

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
        )
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._lines.put(line.rstrip("\n"))
        self._lines.put(None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The match of ``pattern`` in the next line on standard error that has one."""
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
        """The next address it says that it listens on."""
        return self.wait_for(r"^Listening on (.*)$")[1]

    @property
    def pid(self) -> int:
        return self._process.pid

    def workers(self) -> list[int]:
        """The numbers of the processes that it has forked, in the order in which they began."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        return [int(number) for number in path.read_text().split()]

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def wait(self) -> tuple[int, str]:
        """Its exit code and what it wrote to standard output, once it has ended.

        The rest of what it said on standard error is in `said` from then on.
        """
        code = self._process.wait(PATIENCE)
        assert self._process.stdout is not None
        output = self._process.stdout.read()
        while (line := self._lines.get(timeout=PATIENCE)) is not None:
            self.said.append(line)
        return code, output

    def stop(self) -> str:
        """End it by SIGTERM, which must succeed; return its standard output."""
        self.send(signal.SIGTERM)
        code, output = self.wait()
        assert code == 0, self.said
        return output
