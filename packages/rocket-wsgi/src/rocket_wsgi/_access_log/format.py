"""The format of the lines of the access log: their fields, and how the values are escaped.

No input can end a line or a field before its end, or produce anything but printable ASCII.
"""

from __future__ import annotations

import re
import string
import time
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Final

from rocket_wsgi._clock import MONTHS
from rocket_wsgi._environ.request_record import MessagesRecord
from rocket_wsgi._grammar import WHOLE_TOKEN

if TYPE_CHECKING:
    from rocket_wsgi._environ.request_record import RequestRecord

COMBINED: Final = (
    '{client} - {user} [{clock}] "{line}" {status} {size} '
    '"{header.referer}" "{header.user-agent}" {microseconds}'
)

_JSON: Final = (
    "time,client,user,method,target,protocol,status,size,seconds,queued,"
    "scheme,host,referer,agent,request_id,requests,error"
)

_JSON_OF_MESSAGES: Final = "messages_received,messages_sent,close_code"
"""What is added to that for websockets and event streams."""

_ENVIRON: Final = {
    "client": "REMOTE_ADDR",
    "path": "PATH_INFO",
    "query": "QUERY_STRING",
    "scheme": "wsgi.url_scheme",
    "host": "HTTP_HOST",
    "referer": "HTTP_REFERER",
    "agent": "HTTP_USER_AGENT",
    "request_id": "rocket.request_id",
}
"""The environ keys of the fields that are known before the application runs."""

Value = str | int | float | None
_Getter = Callable[["RequestRecord"], Value]
_LineWriter = Callable[["RequestRecord"], str]
"""Formats a whole line, or one field of it."""


class _Clock:
    """Formats local times, and keeps the text of the last second. For one thread only."""

    def __init__(self) -> None:
        self._second = -1
        self._iso = self._zone = self._clf = ""

    def _update(self, when: float) -> None:
        second = int(when)
        if second == self._second:
            return
        moment = time.localtime(second)  # which knows the offset from UTC at that time
        minutes = moment.tm_gmtoff // 60
        sign = "-" if minutes < 0 else "+"
        hours, minutes = divmod(abs(minutes), 60)
        month = MONTHS[3 * moment.tm_mon - 3 : 3 * moment.tm_mon]
        self._iso = time.strftime("%Y-%m-%dT%H:%M:%S", moment)
        self._zone = f"{sign}{hours:02}:{minutes:02}"
        self._clf = (
            f"{moment.tm_mday:02}/{month}/{moment.tm_year}:"
            f"{time.strftime('%H:%M:%S', moment)} {sign}{hours:02}{minutes:02}"
        )
        self._second = second

    def iso(self, when: float) -> str:
        """Format a time as ISO 8601 with milliseconds and the offset from UTC."""
        self._update(when)
        return f"{self._iso}.{int(when % 1 * 1000):03}{self._zone}"

    def clf(self, when: float) -> str:
        """Format a time as in the common log format, in English for every locale."""
        self._update(when)
        return self._clf


def _line(record: RequestRecord) -> str | None:
    return (record.raw or None) if record.line is None else " ".join(record.line)


def _part(index: int) -> _Getter:
    return lambda record: None if record.line is None else record.line[index]


def _of_messages(index: int) -> _Getter:
    return lambda record: record.messages[index] if isinstance(record, MessagesRecord) else None


_OWN: Final[dict[str, _Getter]] = {
    "user": lambda record: record.user,
    "line": _line,
    "method": _part(0),
    "target": _part(1),
    "protocol": _part(2),
    "status": lambda record: record.status or None,
    "size": lambda record: record.size,
    "seconds": lambda record: round(record.seconds, 6),
    "microseconds": lambda record: round(record.seconds * 1e6),
    "queued": lambda record: round(record.queued, 6),
    "requests": lambda record: record.requests,
    "thread": lambda record: record.thread or None,
    "error": lambda record: record.error,
    "messages_received": _of_messages(0),
    "messages_sent": _of_messages(1),
    "close_code": _of_messages(2),
}
_TIMES: Final = ("time", "clock")
FIELDS: Final = (*_TIMES, *_ENVIRON, *_OWN)
"""The names of all fields except ``header.NAME``."""


