"""A program in a terminal of its own, whose screen is kept after each change."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyte

_QUIET: Final = 0.1
"""Seconds without output after which the program has drawn the whole screen."""

_FAINT: Final = 2
_BLINK: Final = 5


@dataclass(frozen=True)
class Cell:
    """One character with its looks."""

    text: str
    colour: str
    bold: bool = False
    faint: bool = False
    reverse: bool = False


Picture = tuple[tuple[Cell, ...], ...]
"""The cells of a screen, by lines."""


class FaintScreen(pyte.Screen):
    """A screen that keeps faint text, which pyte ignores, as what blinks, which is not used."""

    def select_graphic_rendition(self, *attributes: int, **kwargs: Any) -> None:
        """Take the attributes of the text to come."""
        renamed = [_BLINK if each == _FAINT else each for each in attributes]
        super().select_graphic_rendition(*renamed, **kwargs)

    def cells(self) -> Picture:
        """What is on the screen now."""
        return tuple(
            tuple(self._cell(self.buffer[line][column]) for column in range(self.columns))
            for line in range(self.lines)
        )

    @staticmethod
    def _cell(character: Any) -> Cell:
        return Cell(
            character.data, character.fg, character.bold, character.blink, character.reverse
        )


class Terminal:
    """Runs a command in a new terminal of some size, and remembers its screens."""

    def __init__(
        self, command: list[str], columns: int, lines: int, environment: Mapping[str, str]
    ) -> None:
        self._screen = FaintScreen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self._main, program = pty.openpty()
        fcntl.ioctl(program, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        self._process = subprocess.Popen(
            command,
            stdin=program,
            stdout=program,
            stderr=program,
            env={**environment, "TERM": "xterm-256color"},
            start_new_session=True,
        )
        os.close(program)
        self._changed = False
        """Whether there is something on the screen that the last picture does not have."""
        self.pictures: list[tuple[float, Picture]] = []
        """Each screen with when it was complete, by `time.monotonic`."""

    def watch(self, seconds: float) -> None:
        """Take what the program writes in the next seconds."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            ready, _, _ = select.select([self._main], [], [], min(left, _QUIET))
            if ready:
                self._stream.feed(os.read(self._main, 65536))
                self._changed = True
            elif self._changed:
                self.pictures.append((time.monotonic(), self._screen.cells()))
                self._changed = False

    def end(self, key: bytes) -> None:
        """Press the key that ends the program, and wait for it."""
        os.write(self._main, key)
        deadline = time.monotonic() + 10
        while self._process.poll() is None and time.monotonic() < deadline:
            if select.select([self._main], [], [], _QUIET)[0]:
                try:
                    os.read(self._main, 65536)
                except OSError:  # the program has closed its side
                    break
        self._process.wait(10)
        os.close(self._main)
