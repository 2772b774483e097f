"""Requests of HTTP/1.1, as a proxy that checks nothing would pass them on over HTTP/2."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_ABSOLUTE = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)(.*)", re.DOTALL)
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})(?:[ \t]*;[^\r\n]*)?\r\n")
_DIGITS = re.compile(rb"[0-9]{1,19}")
_BLANK = b" \t"

Fields = list[tuple[bytes, bytes]]


class NoMeaningError(Exception):
    """Bytes that say nothing over HTTP/2. The text has the section of the RFC, and the reason."""


@dataclass
class Translated:
    """A request over HTTP/2.

    Attributes:
        pseudo: the pseudo-header fields.
        fields: the other fields.
        trailers: the trailers; empty if there are none.
        ended: whether all of the body is there.
    """

    pseudo: Fields
    fields: Fields
    body: bytes = b""
    trailers: Fields = field(default_factory=list)
    ended: bool = True

    def with_host(self) -> Translated:
        """Return the same request with the field ``host`` instead of ``:authority``."""
        hosts = [(b"host", value) for name, value in self.pseudo if name == b":authority"]
        pseudo = [each for each in self.pseudo if each[0] != b":authority"]
        return Translated(pseudo, hosts + self.fields, self.body, self.trailers, self.ended)


def translate(data: bytes) -> list[Translated]:
    """Return the requests in ``data``. Raises `NoMeaningError`."""
    found = []
    while data:
        request, data = _translate_first(data)
        found.append(request)
    return found


def _translate_first(data: bytes) -> tuple[Translated, bytes]:
    """Return the first request, and the bytes behind it."""
    head, end, rest = data.removeprefix(b"\r\n").partition(b"\r\n\r\n")
    if not end:
        raise NoMeaningError("RFC 9113, 4.1: a frame tells its length, and no line its end")
    first, *lines = head.split(b"\r\n")
    request = _read_line(first, _read_fields(lines))
    return request, _read_body(request, rest)


def _read_line(line: bytes, fields: Fields) -> Translated:
    """Take the request line apart, at its first space and at its last one."""
    method, space, rest = line.partition(b" ")
    target, another, version = rest.rpartition(b" ")
    if not (space and another):
        raise NoMeaningError("RFC 9113, 8.3.1: method and target are fields of their own")
    if version != b"HTTP/1.1":
        raise NoMeaningError("RFC 9113, 8.3.1: a request does not tell a version")
    hosts = [value for name, value in fields if name == b"host"]
    others = [each for each in fields if each[0] != b"host"]
    pseudo = [(b":method", method)]
    authority = hosts[:1]
    if method == b"CONNECT":
        return Translated([*pseudo, (b":authority", target)], others)
    if match := _ABSOLUTE.fullmatch(target):
        scheme, host, target = match.groups()
        if not target.startswith(b"/"):
            target = b"/" + target
        authority = [host]  # which replaces Host (RFC 9112, section 3.2.2)
    else:
        scheme = b"http"
    pseudo += [(b":scheme", scheme), (b":path", target)]
    pseudo += [(b":authority", value) for value in authority]
    return Translated(pseudo, [*((b"host", value) for value in hosts[1:]), *others])


def _read_fields(lines: list[bytes]) -> Fields:
    fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if not colon or line[:1] in (b" ", b"\t"):
            raise NoMeaningError("RFC 9113, 8.2: a field is no line, and has a name and a value")
        fields.append((name.lower(), value.strip(_BLANK)))
    return fields


def _read_body(request: Translated, rest: bytes) -> bytes:
    """Read the body of a request; return what follows."""
    lengths = [value for name, value in request.fields if name == b"content-length"]
    codings = [value.lower() for name, value in request.fields if name == b"transfer-encoding"]
    if codings == [b"chunked"] and not lengths:
        request.fields = [each for each in request.fields if each[0] != b"transfer-encoding"]
        return _read_chunks(request, rest)
    if codings or not lengths:
        return b"" if codings else rest
    if len(lengths) == 1 and _DIGITS.fullmatch(lengths[0]):
        size = int(lengths[0])
        request.body, rest = rest[:size], rest[size:]
        request.ended = len(request.body) == size
        return rest
    request.body = rest
    return b""


def _read_chunks(request: Translated, rest: bytes) -> bytes:
    while match := _CHUNK.match(rest):
        size = int(match[1], 16)
        rest = rest[match.end() :]
        if not size:
            lines, end, rest = (b"\r\n" + rest).partition(b"\r\n\r\n")
            if not end:
                break
            request.trailers = _read_fields(lines.split(b"\r\n")[1:])
            return rest
        request.body += rest[:size]
        if rest[size : size + 2] != b"\r\n":
            break
        rest = rest[size + 2 :]
    raise NoMeaningError("RFC 9113, 8.1: there are no chunks")
