"""Request ids: one for each request, from a trusted proxy or made here."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from rocket_core import Peer
    from rocket_wsgi._environ.request import Request

HEADER: Final = "X-Request-ID"

_KEY: Final = "rocket.request_id"
_HEADER_KEY: Final = "HTTP_X_REQUEST_ID"
_VALID: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z:/=@]{1,128}\Z")
"""A token (RFC 9110, section 5.6.2), or what base64 and addresses have besides."""


class RequestIds:
    """Gives every request an id, for the application and for the access log.

    The id is in the environ as ``rocket.request_id`` and as ``HTTP_X_REQUEST_ID``, where it
    replaces what a client sent that is not trusted.
    """

    def __init__(
        self, *, trusted: Callable[[Peer], bool] | None = None, echo: bool = False
    ) -> None:
        """Choose where ids come from, and where they go.

        Args:
            trusted: whether the id that a peer sends in ``X-Request-ID`` is taken, if it has 1 to
                128 characters, all of them letters, digits or one of ``!#$%&'*+-.^_`|~:/=@``;
                called for each request that has one. None: every id is made here.
            echo: whether responses have the id in ``X-Request-ID``.
        """
        self.trusted = trusted
        self.echo = echo


class IdSource:
    """Makes the ids of one thread: a random prefix and a number."""

    def __init__(self, settings: RequestIds) -> None:
        self._trusted = settings.trusted
        self._prefix = secrets.token_hex(8)
        self._number = 0

    def assign(self, request: Request, peer: Peer) -> None:
        """Give an id to a request that came from ``peer``."""
        environ = request.environ
        given: str | None = environ.get(_HEADER_KEY)
        if (
            given is None
            or self._trusted is None
            or not _VALID.match(given)
            or not self._trusted(peer)
        ):
            self._number += 1
            given = f"{self._prefix}-{self._number:x}"
        request.request_id = environ[_KEY] = environ[_HEADER_KEY] = given
