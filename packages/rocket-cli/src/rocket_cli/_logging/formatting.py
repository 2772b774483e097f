"""The formats of the server's messages: text for operators, or JSON for programs.

Characters that would end a line are escaped, so that a client cannot forge a message by the data of
a request.
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
"""Characters that end a line, control a terminal or change the writing direction, and surrogates.

Tab and line feed are not among them.
"""

DIM: Final = "2"
RED: Final = "31"
GREEN: Final = "32"
YELLOW: Final = "33"
CYAN: Final = "36"
_LEVELS: Final = {"DEBUG": DIM, "INFO": GREEN, "WARNING": YELLOW, "ERROR": RED, "CRITICAL": RED}


def has_colours(stream: TextIO) -> bool:
    """Return whether to use colours: on a terminal, unless TERM or NO_COLOR forbid it.

    The variable is described at https://no-color.org.
    """
    wanted = not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    return wanted and stream.isatty()


def paint(text: str, colour: str) -> str:
    """Return ``text`` in a colour or weight (ECMA-48, section 8.3.117)."""
    return f"\x1b[{colour}m{text}\x1b[0m"


def printable(text: str) -> str:
    """Return ``text`` with unprintable characters escaped. Line feeds and tabs stay."""
    return _UNPRINTABLE.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def _moment(record: logging.LogRecord) -> str:
    """Return the time of a message in ISO 8601, with milliseconds and the offset from UTC."""
    return datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="milliseconds")


class TextLines(logging.Formatter):
    """Formats a message as time, process ID, level, logger and text.

    Further lines, such as those of a traceback, are indented.
    """

    def __init__(self, *, colours: bool = False) -> None:
        super().__init__()
        self._paint = paint if colours else lambda text, colour: text  # noqa: ARG005 - as paint

    def format(self, record: logging.LogRecord) -> str:
        """Return the line or lines of a message."""
        level = self._paint(record.levelname, _LEVELS.get(record.levelname, RED))
        before = self._paint(f"{_moment(record)} [{record.process}]", DIM)
        name = self._paint(f"{record.name}:", DIM)
        parts = [record.getMessage(), _exception(self, record), record.stack_info]
        first, *others = printable("\n".join(part for part in parts if part)).split("\n")
        return "\n  ".join([f"{before} {level} {name} {first}", *others])


class JSONLines(logging.Formatter):
    """Formats a message as a JSON object on one line, in ASCII.

    The keys are ``time``, ``level``, ``logger``, ``pid``, ``thread`` and ``message``, and, if the
    message has them, ``exception`` for the traceback and ``stack`` for the stack of the thread.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a message."""
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
