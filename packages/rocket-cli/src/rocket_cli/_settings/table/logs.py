"""The log of the server's messages, and the access log."""

from __future__ import annotations

from typing import Final

from rocket_cli._settings.kinds import Choice, Text, Whole
from rocket_cli._settings.setting import Part, Setting, setting
from rocket_cli._settings.values import access_log_format, log_path

LOGS: Final[tuple[Setting, ...]] = (
    setting(
        "log-level",
        Choice(["debug", "info", "warning", "error"]),
        "Log messages of this severity and above; debug adds tracebacks.",
        default="info",
        gunicorn="loglevel",
    ),
    setting(
        "log-format",
        Choice(["text", "json"]),
        "Write messages as lines of text, or as one JSON object per line.",
        default="text",
    ),
    setting(
        "error-log",
        Text(log_path),
        "Append the server's messages to this file; - for standard error.",
        default="-",
        default_words="standard error",
        metavar="PATH",
        gunicorn="errorlog",
    ),
    setting(
        "access-log",
        Text(log_path),
        "Append a line for each request to this file; - for standard output.",
        default_words="no access log",
        metavar="PATH",
        gunicorn="accesslog",
    ),
    setting(
        "access-log-format",
        Text(access_log_format),
        "Write the access log in this format: combined, json, json:FIELD,FIELD, or a text with "
        "fields in braces.",
        default_words="human-readable on a terminal, json with --log-format json, otherwise "
        "combined",
        metavar="FORMAT",
        needs="access-log",
        gunicorn="access_log_format",
    ),
    setting(
        "access-log-max-lines",
        Whole(1, unit="lines"),
        "Maximum number of lines that wait to be written to the access log. Further lines are "
        "dropped.",
        part=Part.ACCESS_LOG,
        keyword="max_lines",
        default=16 << 10,
        needs="access-log",
    ),
)
