"""The command as a process of its own. Tests wait for the lines that it prints."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest

from rocket_core.testing import PATIENCE
from template_process import COMMAND, Call

__all__ = ["COMMAND", "Served", "refuse", "run"]

Process = Call | subprocess.Popen[str]


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


def run(
    directory: Path, *arguments: str, command: Sequence[str] = (), **variables: str
) -> subprocess.CompletedProcess[str]:
    """Run the command to its end; see `start`."""
    process = start(command, arguments, directory, variables)
    assert process.stdout is not None
    assert process.stderr is not None
    with process.stdout, process.stderr, ThreadPoolExecutor(2) as readers, ended(process):
        output, errors = readers.submit(process.stdout.read), readers.submit(process.stderr.read)
        code = process.wait(PATIENCE)
        return subprocess.CompletedProcess(
            arguments, code, output.result(PATIENCE), errors.result(PATIENCE)
        )


def start(
    command: Sequence[str], arguments: Sequence[str], directory: Path, variables: Mapping[str, str]
) -> Process:
    """Start the command in ``directory``, as the leader of a new process group.

    Without ``command`` it is forked from a process that has imported it. A test of what Python does
    at its start, or one that replaces parts of the command, gives what is executed instead.
    """
    environ = {**os.environ, **variables}
    if not command:
        assert not any(name.startswith("PYTHON") for name in variables), "Python does not start"
        return Call(arguments, directory, environ)
    return subprocess.Popen(
        [*command, *arguments],
        cwd=directory,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        start_new_session=True,
    )


@contextmanager
def ended(process: Process) -> Iterator[None]:
    """Kill the process at the end of the block, with all others of its group."""
    try:
        yield
    finally:
        # Its children, too: a reader waits as long as one of them holds the pipe.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)


class Served:
    """A running `rocket-cli serve`; a context manager that ends with all its processes."""

    def __init__(
        self, directory: Path, *arguments: str, command: Sequence[str] = (), **variables: str
    ) -> None:
        """Serve in ``directory``; see `start`."""
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self.said: list[str] = []
        self._process = start(command, ["serve", *arguments], directory, variables)
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
        with ended(self._process):
            pass
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

    def wait_for_exit(self) -> int:
        """Wait for the end of the first process only; return its exit code."""
        return self._process.wait(PATIENCE)

    def wait(self) -> tuple[int, str]:
        """Wait for the end of the command; return its exit code and its standard output.

        Afterwards `said` has all lines of its standard error.
        """
        code = self.wait_for_exit()
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
