"""A site that is served over HTTPS only: what plain HTTP is answered, and how browsers are told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from rocket_core.http1 import HeadError
from rocket_wsgi._environ.target import MAX_LOCATION
from rocket_wsgi._response.response import Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from rocket_wsgi._http1.fields import Environ
    from rocket_wsgi._http1.request import Request
    from rocket_wsgi._response.response import ExcInfo
    from rocket_wsgi._response.response_head import Headers

    Challenges = Callable[[str], str | None]

HSTS: Final = "Strict-Transport-Security"

_CHALLENGES: Final = "/.well-known/acme-challenge/"
_MAX_PORT: Final = 65535
_HTTPS_PORT: Final = 443
_READ: Final = ("GET", "HEAD")
_ABSOLUTE: Final = re.compile(r"https?://[^/?]*", re.IGNORECASE)
_OWN_PORT: Final = re.compile(r":[0-9]*\Z")
_HSTS: Final = re.compile(
    r"max-age=[0-9]{1,10}(?P<subdomains>; ?includeSubDomains)?(?P<preload>; ?preload)?",
    re.ASCII | re.IGNORECASE,
)


class Answer(NamedTuple):
    """A response of the server's own."""

    status: str
    text: str
    headers: list[tuple[str, str]]
    reason: str
    """Why it is not the application's, for the log."""


class OwnAnswers:
    """Answers the requests that need no application on the way to a site over HTTPS.

    Any thread may ask, and none has to wait.
    """

    def __init__(self, redirect: int | None, challenges: Challenges | None) -> None:
        """Redirect to the port ``redirect``, and answer from ``challenges``; None: do not.

        Raises `ValueError` for what is no port.
        """
        if redirect is not None and not 1 <= redirect <= _MAX_PORT:
            raise ValueError(
                f"https_redirect {redirect!r} is no port; use one from 1 to {_MAX_PORT}"
            )
        self._redirect = redirect
        self._challenges = challenges

    def answer(self, request: Request) -> Answer | None:
        """The answer; None where the application has to give it.

        Raises `HeadError` with status 400 or 414 for what cannot be redirected.
        """
        environ = request.environ
        if self._challenges is not None and environ["PATH_INFO"].startswith(_CHALLENGES):
            text = self._challenges(environ["PATH_INFO"].removeprefix(_CHALLENGES))
            if text is not None and request.method in _READ:
                return Answer("200 OK", text, [("Cache-Control", "no-store")], "an ACME challenge")
        if self._redirect is None or is_secure(environ):
            return None
        # A 301 may turn a POST into a GET; some clients do not know 308 (RFC 9110, 15.4.2, 15.4.9).
        moved = request.method in _READ
        return Answer(
            "301 Moved Permanently" if moved else "308 Permanent Redirect",
            "this site is served over https",
            [("Location", self._location(environ, self._redirect))],
            "redirected to https",
        )

    @staticmethod
    def _location(environ: Environ, port: int) -> str:
        """The same resource over HTTPS.

        The host is what the request names, which was checked, and all else comes behind it, so
        that no target leads elsewhere.
        """
        host = _OWN_PORT.sub("", environ.get("HTTP_HOST", ""))
        target = _ABSOLUTE.sub("", environ["REQUEST_URI"], count=1)
        if not host or target == "*":
            raise HeadError(400, "this site is served over https, and the request names no URL")
        if not target.startswith("/"):
            target = "/" + target
        if environ["SCRIPT_NAME"]:  # which a proxy has taken away
            target = quote(environ["SCRIPT_NAME"], encoding="latin-1") + target
        if port != _HTTPS_PORT:
            host = f"{host}:{port}"
        location = f"https://{host}{target}"
        if len(location) > MAX_LOCATION:
            raise HeadError(414, "this site is served over https, and the URL there is too long")
        return location


def is_secure(environ: Environ) -> bool:
    """Whether the client has sent this over HTTPS, as far as is known."""
    return bool(environ["wsgi.url_scheme"] == "https")


def check_hsts(value: str) -> str:
    """A value of Strict-Transport-Security (RFC 6797, section 6.1). Raises `ValueError`."""
    match = _HSTS.fullmatch(value)
    if match is None or (match["preload"] and not match["subdomains"]):
        raise ValueError(
            f"hsts {value!r} is none; use max-age=SECONDS, with ; includeSubDomains and after that "
            "; preload if need be"
        )
    return value


class StrictResponse(Response):
    """A response over HTTPS that tells browsers to stay with it (RFC 6797, section 7.1).

    Attributes:
        hsts: what it says, unless the application says something itself.
    """

    __slots__ = ("hsts",)

    hsts: str

    def start(
        self, status: str, headers: Headers, exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], None]:
        """``start_response``; returns ``write``."""
        if not any(str(name).lower() == "strict-transport-security" for name, _ in headers):
            headers = [*headers, (HSTS, self.hsts)]
        return super().start(status, headers, exc_info)
