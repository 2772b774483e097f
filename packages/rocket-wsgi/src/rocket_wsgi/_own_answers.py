"""Responses that the server gives without the application, and when it gives them.

`OwnAnswers` decides on a request whose head is complete: health checks, ACME challenges, and
redirects to HTTPS. `make_refusal` makes the answer to a request that the server refuses. How an
`OwnAnswer` is sent is up to the protocol: `Receiver.answer` does it for HTTP/1.1.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from math import ceil
from time import monotonic
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from rocket_core.extending import origin_of_host
from rocket_core.http1 import HeadError
from rocket_wsgi._environ.authority import MAX_PORT, split_host
from rocket_wsgi._environ.request import is_secure
from rocket_wsgi._environ.target import MAX_LOCATION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rocket_core import Connection
    from rocket_core.extending import ClientBuckets
    from rocket_wsgi._environ.request import Request
    from rocket_wsgi._types import Environ, Headers

    Challenges = Callable[[str], str | None]
    """Returns what proves the control of a domain for a token, or None for an unknown token."""

_CHALLENGES: Final = "/.well-known/acme-challenge/"
_HTTPS_PORT: Final = 443
_SAFE_METHODS: Final = ("GET", "HEAD")
_ORIGIN: Final = re.compile(r"https?://[^/?]*", re.IGNORECASE)
_NO_STORE: Final = ("Cache-Control", "no-store")
"""Forbids caches to answer in place of the server (RFC 9111, section 5.2.2.5)."""


class OwnAnswer(NamedTuple):
    """A response with a text, which the server gives without the application.

    Attributes:
        status: the status code and the reason phrase, as in ``200 OK``.
        text: the body, without a line end.
        headers: header fields, besides those that all own answers have.
        reason: for the access log, why the application did not answer; None: it is not logged.
    """

    status: str
    text: str
    headers: Headers
    reason: str | None

    @property
    def code(self) -> int:
        """The status code."""
        return int(self.status[:3])

    @property
    def body(self) -> bytes:
        """The body of the response, with its line end."""
        return f"{self.text}\n".encode("latin-1", "replace")


def make_refusal(status: int, reason: str, headers: Sequence[tuple[str, str]] = ()) -> OwnAnswer:
    """Return the answer to a request that is refused with ``status`` for ``reason``."""
    phrase = HTTPStatus(status).phrase
    return OwnAnswer(f"{status} {phrase}", f"{phrase}: {reason}.", list(headers), reason)


TOO_LATE: Final = make_refusal(408, "the request did not arrive in time")
OVERLOADED: Final = make_refusal(
    503, "all threads are busy; try again later", [("Retry-After", "1")]
)
OVERDUE: Final = make_refusal(504, "the application did not answer in time")
"""Not 503, which would tell the client that it may repeat the request: the application has it."""

NO_ROOM: Final = make_refusal(
    503, "the server has no room for this upload; try again later", [("Retry-After", "30")]
)
NOT_RECEIVED: Final = make_refusal(500, "the server failed to receive this request")
CRASHED: Final = OwnAnswer(
    "500 Internal Server Error",
    "The application failed to answer this request.",
    [],
    "the application failed",
)

OWN_STATUSES: Final = (
    *(200, 301, 308),
    *(400, 403, 405, 408, 411, 413, 414, 417, 426, 429, 431),
    *(500, 501, 503, 504, 505),
)
"""The status codes of all responses that the server gives in place of the application."""

_HEALTHY: Final = OwnAnswer("200 OK", "ok", [_NO_STORE], None)
_DRAINING: Final = OwnAnswer("503 Service Unavailable", "draining", [_NO_STORE], None)
_NO_CHECK: Final = OwnAnswer(
    "405 Method Not Allowed",
    "a health check is GET or HEAD",
    [_NO_STORE, ("Allow", "GET, HEAD")],
    None,
)


class OwnAnswers:
    """Decides which requests the server answers without the application.

    Nothing changes an instance. Any thread may use it, and no method waits.
    """

    def __init__(
        self,
        health: str | None,
        https_redirect: int | None,
        challenges: Challenges | None,
        buckets: ClientBuckets | None = None,
    ) -> None:
        """Answer what is given; None switches the respective answers off.

        Args:
            health: the path of the health check.
            https_redirect: the port of HTTPS to which requests over plain HTTP are redirected.
            challenges: a function that returns the content for the token of an ACME challenge.
            buckets: what requests each client may send now.

        Raises:
            ValueError: ``health`` is not a path, or ``https_redirect`` is not a port.
        """
        if health is not None and not health.startswith("/"):
            raise ValueError(f"health {health!r} is not a path; it must begin with /")
        if https_redirect is not None and not 1 <= https_redirect <= MAX_PORT:
            raise ValueError(
                f"https_redirect {https_redirect!r} is not a port; use one from 1 to {MAX_PORT}"
            )
        self._health = health
        self._https_redirect = https_redirect
        self._challenges = challenges
        self._buckets = buckets

    def __bool__(self) -> bool:
        """Whether there is any request that the server answers."""
        settings = (self._health, self._https_redirect, self._challenges, self._buckets)
        return any(each is not None for each in settings)

    def find(
        self, request: Request, connection: Connection, client: str | None
    ) -> OwnAnswer | None:
        """Return the answer to ``request``, or None if the application has to answer.

        ``client`` is the host that has sent it, as `Exchange.client` has it. Raises `HeadError`
        with status 400 or 414 for a request that cannot be redirected.
        """
        environ = request.environ
        path: str = environ["PATH_INFO"]
        if path == self._health:
            return _answer_health_check(request, draining=connection.draining)
        if (
            self._challenges is not None
            and path.startswith(_CHALLENGES)
            and (text := self._challenges(path.removeprefix(_CHALLENGES))) is not None
            and request.method in _SAFE_METHODS
        ):
            return OwnAnswer("200 OK", text, [_NO_STORE], "an ACME challenge")
        if self._buckets is not None:
            refusal = _limit(self._buckets, connection, client)
            if refusal is not None:
                return refusal
        if self._https_redirect is None or is_secure(environ):
            return None
        # A client may turn a POST into a GET after a 301, and some clients do not know 308
        # (RFC 9110, sections 15.4.2 and 15.4.9).
        safe = request.method in _SAFE_METHODS
        return OwnAnswer(
            "301 Moved Permanently" if safe else "308 Permanent Redirect",
            "this site is served over https",
            [("Location", _https_location(environ, self._https_redirect))],
            "redirected to https",
        )


def _answer_health_check(request: Request, *, draining: bool) -> OwnAnswer:
    """Answer 200, or 503 while the server drains (RFC 9110, section 15.6.4)."""
    if request.method not in _SAFE_METHODS:
        return _NO_CHECK
    return _DRAINING if draining else _HEALTHY


def _limit(buckets: ClientBuckets, connection: Connection, client: str | None) -> OwnAnswer | None:
    """Return the answer to a client that has sent too many requests of late, or None.

    Where a proxy does not tell its client, and at Unix sockets, there is no limit.
    """
    peer = connection.peer
    host = client
    if host is None:
        host = "" if peer.is_unix else peer.host
    if not host:
        return None
    wait = buckets.take(origin_of_host(host), monotonic())
    if not wait:
        return None
    connection.server.count_limited()
    seconds = ceil(wait)
    window = max(ceil(buckets.burst / buckets.rate), 1)
    fields = [
        ("Retry-After", str(seconds)),
        ("RateLimit-Policy", f'"client";q={buckets.burst};w={window}'),
        ("RateLimit", f'"client";r=0;t={seconds}'),
    ]
    return make_refusal(429, "this client has sent too many requests", fields)


def _https_location(environ: Environ, port: int) -> str:
    """Return the URL of the same resource over HTTPS, on ``port``.

    The URL begins with the host of the request, which has been validated, and everything else
    follows it. Therefore no request target leads to another host.
    """
    host, _ = split_host(environ.get("HTTP_HOST", ""))
    target = _ORIGIN.sub("", environ["REQUEST_URI"], count=1)
    if not host or target == "*":
        raise HeadError(400, "this site is served over https, and the request names no URL")
    if not target.startswith("/"):
        target = "/" + target
    if environ["SCRIPT_NAME"]:  # a proxy has removed this prefix from the target
        target = quote(environ["SCRIPT_NAME"], encoding="latin-1") + target
    if port != _HTTPS_PORT:
        host = f"{host}:{port}"
    location = f"https://{host}{target}"
    if len(location) > MAX_LOCATION:
        raise HeadError(414, "this site is served over https, and the URL there is too long")
    return location
