"""One line a request, in the combined log format."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rocket_wsgi._request import Environ

_ESCAPED: Final = {
    **{code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))},
    ord('"'): '\\"',
    ord("\\"): "\\\\",
}


def format_line(
    environ: Environ,
    status: int,
    size: int,
    seconds: float,
    zone: str = time.strftime("%z"),
) -> str:
    """The line for a finished request; ``seconds`` is what the application took.

    What clients sent is escaped, so that no request can forge a line.
    """
    when = time.strftime("%d/%b/%Y:%H:%M:%S ") + zone
    request = f"{environ['REQUEST_METHOD']} {environ['REQUEST_URI']} {environ['SERVER_PROTOCOL']}"
    return (
        f"{environ['REMOTE_ADDR'] or '-'} - - [{when}] "
        f'"{_escape(request)}" {status} {size} '
        f'"{_escape(environ.get("HTTP_REFERER", "-"))}" '
        f'"{_escape(environ.get("HTTP_USER_AGENT", "-"))}" {round(seconds * 1e6)}'
    )


def _escape(text: str) -> str:
    return text.translate(_ESCAPED)
