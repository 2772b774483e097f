"""The access log that the settings describe: its file and its format."""

from __future__ import annotations

import json
import sys
from typing import Final, TextIO, cast

from rocket_cli import _units
from rocket_cli._logging.formatting import (
    CYAN,
    DIM,
    GREEN,
    RED,
    YELLOW,
    has_colours,
    paint,
    printable,
)
from rocket_cli._logging.server_log import STANDARD, unwritable
from rocket_cli._settings.chosen import Chosen
from rocket_cli._settings.setting import Part
from rocket_wsgi import AccessLog

_FORMAT: Final = (
    "json:time,client,method,target,status,size,seconds,error,"
    "messages_received,messages_sent,close_code"
)
"""The format that `Terminal` reads."""

_COLOURS: Final = {2: GREEN, 3: CYAN, 4: YELLOW, 5: RED}


def open_access_log(chosen: Chosen) -> AccessLog | None:
    """Return the access log, or None without one.

    If no format is set, the format is JSON with ``log-format`` json, human-readable on a terminal,
    and otherwise ``combined``. Raises `CommandError` if the file cannot be written.
    """
    path = chosen["access-log"]
    if path is None:
        return None
    target: str | TextIO = sys.stdout if path == STANDARD else path
    form = chosen["access-log-format"]
    if form is None and chosen["log-format"] == "json":
        form = "json"
    elif form is None and path == STANDARD and sys.stdout.isatty():
        form = _FORMAT
        target = cast("TextIO", Terminal(sys.stdout, colours=has_colours(sys.stdout)))
    try:
        return AccessLog(target, form or "combined", **chosen.arguments(Part.ACCESS_LOG))
    except OSError as error:
        raise unwritable(path, chosen.origin("access-log"), str(error.strerror)) from error


class Terminal:
    """Writes requests in a human-readable form, given lines of JSON."""

    def __init__(self, stream: TextIO, *, colours: bool) -> None:
        """Write to ``stream``."""
        self._stream = stream
        self._paint = paint if colours else lambda text, colour: text  # noqa: ARG005 - as paint

    def write(self, text: str) -> int:
        """Write whole lines, each with a JSON object."""
        lines = "".join(self._line(**json.loads(line)) + "\n" for line in text.splitlines())
        self._stream.write(lines)
        return len(text)

    def flush(self) -> None:
        """Flush the stream."""
        self._stream.flush()

    def _line(
        self,
        *,
        time: str,
        client: str | None,
        method: str | None,
        target: str | None,
        status: int | None,
        size: int,
        seconds: float,
        error: str | None,
        messages_received: int | None,
        messages_sent: int | None,
        close_code: int | None,
    ) -> str:
        colour = RED if status is None else _COLOURS.get(status // 100, DIM)
        amount = f"{_units.size(size)} in {_units.seconds(seconds)}"
        messages = ""
        if messages_received is not None and messages_sent is not None:
            sent, received = _units.number(messages_sent), _units.number(messages_received)
            messages = f", {sent} messages sent, {received} received"
        if close_code is not None:
            messages += f", closed with {close_code}"
        parts = [
            self._paint(time, DIM),
            self._paint("---" if status is None else str(status), colour),
            _on_one_line(f"{method or '-'} {target or '-'}"),
            self._paint(_on_one_line(f"{amount} to {client or '-'}{messages}"), DIM),
        ]
        if error:
            parts.append(self._paint(_on_one_line(error), RED))
        return " ".join(parts)


def _on_one_line(text: str) -> str:
    return printable(text).replace("\n", "\\n")
