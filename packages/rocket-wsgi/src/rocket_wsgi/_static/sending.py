"""Sending a file that is open: its header fields, the conditions of the request, and ranges."""

from __future__ import annotations

import os
import secrets
import time
from email.utils import formatdate
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from rocket_wsgi._response.file_wrapper import FileSpan
from rocket_wsgi._static.answers import NOSNIFF, send_content, send_status
from rocket_wsgi._static.conditions import Outcome, Validators, evaluate, range_applies
from rocket_wsgi._static.media_type import media_type
from rocket_wsgi._static.ranges import ByteRange, parse_ranges

if TYPE_CHECKING:
    from rocket_wsgi._environ.request import Request
    from rocket_wsgi._response.response import AnyResponse
    from rocket_wsgi._types import Environ, Headers

_ACCEPT_RANGES: Final = ("Accept-Ranges", "bytes")


class OpenFile(NamedTuple):
    """The file that a request is answered with.

    Attributes:
        descriptor: its descriptor, which the caller closes.
        name: the last name of the requested path.
        size: its size in bytes.
        validators: its validators (RFC 9110, section 8.8).
        coding: its compression, a value of ``Content-Encoding``; empty for an uncompressed file.
        content: what is sent instead of the content at ``descriptor``, of the same ``size``; or
            None.
    """

    descriptor: int
    name: str
    size: int
    validators: Validators
    coding: str
    content: bytes | None = None


def describe(descriptor: int, name: str, status: os.stat_result, coding: str) -> OpenFile:
    """Describe an open file by its ``status``."""
    etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"'
    # Last-Modified must not be later than the time of the response (RFC 9110, section 8.8.2.1).
    modified = min(int(status.st_mtime), int(time.time()))
    return OpenFile(descriptor, name, status.st_size, Validators(etag, modified), coding)


def describe_compressed(file: OpenFile, content: bytes, coding: str) -> OpenFile:
    """Describe the compressed ``content`` of ``file``.

    Its entity tag is weak, since other processes may compress the file to other bytes.
    """
    validators = file.validators._replace(weak=True)
    return file._replace(size=len(content), validators=validators, coding=coding, content=content)


def send_file(file: OpenFile, fields: Headers, request: Request, response: AnyResponse) -> None:
    """Answer a GET or HEAD request with ``file``, and with ``fields`` among its header fields."""
    environ = request.environ
    outcome = evaluate(environ, file.validators)
    headers = [
        ("ETag", file.validators.field),
        ("Last-Modified", _http_date(file.validators.modified)),
        *fields,
    ]
    if outcome is Outcome.NOT_MODIFIED:
        response.start("304 Not Modified", headers)
        response.send(())
        return
    if outcome is Outcome.FAILED:
        send_status(response, "412 Precondition Failed")
        return
    headers.append(NOSNIFF)
    if file.content is None:
        headers.append(_ACCEPT_RANGES)
    if file.coding:
        headers.append(("Content-Encoding", file.coding))
    ranges = None
    if request.method == "GET" and "HTTP_RANGE" in environ:
        ranges = _requested_ranges(environ, file)
    kind = media_type(file.name)
    if ranges is None:
        headers.append(("Content-Type", kind))
        headers.append(("Content-Length", str(file.size)))
        response.start("200 OK", headers)
        whole = ByteRange(0, file.size)
        _send_part(file, whole, response, body=request.method == "GET")
    elif not ranges:
        unsatisfied = ("Content-Range", f"bytes */{file.size}")
        send_status(response, "416 Range Not Satisfiable", [unsatisfied])
    elif len(ranges) == 1:
        headers.append(("Content-Type", kind))
        headers.append(("Content-Range", ranges[0].content_range(file.size)))
        headers.append(("Content-Length", str(ranges[0].length)))
        response.start("206 Partial Content", headers)
        _send_part(file, ranges[0], response, body=True)
    else:
        _send_parts(file, ranges, kind, headers, response)


def _requested_ranges(environ: Environ, file: OpenFile) -> list[ByteRange] | None:
    """Return the ranges to send; None for the whole file; empty if no range is satisfiable."""
    ranges = parse_ranges(environ["HTTP_RANGE"], file.size)
    return ranges if range_applies(environ, file.validators) else None


@lru_cache(1024)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def _send_part(file: OpenFile, part: ByteRange, response: AnyResponse, *, body: bool) -> None:
    """Send one part of a file after `Response.start`, or without ``body`` the head alone."""
    if not body:
        response.send(())
    elif file.content is not None:
        send_content(file.content, response)
    elif response.prefers_bytes(part.length):
        if part.offset:
            os.lseek(file.descriptor, part.offset, os.SEEK_SET)
        response.send([os.read(file.descriptor, part.length)])
    else:
        response.send_span(FileSpan(file.descriptor, part.offset, part.length))


def _send_parts(
    file: OpenFile, ranges: list[ByteRange], kind: str, headers: Headers, response: AnyResponse
) -> None:
    """Send several parts as ``multipart/byteranges`` (RFC 9110, section 14.6)."""
    boundary = secrets.token_hex(12)
    spans = [
        (
            (
                f"\r\n--{boundary}\r\nContent-Type: {kind}\r\n"
                f"Content-Range: {each.content_range(file.size)}\r\n\r\n"
            ).encode("latin-1"),
            each.offset,
            each.length,
        )
        for each in ranges
    ]
    spans.append((f"\r\n--{boundary}--\r\n".encode("latin-1"), 0, 0))
    headers.append(("Content-Type", f"multipart/byteranges; boundary={boundary}"))
    response.start("206 Partial Content", headers)
    response.send_spans(file.descriptor, spans)
