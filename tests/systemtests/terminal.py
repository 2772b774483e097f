"""A shell in a pseudo-terminal, in which commands run as a reader of a page runs them."""

from __future__ import annotations

import codecs
import errno
import fcntl
import os
import re
import signal
import struct
import subprocess
import termios
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from systemtests.processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_SIGNALS = ["env", "--default-signal=INT,QUIT"]
"""Not ignored, as they are where the tests run in the background of a shell."""
_SHELL = ["setsid", "--ctty", "bash", "--noprofile", "--norc", "--noediting", "-i", "+H"]
_PROMPTS = {"PS1": "", "PS2": "", "PROMPT_COMMAND": r"printf '\036%s\036' $?"}
"""Instead of a prompt, the shell prints the exit code of the command that has ended."""

_END = re.compile("\x1e(\\d+)\x1e")
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07|\x1b[=>()][0B]?")
_HOME = "\x1b[H"
"""What a program that draws the whole screen begins each picture with."""

_GLANCE = 0.02
"""Seconds between two looks at what the processes have open."""

_SIZE = (30, 100)
"""Lines and columns."""


class TerminalError(Exception):
    """A command did not do in time what it was to do."""


def readable(output: str) -> str:
    """Return output as it is seen: without colours, and of each line what was written last."""
    lines = _ESCAPES.sub("", output.replace("\r\n", "\n")).split("\n")
    return "\n".join(line.rstrip("\r").rpartition("\r")[2].rstrip() for line in lines).rstrip("\n")


class Terminal:
    """A terminal with a shell in it. What the current command has printed is kept."""

    def __init__(
        self, directory: Path, variables: Mapping[str, str], prefix: Sequence[str]
    ) -> None:
        """Start the shell in a directory; ``prefix`` precedes its command."""
        self._master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", *_SIZE, 0, 0))
        attributes = termios.tcgetattr(slave)
        attributes[3] &= ~termios.ECHO
        attributes[3] |= termios.NOFLSH  # a key that interrupts does not discard output
        termios.tcsetattr(slave, termios.TCSANOW, attributes)
        self._shell = subprocess.Popen(
            [*prefix, *_SIGNALS, *_SHELL],
            cwd=directory,
            env={**variables, **_PROMPTS},
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        os.close(slave)
        self._changed = threading.Condition()
        self._output = ""
        self._gone = False
        self._listened: set[str] = set()
        self.patience = PATIENCE
        self.command = ""
        self.status: int | None = None
        """The exit code of the latest command, None while it runs."""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.wait_for_end()  # until the shell reads commands
        self._own_command_line = self._command_line(self._shell.pid)

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
        while True:
            try:
                part = os.read(self._master, 65536)
            except OSError as error:
                if error.errno != errno.EIO:  # that is how the other end is told to be closed
                    raise
                part = b""
            with self._changed:
                self._gone = not part
                self._output += decoder.decode(part)
                if found := _END.search(self._output):
                    self.status = int(found[1])
                    self._output = self._output[: found.start()] + self._output[found.end() :]
                self._changed.notify_all()
            if not part:
                return

    @property
    def output(self) -> str:
        """What the latest command has printed so far."""
        with self._changed:
            return readable(self._output)

    @property
    def screens(self) -> list[str]:
        """What the latest command has printed, divided where it drew the screen again."""
        with self._changed:
            return [readable(each) for each in self._output.split(_HOME)]

    @property
    def directory(self) -> Path:
        """The current directory of the shell."""
        return Path(f"/proc/{self._shell.pid}/cwd").readlink()

    @property
    def running(self) -> bool:
        return self.status is None

    def start(self, command: str) -> None:
        """Give the shell a command, without waiting for it."""
        self._listened = self._listening()
        with self._changed:
            self.command, self.status, self._output = command, None, ""
        self.press(command + "\n")

    def press(self, keys: str) -> None:
        """Write what keys write: control characters are for the terminal itself."""
        os.write(self._master, keys.encode())

    def wait(self, holds: Callable[[], bool], purpose: str) -> None:
        """Wait until ``holds()``; it is asked again when something is printed, and now and then."""
        deadline = time.monotonic() + self.patience
        while not holds():
            if self._gone or time.monotonic() > deadline:
                raise TerminalError(f"waited in vain {purpose}: {self.command}\n{self.output}")
            with self._changed:
                self._changed.wait(_GLANCE)

    def wait_for_end(self) -> None:
        """Wait until the latest command has ended."""
        self.wait(lambda: not self.running, "for the end")

    def in_foreground(self) -> bool:
        """Return whether a program of the latest command has the terminal, and gets its keys."""
        group = os.tcgetpgrp(self._master)
        # Until it has become the program, a child of the shell ignores keys as the shell does.
        return self.running and self._command_line(group) not in {b"", self._own_command_line}

    @staticmethod
    def _command_line(process: int) -> bytes:
        try:
            return Path(f"/proc/{process}/cmdline").read_bytes()
        except OSError:  # it has ended
            return b""

    def listens(self) -> bool:
        """Return whether a process of this terminal listens that did not before the command."""
        return bool(self._listening() - self._listened)

    def _processes(self) -> list[Path]:
        """All processes of this terminal: those of its session."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                fields = (process / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == self._shell.pid:
                    found.append(process)
        return found

    def _descendants(self) -> list[Path]:
        """The processes that the shell has started, and theirs, which are found sooner."""
        shell = Path(f"/proc/{self._shell.pid}")
        if not (shell / "task" / shell.name / "children").exists():  # CONFIG_PROC_CHILDREN
            return self._processes()
        found = [shell]
        for process in found:
            with suppress(OSError):
                for task in (process / "task").iterdir():
                    found += [
                        Path("/proc", each) for each in (task / "children").read_text().split()
                    ]
        return found[1:]

    def _listening(self) -> set[str]:
        """The inodes of sockets that processes of this terminal listen on."""
        opened: set[str] = set()
        for process in self._descendants():
            with suppress(OSError):
                opened.update(str(each.readlink()) for each in (process / "fd").iterdir())
        found: set[str] = set()
        if not opened:
            return found
        tables = Path(f"/proc/{self._shell.pid}/net")
        with suppress(OSError):
            for name, state, inode in (("tcp", 3, 9), ("tcp6", 3, 9), ("unix", 3, 6)):
                for line in (tables / name).read_text().splitlines()[1:]:
                    fields = line.split()
                    if fields[state] in {"0A", "00010000"}:
                        found.add(f"socket:[{fields[inode]}]")
        return opened & found

    def close(self) -> None:
        """End all processes of this terminal."""
        for process in self._processes():
            with suppress(ProcessLookupError):
                os.kill(int(process.name), signal.SIGKILL)
        self._shell.wait()
        self._reader.join(PATIENCE)
        os.close(self._master)
