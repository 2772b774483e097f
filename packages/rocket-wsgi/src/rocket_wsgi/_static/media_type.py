"""The media type of a file by the suffix of its name."""

from __future__ import annotations

import mimetypes
from posixpath import splitext
from typing import Final

from rocket_wsgi._repeat_cache import RepeatCache

_OWN: Final = {
    ".css": "text/css",
    ".csv": "text/csv",
    ".htm": "text/html",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".md": "text/markdown",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
    ".avif": "image/avif",
    ".webp": "image/webp",
    ".woff": "font/woff",
    ".woff2": "font/woff2",
    ".xml": "application/xml",
}
"""The types that pages depend on, regardless of the system's tables and the version of Python."""

_COMPRESSED: Final = {
    "br": "application/octet-stream",
    "bzip2": "application/x-bzip2",
    "compress": "application/x-compress",
    "gzip": "application/gzip",
    "xz": "application/x-xz",
}
_UNKNOWN: Final = "application/octet-stream"


class _Types(RepeatCache[str, str]):
    """The media types by suffix."""

    __slots__ = ()

    def __missing__(self, suffix: str) -> str:
        found = _find(suffix)
        self.offer(suffix, found)
        return found


_types: Final = _Types()


def media_type(name: str) -> str:
    """Return the ``Content-Type`` for a file called ``name``. The charset of text is UTF-8.

    The module `mimetypes` determines the types that are not in the table here. A compressed file
    has the type of its compression.
    """
    return _types[splitext(name)[1].lower()]


def _find(suffix: str) -> str:
    found = _OWN.get(suffix)
    if found is None:
        guess, compression = mimetypes.guess_type("name" + suffix)
        if compression is not None:
            return _COMPRESSED.get(compression, _UNKNOWN)
        found = guess or _UNKNOWN
    return f"{found}; charset=utf-8" if found.startswith("text/") else found
