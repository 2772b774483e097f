"""Request IDs: one for each request, from a trusted proxy or made by the server."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from typing import Final

from rocket_core import Peer
from rocket_wsgi._grammar import TCHAR
from rocket_wsgi._types import Environ

HEADER: Final = "X-Request-ID"
"""The header field of the ID in requests and in responses."""

_KEY: Final = "rocket.request_id"
_HEADER_KEY: Final = "HTTP_X_REQUEST_ID"
_VALID: Final = re.compile(rf"[{TCHAR}:/=@]{{1,128}}\Z")
"""The characters of a token, and further ones of base64 and of e-mail and IP addresses."""


class RequestIds:
    """The settings of request IDs.

    Each request gets an ID. It is in the environ as ``rocket.request_id`` and as
    ``HTTP_X_REQUEST_ID``, where it replaces the value of an untrusted client, and in the access log
    as ``request_id``.
    """

    def __init__(
        self, *, trusted: Callable[[Peer], bool] | None = None, echo: bool = False
    ) -> None:
        """Choose the origin of the IDs, and whether responses contain them.

        Args:
            trusted: returns whether the ID that a peer sends in ``X-Request-ID`` is accepted. It is
                called for each request that has a valid one: 1 to 128 characters, all of them
                letters, digits or one of ``!#$%&'*+-.^_`|~:/=@``. With None, the server makes every
                ID.
            echo: whether responses have the ID in ``X-Request-ID``.
        """
        self.trusted = trusted
        self.echo = echo


class IdSource:
    """Makes the IDs of one thread: a random prefix and a number."""

    def __init__(self, settings: RequestIds) -> None:
        self._trusted = settings.trusted
        self._prefix = secrets.token_hex(8)
        self._number = 0

    def assign(self, environ: Environ, peer: Peer) -> str:
        """Put the ID of a request from ``peer`` into its environ, and return it."""
        given: str | None = environ.get(_HEADER_KEY)
        if (
            given is None
            or self._trusted is None
            or not _VALID.match(given)
            or not self._trusted(peer)
        ):
            self._number += 1
            given = f"{self._prefix}-{self._number:x}"
        environ[_KEY] = environ[_HEADER_KEY] = given
        return given
