"""``wsgi.early_hints``: header fields that are known before the response (RFC 8297)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rocket_wsgi._errors import ApplicationError
from rocket_wsgi._response.response_head import check_hints, field_line

if TYPE_CHECKING:
    from collections.abc import Iterable


def encode_hints(headers: Iterable[tuple[str, str]]) -> bytes:
    """Return a whole 103 response; empty if there are no ``headers``.

    Raises `ApplicationError` as `check_hints`.
    """
    lines = [field_line(name, value) for name, value in check_hints(headers)]
    if not lines:
        return b""
    text = "".join(["HTTP/1.1 103 Early Hints\r\n", *lines, "\r\n"])
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError as error:
        raise ApplicationError("an early hint is not latin-1") from error
