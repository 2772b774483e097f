"""What the head of a response says about its compression, and what compression makes of the head.

The application's fields are not checked yet: whatever is invalid in them is left to the check,
uncompressed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from rocket_wsgi._types import Headers

MIN_SIZE: Final = 1024
"""The size in bytes of a body from which on it is compressed. Less may fit into one packet."""

VARY: Final = ("Vary", "Accept-Encoding")

_TYPES: Final = frozenset(
    {
        "application/graphql",
        "application/javascript",
        "application/json",
        "application/rtf",
        "application/toml",
        "application/vnd.api+json",
        "application/wasm",
        "application/x-javascript",
        "application/x-ndjson",
        "application/xml",
        "application/yaml",
        "font/otf",
        "font/ttf",
        "image/bmp",
        "image/vnd.microsoft.icon",
        "image/x-icon",
    }
)
_SUFFIXES: Final = ("+json", "+text", "+xml", "+yaml")

_FIXED: Final = frozenset(
    {
        "content-digest",
        "content-encoding",
        "content-md5",
        "content-range",
        "digest",
        "repr-digest",
    }
)
"""The fields of a body that must stay as it is: it is encoded, a part, or has a digest."""

_OF_PLAIN: Final = frozenset({"accept-ranges", "content-length", "content-encoding"})
"""The fields that do not hold for the compressed body."""


class Described(NamedTuple):
    """What the head of a response says.

    Attributes:
        compressible: whether the body may be compressed, and gains from it, unless it is small.
        revalidated: whether the status is 304, so that the response describes one that the client
            has stored.
        length: the value of Content-Length; None if there is none.
    """

    compressible: bool
    revalidated: bool
    length: int | None


NOT_COMPRESSED: Final = Described(compressible=False, revalidated=False, length=None)


def compresses(media_type: str) -> bool:
    """Return whether the bodies of a type are text, or as compressible."""
    essence = media_type.partition(";")[0].strip().lower()
    return essence.startswith("text/") or essence in _TYPES or essence.endswith(_SUFFIXES)


def forbids(cache_control: str) -> bool:
    """Return whether a value of Cache-Control forbids it (RFC 9111, section 5.2.2.6)."""
    directives = cache_control.lower().split(",")
    return any(each.strip() == "no-transform" for each in directives)


def describe_head(status: Any, headers: Sequence[tuple[Any, Any]]) -> Described:
    """Return what the arguments of ``start_response`` say."""
    code = status[:3] if type(status) is str else ""
    revalidated = code == "304"
    if not code or code.startswith("1") or code in ("204", "206"):
        return NOT_COMPRESSED
    suits = revalidated  # such a response need not repeat the type
    length = None
    for name, value in headers:
        if type(name) is not str or type(value) is not str:
            return NOT_COMPRESSED
        lower = name.lower()
        if lower in _FIXED or (lower == "cache-control" and forbids(value)):
            return NOT_COMPRESSED
        if lower == "content-type":
            suits = compresses(value)
        elif lower == "content-length":
            if length is not None or not (value.isascii() and value.isdigit()):
                return NOT_COMPRESSED
            length = int(value)
    return Described(suits and not revalidated, suits and revalidated, length)


def compressed_head(headers: Headers, coding: str, length: int | None) -> Headers:
    """Return the fields of the compressed response, whose body has ``length`` bytes if known.

    A strong entity tag becomes weak, since it is the tag of the uncompressed body (RFC 9110,
    section 8.8.1).
    """
    kept = [_weakened(field) for field in headers if field[0].lower() not in _OF_PLAIN]
    kept.append(("Content-Encoding", coding))
    if length is not None:
        kept.append(("Content-Length", str(length)))
    return varying(kept)


def revalidated_head(headers: Headers, if_none_match: str) -> Headers:
    """Return the fields of a 304 response, which may describe a compressed one.

    If the client has named the weak form of an entity tag, that is what the response has had (RFC
    9111, section 4.3.4).
    """
    return varying(
        [_weakened(field) if f"W/{field[1]}" in if_none_match else field for field in headers]
    )


def _weakened(field: tuple[str, str]) -> tuple[str, str]:
    name, value = field
    return (name, f"W/{value}") if name.lower() == "etag" and value.startswith('"') else field


def varying(headers: Headers) -> Headers:
    """Return ``headers`` with Accept-Encoding in ``Vary`` (RFC 9110, section 12.5.5)."""
    for index, (name, value) in enumerate(headers):
        if name.lower() == "vary":
            listed = {each.strip().lower() for each in value.split(",")}
            if "*" in listed or "accept-encoding" in listed:
                return headers
            last = index
            break
    else:
        return [*headers, VARY]
    for name, value in headers[last + 1 :]:  # the field may be there several times
        if name.lower() == "vary" and "accept-encoding" in value.lower():
            return headers
    name, value = headers[last]
    joined = f"{value}, {VARY[1]}" if value.strip() else VARY[1]
    return [*headers[:last], (name, joined), *headers[last + 1 :]]
