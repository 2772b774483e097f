"""The command top on a terminal, controlled by keys."""

from __future__ import annotations

import codecs
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fcntl import ioctl
from pathlib import Path

import pytest

from answering import Sleeper, administered, asking, serving
from processes import COMMAND, refuse
from rocket_cli._terminal.top import Interrupt
from rocket_core.testing import PATIENCE


class Terminal:
    """A terminal on which top runs."""

    def __init__(self, path: Path) -> None:
        self._descriptor, own = pty.openpty()
        self.resize(24, 80)
        self.process = subprocess.Popen(
            [*COMMAND, "top", "--admin", str(path)],
            stdin=own,
            stdout=own,
            stderr=own,
            env={**os.environ, "TERM": "xterm-256color", "COLUMNS": "80"},
            start_new_session=True,
        )
        os.close(own)
        self._seen = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def resize(self, lines: int, columns: int) -> None:
        ioctl(self._descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))

    def press(self, key: bytes) -> None:
        os.write(self._descriptor, key)

    def wait_for(self, pattern: str) -> str:
        """Read until ``pattern`` appears; the text after it is read next."""
        until = time.monotonic() + PATIENCE
        while not (match := re.search(pattern, self._seen)):
            assert time.monotonic() < until, f"waited in vain for {pattern}: {self._seen[-3000:]}"
            if select.select([self._descriptor], [], [], 1)[0]:
                self._read()
        before, self._seen = self._seen[: match.end()], self._seen[match.end() :]
        return before

    def _read(self) -> None:
        try:
            data = self._decoder.decode(os.read(self._descriptor, 65536))
        except OSError as error:  # the command has ended
            pytest.fail(f"top ended: {error}: {self._seen[-3000:]}")
        self._seen += re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", data)

    def end(self) -> int:
        """Read until the command ends, and return its exit code."""
        until = time.monotonic() + PATIENCE
        try:
            while time.monotonic() < until:
                if select.select([self._descriptor], [], [], 1)[0]:
                    os.read(self._descriptor, 65536)
        except OSError:  # the command has ended
            pass
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self._descriptor)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "admin"


@contextmanager
def running(path: Path) -> Iterator[Terminal]:
    terminal = Terminal(path)
    try:
        yield terminal
    finally:
        terminal.close()


def test_keys_and_sizes(path: Path) -> None:
    with (
        serving(Sleeper()) as server,
        administered(path, asking(server)),
        running(path) as terminal,
    ):
        terminal.wait_for(r"1 process, up")
        terminal.wait_for(r"q quit")
        terminal.resize(40, 150)
        terminal.wait_for(r"╭─ Slowest running requests ─{110,}╮")
        terminal.press(b"p")
        terminal.wait_for(r"paused")
        terminal.press(b"p")
        terminal.wait_for(r"0 waiting")
        terminal.press(b"q")
        assert terminal.end() == 0


def test_server_that_goes_and_comes_back(path: Path) -> None:
    with ExitStack() as stack, serving(Sleeper()) as server:
        with administered(path, asking(server)):
            terminal = stack.enter_context(running(path))
            terminal.resize(24, 250)
            terminal.wait_for(r"1 process, up")
        terminal.wait_for(r"trying again: .*there is no such socket")
        with administered(path, asking(server)):
            terminal.wait_for(r"1 process, up")
            terminal.process.send_signal(signal.SIGINT)
            assert terminal.end() == 0


def test_interrupt_that_a_finalizer_swallows_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)

    swallowed: list[type[BaseException]] = []
    monkeypatch.setattr("sys.unraisablehook", lambda each: swallowed.append(each.exc_type))
    before = signal.getsignal(signal.SIGINT)
    interrupt = Interrupt()
    with interrupt.handled():
        Interrupted()
    assert swallowed == [KeyboardInterrupt]
    assert interrupt.noticed
    assert signal.getsignal(signal.SIGINT) is before


def test_no_terminal(path: Path, tmp_path: Path) -> None:
    assert refuse(tmp_path, "--admin", str(path), command="top") == (
        "top needs a terminal; use rocket-cli stats for a file or a pipe"
    )
