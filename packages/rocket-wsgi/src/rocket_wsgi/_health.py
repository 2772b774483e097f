"""The answer to a health check: whether this server takes requests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocket_wsgi._http1.fields import Framing
from rocket_wsgi._response.response import plain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rocket_wsgi._clock import Clock
    from rocket_wsgi._http1.request import Request


def answer_health(
    request: Request, *, draining: bool, headers: Sequence[tuple[str, str]], clock: Clock
) -> tuple[bytes, bool]:
    """A whole response, and whether its connection is kept.

    It says 200, or 503 when the server ends (RFC 9110, section 15.6.4), and 405 to methods other
    than GET and HEAD (section 15.5.6). No cache may answer in its place (RFC 9111, 5.2.2.5).
    """
    keep_alive = (
        request.keep_alive
        and request.modern
        and request.framing is Framing.NONE  # a body is not looked at
        and not draining
    )
    fields = [("Cache-Control", "no-store"), *headers]
    if request.method not in ("GET", "HEAD"):
        status, text = "405 Method Not Allowed", "a health check is GET or HEAD"
        fields.append(("Allow", "GET, HEAD"))
    elif draining:
        status, text = "503 Service Unavailable", "draining"
    else:
        status, text = "200 OK", "ok"
    body = request.method != "HEAD"
    data = plain(status, text, body=body, keep_alive=keep_alive, headers=fields, clock=clock)
    return data, keep_alive
