"""One case: bytes, where their rule stands, and what comes of them."""

from __future__ import annotations

from dataclasses import dataclass, field

SENTINEL = b"GET /sentinel HTTP/1.1\r\nHost: sentinel\r\n\r\n"
"""A request behind each case: whether it is served shows where the server saw the case end."""


@dataclass(frozen=True)
class Seen:
    """A request as an application finds it; ``fields`` by their environ keys."""

    method: str
    path: str
    query: str
    fields: dict[str, str]
    body: bytes


SENTINEL_SEEN = Seen("GET", "/sentinel", "", {"HTTP_HOST": "sentinel"}, b"")


@dataclass(frozen=True)
class Case:
    """Bytes and their effect.

    ``seen`` are the requests that reach the application; ``status`` is that of the last answer;
    ``kept`` says whether the connection stays, and the sentinel is served; without ``sentinel``
    nothing is sent behind the bytes, so that the answer must not wait for more.
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
    """Answered with an error, after which nothing is read."""
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
    """One request that reaches the application."""
    found = {} if host is None else {"HTTP_HOST": host}
    seen = Seen(method, path, query, found | (fields or {}), body)
    return Case(name, source, data, 200, (seen,), kept)


def get(*lines: bytes) -> bytes:
    """A request without a body, with these field lines behind ``Host``."""
    return b"\r\n".join([b"GET / HTTP/1.1", b"Host: a", *lines, b"", b""])


def post(*lines: bytes, body: bytes = b"", version: bytes = b"1.1") -> bytes:
    """A request with these field lines and what follows the head."""
    return b"\r\n".join([b"POST / HTTP/" + version, b"Host: a", *lines, b"", body])


def chunked(body: bytes, *lines: bytes) -> bytes:
    """A chunked request: ``body`` is sent as it stands."""
    return post(b"Transfer-Encoding: chunked", *lines, body=body)


def first(line: bytes) -> bytes:
    """A request with this request line."""
    return line + b"\r\nHost: a\r\n\r\n"
