"""One line a request, in the combined log format."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rocket_core import RequestLine
    from rocket_wsgi._request import Environ

_ESCAPED: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))},
    ord('"'): '\\"',
    ord("\\"): "\\\\",
}


_ZONE: Final = time.strftime("%z")


class Entry:
    """One request. What the application does to the environ does not change it."""

    __slots__ = ("_agent", "_began", "_host", "_line", "_referer")

    def __init__(self, host: str, line: RequestLine, environ: Environ) -> None:
        """Begin an entry, before the application runs."""
        self._host = host
        self._line = line
        self._referer: str = environ.get("HTTP_REFERER", "-")
        self._agent: str = environ.get("HTTP_USER_AGENT", "-")
        self._began = time.perf_counter()

    def format(self, status: int, size: int) -> str:
        """The line, whose last number is the time since the beginning, in microseconds.

        What clients sent is escaped, so that no request can forge a line.
        """
        spent = round((time.perf_counter() - self._began) * 1e6)
        when = time.strftime("%d/%b/%Y:%H:%M:%S ") + _ZONE
        return (
            f'{self._host or "-"} - - [{when}] "{_escape(" ".join(self._line))}" {status} {size} '
            f'"{_escape(self._referer)}" "{_escape(self._agent)}" {spent}'
        )


def _escape(text: str) -> str:
    return text.translate(_ESCAPED)
