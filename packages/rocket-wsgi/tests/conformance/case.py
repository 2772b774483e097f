"""One case: bytes, the source of their rule, and their result."""

from __future__ import annotations

from dataclasses import dataclass, field

SENTINEL = b"GET /sentinel HTTP/1.1\r\nHost: sentinel\r\n\r\n"
"""A request after each case. Its answer shows where the case ended for the server."""


@dataclass(frozen=True)
class Seen:
    """A request as an application finds it, with ``fields`` by their environ keys."""

    method: str
    path: str
    query: str
    fields: dict[str, str]
    body: bytes


SENTINEL_SEEN = Seen("GET", "/sentinel", "", {"HTTP_HOST": "sentinel"}, b"")


@dataclass(frozen=True)
class Case:
    """Bytes and their result.

    Attributes:
        name: the name of the case.
        source: the section of the RFC or PEP, or the CVE, that the case is based on.
        data: the bytes.
        status: the status code of the last answer before the sentinel's.
        seen: the requests that reach the application.
        kept: whether the connection is kept, so that the sentinel is served.
        sentinel: whether the sentinel is sent after the bytes. Without it, the answer must not wait
            for more bytes.
    """

    name: str
    source: str
    data: bytes = field(repr=False)
    status: int
    seen: tuple[Seen, ...] = ()
    kept: bool = False
    sentinel: bool = True

    @property
    def sent(self) -> bytes:
        return self.data + SENTINEL if self.sentinel else self.data


def refused(
    name: str, source: str, data: bytes, status: int = 400, *, sentinel: bool = True
) -> Case:
    """Return a case that is answered with an error, after which the server reads nothing."""
    return Case(name, source, data, status, sentinel=sentinel)


def accepted(
    name: str,
    source: str,
    data: bytes,
    *,
    method: str = "GET",
    path: str = "/",
    query: str = "",
    host: str | None = "a",
    fields: dict[str, str] | None = None,
    body: bytes = b"",
    kept: bool = True,
) -> Case:
    """Return a case of one request that reaches the application."""
    found = {} if host is None else {"HTTP_HOST": host}
    seen = Seen(method, path, query, found | (fields or {}), body)
    return Case(name, source, data, 200, (seen,), kept)


def get(*lines: bytes) -> bytes:
    """Return a request without a body, with these field lines after ``Host``."""
    return b"\r\n".join([b"GET / HTTP/1.1", b"Host: a", *lines, b"", b""])


def post(*lines: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    """Return a POST request with these field lines, and ``body`` after its head."""
    return b"\r\n".join([b"POST / HTTP/" + version, b"Host: a", *lines, b"", body])


def chunked(body: bytes, *lines: bytes) -> bytes:
    """Return a request with ``body`` as its chunked body, unchanged."""
    return post(b"Transfer-Encoding: chunked", *lines, body=body)


def first(line: bytes) -> bytes:
    """Return a request with this request line."""
    return line + b"\r\nHost: a\r\n\r\n"
