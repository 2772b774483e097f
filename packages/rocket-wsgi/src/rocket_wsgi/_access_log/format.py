"""Lines of the access log: which fields they have, and how these are written.

What clients send never ends a line or a field. All output is printable ASCII, whatever the input.
"""

from __future__ import annotations

import re
import string
import time
from collections.abc import Callable, Iterable
from json.encoder import encode_basestring_ascii
from typing import TYPE_CHECKING, Final

from rocket_wsgi._clock import MONTHS
from rocket_wsgi._response.response_head import TOKEN

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
"""Fields whose value is in the environ before the application runs."""


Value = str | int | float | None
_Getter = Callable[["RequestRecord"], Value]
_Writer = Callable[["RequestRecord"], str]


class _Clock:
    """The local time of the last second asked for. For one thread only."""

    def __init__(self) -> None:
        self._second = -1
        self._iso = self._zone = self._clf = ""

    def _update(self, when: float) -> None:
        second = int(when)
        if second == self._second:
            return
        moment = time.localtime(second)  # each moment has its own offset from UTC
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
        """ISO 8601 with milliseconds and the offset from UTC."""
        self._update(when)
        return f"{self._iso}.{int(when % 1 * 1000):03}{self._zone}"

    def clf(self, when: float) -> str:
        """As the common log format has it, in English whatever the locale."""
        self._update(when)
        return self._clf


def _line(entry: RequestRecord) -> str | None:
    return (entry.raw or None) if entry.line is None else " ".join(entry.line)


def _part(index: int) -> _Getter:
    return lambda entry: None if entry.line is None else entry.line[index]


_OWN: Final[dict[str, _Getter]] = {
    "user": lambda entry: entry.user,
    "line": _line,
    "method": _part(0),
    "target": _part(1),
    "protocol": _part(2),
    "status": lambda entry: entry.status or None,
    "size": lambda entry: entry.size,
    "seconds": lambda entry: round(entry.seconds, 6),
    "microseconds": lambda entry: round(entry.seconds * 1e6),
    "queued": lambda entry: round(entry.queued, 6),
    "requests": lambda entry: entry.requests,
    "thread": lambda entry: entry.thread or None,
    "error": lambda entry: entry.error,
}
_TIMES: Final = ("time", "clock")
FIELDS: Final = (*_TIMES, *_ENVIRON, *_OWN)
"""The names of all fields but ``header.NAME``."""


class Format:
    """A format of lines, made ready once.

    Attributes:
        keys: what the environ is asked for before the application runs.
        threads: whether the name of the serving thread is asked for.
        line: writes an entry's line, without its end. For one thread only.
    """

    def __init__(self, text: str) -> None:
        """``combined``, ``json``, ``json:FIELD,FIELD...``, or a text with ``{FIELD}`` in it.

        Raises `ValueError`, which names what is wrong and the fields there are.
        """
        self.keys: list[str] = []
        self.threads = False
        self._clock = _Clock()
        self.line: _Writer
        if text == "combined":
            self.line = self._compile_text(COMBINED)
        elif text == "json":
            self.line = self._compile_json(_JSON)
        elif text.startswith("json:"):
            self.line = self._compile_json(text.removeprefix("json:"))
        else:
            self.line = self._compile_text(text)

    def _getter(self, name: str) -> _Getter:
        if name == "time":
            return lambda entry: self._clock.iso(entry.when)
        if name == "clock":
            return lambda entry: self._clock.clf(entry.when)
        if name == "thread":
            self.threads = True
        if name in _OWN:
            return _OWN[name]
        header = name.removeprefix("header.")
        if name in _ENVIRON:
            key = _ENVIRON[name]
        elif header != name and TOKEN.match(header):
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
        return lambda entry: entry.values[index]

    # -- lines of text ---------------------------------------------------------------------------

    def _compile_text(self, text: str) -> _Writer:
        if not (text.isascii() and text.isprintable()):
            raise ValueError(f"the access log format {text!r} is not printable ASCII on one line")
        pieces = _parse(text)
        template = "".join(
            f"{before.replace('%', '%%')}{'' if name is None else '%s'}" for before, name in pieces
        )
        writers: list[_Writer] = []
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
        return lambda entry: template % tuple([write(entry) for write in writers])

    def _text_writer(self, name: str, ends: str) -> _Writer:
        """A writer of one field that none of the characters ``ends`` may occur in."""
        get = self._getter(name)
        if name in _TIMES:
            return lambda entry: str(get(entry))
        # Letters and digits are what escapes are made of.
        special = {each for each in ends if not each.isalnum()} | {"\\"}
        unsafe = re.compile(f"[^ -~]|[{''.join(map(re.escape, special))}]")

        def write(entry: RequestRecord) -> str:
            value = get(entry)
            if not isinstance(value, str):
                if type(value) is float:
                    return f"{value:.6f}"
                return "-" if value is None else str(value)
            if not value:
                return "-"
            return unsafe.sub(_escape, value) if unsafe.search(value) else value

        return write

    # -- lines of JSON ---------------------------------------------------------------------------

    def _compile_json(self, names: str) -> _Writer:
        writers = [self._json_writer(name.strip()) for name in names.split(",")]
        return lambda entry: f"{{{', '.join([write(entry) for write in writers])}}}"

    def _json_writer(self, name: str) -> _Writer:
        get = self._getter(name)
        key = f"{encode_basestring_ascii(name)}: "

        def write(entry: RequestRecord) -> str:
            value = get(entry)
            if isinstance(value, str):
                return key + encode_basestring_ascii(value)
            if type(value) is float:
                return f"{key}{value:.6f}"
            return f"{key}{'null' if value is None else value}"

        return write


def _parse(text: str) -> list[tuple[str, str | None]]:
    """Each field's name after the text before it; the last piece may be without a field."""
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