class Format:
    """A compiled format.

    Attributes:
        keys: the environ keys whose values a record needs, in the order of `RequestRecord.values`.
        threads: whether the format contains the name of the serving thread.
        line: formats a record as a line, without the line end. For one thread only.
    """

    def __init__(self, text: str) -> None:
        """Compile ``combined``, ``json``, ``json:FIELD,FIELD...``, or a text with ``{FIELD}``.

        Raises `ValueError` if the text is malformed or has an unknown field.
        """
        self.keys: list[str] = []
        self.threads = False
        self._clock = _Clock()
        self.line: _LineWriter
        if text == "combined":
            self.line = self._compile_text(COMBINED)
        elif text == "json":
            self.line = self._compile_json(_JSON, _JSON_OF_MESSAGES)
        elif text.startswith("json:"):
            self.line = self._compile_json(text.removeprefix("json:"))
        else:
            self.line = self._compile_text(text)

    def _getter(self, name: str) -> _Getter:
        if name == "time":
            return lambda record: self._clock.iso(record.when)
        if name == "clock":
            return lambda record: self._clock.clf(record.when)
        if name == "thread":
            self.threads = True
        if name in _OWN:
            return _OWN[name]
        header = name.removeprefix("header.")
        if name in _ENVIRON:
            key = _ENVIRON[name]
        elif header != name and WHOLE_TOKEN.match(header):
            upper = header.upper().replace("-", "_")
            key = upper if upper in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{upper}"
        else:
            raise ValueError(
                f"the access log has no field {name!r}; "
                f"use one of {', '.join(FIELDS)}, or header.NAME"
            )
        if key not in self.keys:
            self.keys.append(key)
        index = self.keys.index(key)
        return lambda record: record.values[index]

    # -- lines of text ---------------------------------------------------------------------------

    def _compile_text(self, text: str) -> _LineWriter:
        if not (text.isascii() and text.isprintable()):
            raise ValueError(f"the access log format {text!r} must be one line of printable ASCII")
        pieces = _parse(text)
        template = "".join(
            f"{before.replace('%', '%%')}{'' if name is None else '%s'}" for before, name in pieces
        )
        writers: list[_LineWriter] = []
        quoted = False
        for (before, name), (after, _) in zip(pieces, [*pieces[1:], ("", None)], strict=True):
            quoted ^= before.count('"') % 2 == 1
            if name is not None:
                ends = '"' if quoted else f' "{after[:1]}'
                writers.append(self._text_writer(name, ends))
        if not writers:
            raise ValueError(
                f"the access log format {text!r} has no field; "
                "use combined, json, or a text such as '{client} {method} {path} {status}'"
            )
        return lambda record: template % tuple([write(record) for write in writers])

    def _text_writer(self, name: str, ends: str) -> _LineWriter:
        """Return a writer of one field that escapes the characters in ``ends``."""
        get = self._getter(name)
        if name in _TIMES:
            return lambda record: str(get(record))
        # Letters and digits cannot be escaped, because escapes consist of them.
        special = {each for each in ends if not each.isalnum()} | {"\\"}
        unsafe = re.compile(f"[^ -~]|[{''.join(map(re.escape, special))}]")

        def write(record: RequestRecord) -> str:
            value = get(record)
            if not isinstance(value, str):
                if type(value) is float:
                    return f"{value:.6f}"
                return "-" if value is None else str(value)
            if not value:
                return "-"
            return unsafe.sub(_escape, value) if unsafe.search(value) else value

        return write

    # -- lines of JSON ---------------------------------------------------------------------------

    def _compile_json(self, names: str, of_messages: str = "") -> _LineWriter:
        """Compile fields, and those that a record of messages has besides."""
        writers = [self._json_writer(name.strip()) for name in names.split(",")]
        more = [self._json_writer(name) for name in of_messages.split(",") if name]
        both = [*writers, *more]

        def line(record: RequestRecord) -> str:
            used = both if type(record) is MessagesRecord else writers
            return f"{{{', '.join([write(record) for write in used])}}}"

        return line

    def _json_writer(self, name: str) -> _LineWriter:
        get = self._getter(name)
        key = f"{encode_basestring_ascii(name)}: "

        def write(record: RequestRecord) -> str:
            value = get(record)
            if isinstance(value, str):
                return key + encode_basestring_ascii(value)
            if type(value) is float:
                return f"{key}{value:.6f}"
            return f"{key}{'null' if value is None else value}"

        return write


def _parse(text: str) -> list[tuple[str, str | None]]:
    """Split a format into pairs of a text and the field after it; the last field is None."""
    pieces: list[tuple[str, str | None]] = []
    before = ""
    try:
        parsed: Iterable[tuple[str, str | None, str | None, str | None]] = list(
            string.Formatter().parse(text)
        )
    except ValueError as error:
        raise ValueError(f"the access log format {text!r} is malformed: {error}") from error
    for literal, name, specification, conversion in parsed:
        before += literal
        if name is None:
            continue
        if specification or conversion:
            raise ValueError(
                f"the access log format {text!r} has more than a name in the braces of {name!r}"
            )
        pieces.append((before, name))
        before = ""
    pieces.append((before, None))
    return pieces


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    if character in '"\\':
        return "\\" + character
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
