"""What the server's messages look like: lines for a person, or JSON for a program.

Whatever a message holds, it ends no line: who writes to the log through a request cannot add a
message of another's.
"""

from __future__ import annotations

import json
import logging
import os
import re
from datetime import datetime
from typing import Any, Final, TextIO

_UNPRINTABLE: Final = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""What ends a line, moves a terminal's cursor, turns the direction of writing, or is no character.
Tab and line feed are not among it."""

DIM: Final = "2"
RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"
CYAN: Final = "36"
_LEVELS: Final = {"DEBUG": DIM, "INFO": GREEN, "WARNING": YELLOW, "ERROR": RED, "CRITICAL": RED}


def has_colours(stream: TextIO) -> bool:
    """Whether to write in colours: to a terminal, unless it or NO_COLOR says no (no-color.org)."""
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and stream.isatty()


def paint(text: str, colour: str) -> str:
    """``text`` in a colour or weight (ECMA-48, 8.3.117)."""
    return f"\x1b[{colour}m{text}\x1b[0m"


def printable(text: str) -> str:
    """``text`` with escapes for what is not printable; line feeds stay."""
    return _UNPRINTABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _moment(record: logging.LogRecord) -> str:
    """ISO 8601, with milliseconds and the offset from UTC."""
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


class TextLines(logging.Formatter):
    """Time, process, level, logger and message. What belongs to a line stands indented below it."""

    def __init__(self, *, colours: bool = False) -> None:
        super().__init__()
        self._paint = paint if colours else lambda text, colour: text  # noqa: ARG005 - as paint

    def format(self, record: logging.LogRecord) -> str:
        """The line or lines of one message."""
        level = self._paint(record.levelname, _LEVELS.get(record.levelname, RED))
        before = self._paint(f"{_moment(record)} [{record.process}]", DIM)
        name = self._paint(f"{record.name}:", DIM)
        parts = [record.getMessage(), _exception(self, record), record.stack_info]
        first, *others = printable("\n".join(part for part in parts if part)).split("\n")
        return "\n  ".join([f"{before} {level} {name} {first}", *others])


class JSONLines(logging.Formatter):
    """An object a line, in ASCII: time, level, logger, pid, thread and message.

    Where there is one, ``exception`` is the whole traceback, and ``stack`` where it was logged.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line of one message."""
        fields: dict[str, Any] = {
            "time": _moment(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "pid": record.process,
            "thread": record.threadName,
            "message": record.getMessage(),
        }
        if exception := _exception(self, record):
            fields["exception"] = exception
        if record.stack_info:
            fields["stack"] = record.stack_info
        return json.dumps(fields)


def _exception(formatter: logging.Formatter, record: logging.LogRecord) -> str | None:
    return formatter.formatException(record.exc_info) if record.exc_info else record.exc_text
