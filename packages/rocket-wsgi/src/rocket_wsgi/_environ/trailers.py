"""Trailer fields, which follow a body (RFC 9110, section 6.5)."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

FRAMING: Final = frozenset({"content-length", "transfer-encoding", "host"})
"""The fields that tell the framing or the routing of the request. A request with one of them as a
trailer is refused: a peer that believed it would find other requests (section 6.5.1)."""

UNFIT: Final = FRAMING | {
    "age",
    "authorization",
    "cache-control",
    "connection",
    "content-encoding",
    "content-range",
    "content-type",
    "cookie",
    "date",
    "expect",
    "expires",
    "forwarded",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-range",
    "if-unmodified-since",
    "keep-alive",
    "location",
    "max-forwards",
    "pragma",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "range",
    "retry-after",
    "set-cookie",
    "te",
    "trailer",
    "upgrade",
    "vary",
    "warning",
    "www-authenticate",
}
"""The fields that have to be known before the body: those about the framing, the routing and the
connection, about who asks and what may be answered, and about what the response or the content is
(section 6.5.1). A client's are dropped, and an application's are an error."""

NONE: Final[Mapping[str, str]] = MappingProxyType({})
"""The trailers of a request that can have none."""


def add_trailer(trailers: dict[str, str], name: str, value: str) -> None:
    """Add a field of a request to ``trailers``, unless it is unfit. ``name`` is in lower case."""
    if name in UNFIT:
        return
    before = trailers.get(name)
    trailers[name] = value if before is None else f"{before}, {value}"
