"""The static table of HPACK (RFC 7541, appendix A)."""

from __future__ import annotations

from typing import Final

from rocket_wsgi._http2.field import Field

_BEGINNING: Final = (
    (":authority", ("",)),
    (":method", ("GET", "POST")),
    (":path", ("/", "/index.html")),
    (":scheme", ("http", "https")),
    (":status", ("200", "204", "206", "304", "400", "404", "500")),
    ("accept-charset", ("",)),
    ("accept-encoding", ("gzip, deflate",)),
)
"""Names with their values. The rest has names only, in alphabetical order."""

_REST: Final = """
    accept-language accept-ranges accept access-control-allow-origin age allow authorization
    cache-control content-disposition content-encoding content-language content-length
    content-location content-range content-type cookie date etag expect expires from host if-match
    if-modified-since if-none-match if-range if-unmodified-since last-modified link location
    max-forwards proxy-authenticate proxy-authorization range referer refresh retry-after server
    set-cookie strict-transport-security transfer-encoding user-agent vary via www-authenticate
"""

STATIC: Final = [
    *(Field(name, value) for name, values in _BEGINNING for value in values),
    *(Field(name, "") for name in _REST.split()),
]
"""The fields, of which that with index 1 comes first."""
