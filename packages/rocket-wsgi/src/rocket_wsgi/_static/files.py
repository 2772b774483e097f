"""Files of a directory, as responses."""

from __future__ import annotations

import errno
import logging
import os
import secrets
import stat
import tempfile
import time
from email.utils import formatdate
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote

from rocket_wsgi._environ.target import MAX_LOCATION
from rocket_wsgi._response.file_wrapper import FileSpan
from rocket_wsgi._static.codings import SUFFIXES, preferred
from rocket_wsgi._static.conditions import Outcome, Validators, evaluate, range_applies
from rocket_wsgi._static.directory import list_items, render
from rocket_wsgi._static.lookup import open_beneath, split_path
from rocket_wsgi._static.media_type import media_type
from rocket_wsgi._static.ranges import ByteRange, parse_ranges

if TYPE_CHECKING:
    from rocket_wsgi._environ.request import Request
    from rocket_wsgi._response.response import Response
    from rocket_wsgi._types import Environ, Headers

_log = logging.getLogger("rocket_wsgi")

ALLOW: Final = ("Allow", "GET, HEAD, OPTIONS")

_NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")
_ACCEPT_RANGES: Final = ("Accept-Ranges", "bytes")
_VARY: Final = ("Vary", "Accept-Encoding")
_PLAIN: Final = ("Content-Type", "text/plain; charset=utf-8")

_NOT_FOUND: Final = "404 Not Found"
_FORBIDDEN: Final = "403 Forbidden"

_STATUSES: Final = {
    errno.ENOENT: _NOT_FOUND,
    errno.ENOTDIR: _NOT_FOUND,
    errno.ELOOP: _NOT_FOUND,
    errno.EMLINK: _NOT_FOUND,
    errno.ENAMETOOLONG: _NOT_FOUND,
    errno.EINVAL: _NOT_FOUND,
    errno.EILSEQ: _NOT_FOUND,
    errno.ENXIO: _NOT_FOUND,  # a socket
    errno.ENODEV: _NOT_FOUND,
    errno.EISDIR: _NOT_FOUND,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EMFILE: "503 Service Unavailable",
    errno.ENFILE: "503 Service Unavailable",
}
"""What errors of opening mean to the client; any other is a failure of the server."""


class _File(NamedTuple):
    """What a request is answered with.

    Attributes:
        descriptor: open; belongs to whoever opened it.
        name: the last one of the path that was asked for.
        size: in bytes.
        validators: of this file.
        coding: what the file is compressed with, in the sense of ``Content-Encoding``; or empty.
    """

    descriptor: int
    name: str
    size: int
    validators: Validators
    coding: str


class StaticFiles:
    """A directory whose files are served. Any number of threads may use one."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        index: str = "index.html",
        cache_control: str | None = None,
        precompressed: bool = False,
        listing: bool = False,
        follow_links: bool = False,
    ) -> None:
        """Serve what is in ``directory``, except for names that begin with a dot.

        Args:
            directory: the root.
            index: the name of the file that is served for a directory.
            cache_control: the value of ``Cache-Control`` (RFC 9111, section 5.2) for every file;
                None for no such field.
            precompressed: whether ``NAME.br`` and ``NAME.gz`` are sent instead of ``NAME`` to
                clients that accept them, where they are not older.
            listing: whether a directory without an index is listed.
            follow_links: whether symbolic links may lead out of the root.

        Raises:
            NotADirectoryError: ``directory`` is none.
            ValueError: ``index`` is no name that could be served; ``cache_control`` is no value of
                a header field.
        """
        self._root = str(Path(directory).absolute())
        if not Path(self._root).is_dir():
            raise NotADirectoryError(f"the root of static files is no directory: {self._root!r}")
        if "/" in index or not index or split_path("/" + index) is None:
            raise ValueError(f"the index must be the name of a file, not {index!r}")
        if cache_control is not None and not (
            cache_control.isascii() and cache_control.isprintable()
        ):
            raise ValueError(f"cache_control must be printable ASCII, not {cache_control!r}")
        self._index = index
        self._precompressed = precompressed
        self._listing = listing
        self._follow_links = follow_links
        self._fields: Headers = []
        if cache_control is not None:
            self._fields.append(("Cache-Control", cache_control))
        if precompressed:
            self._fields.append(_VARY)

    def answer(self, request: Request, prefix: str, response: Response) -> None:
        """Answer a request, without a body, for a path that begins with ``prefix``.

        Never waits for the client. Raises `ClientGone`, and `OSError` when the file system fails.
        """
        if request.method == "OPTIONS":
            response.start("204 No Content", [ALLOW])
            response.send(())
            return
        if request.method not in ("GET", "HEAD"):
            _say(response, "405 Method Not Allowed", [ALLOW])
            return
        path: str = request.environ["PATH_INFO"]
        if path == prefix:
            _redirect(request, response)  # from "/static" to "/static/"
            return
        names = split_path(path[len(prefix) :])
        if names is None:
            _say(response, _NOT_FOUND)
            return
        try:
            descriptor = self._open(names if names[-1] else [*names[:-1], self._index])
        except OSError as error:
            if names[-1] or not self._listing or error.errno != errno.ENOENT:
                _say_error(request, response, error)
            else:
                self._list(names, request, prefix, response)
            return
        try:
            self._answer(descriptor, names, request, response)
        finally:
            os.close(descriptor)

    def _open(self, names: list[str]) -> int:
        return open_beneath(self._root, names, follow_links=self._follow_links)

    def _answer(
        self, descriptor: int, names: list[str], request: Request, response: Response
    ) -> None:
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode) and names[-1]:
            _redirect(request, response)
            return
        if not stat.S_ISREG(status.st_mode):
            _say(response, _NOT_FOUND)
            return
        accepted = request.environ.get("HTTP_ACCEPT_ENCODING", "") if self._precompressed else ""
        names = names if names[-1] else [*names[:-1], self._index]
        for coding in preferred(accepted):
            sibling = self._open_sibling(names, coding, status)
            if sibling is None:
                continue
            try:
                self._send(
                    _describe(sibling, names[-1], os.fstat(sibling), coding), request, response
                )
            finally:
                os.close(sibling)
            return
        self._send(_describe(descriptor, names[-1], status, ""), request, response)

    def _open_sibling(self, names: list[str], coding: str, original: os.stat_result) -> int | None:
        """Open the file that holds what ``original`` does, compressed, if there is such a one."""
        try:
            descriptor = self._open([*names[:-1], names[-1] + SUFFIXES[coding]])
        except OSError:
            return None
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_mtime_ns >= original.st_mtime_ns:
            return descriptor
        os.close(descriptor)
        return None

    def _send(self, file: _File, request: Request, response: Response) -> None:
        environ = request.environ
        outcome = evaluate(environ, file.validators)
        headers = [
            ("ETag", file.validators.etag),
            ("Last-Modified", _http_date(file.validators.modified)),
            *self._fields,
        ]
        if outcome is Outcome.NOT_MODIFIED:
            response.start("304 Not Modified", headers)
            response.send(())
            return
        if outcome is Outcome.FAILED:
            _say(response, "412 Precondition Failed")
            return
        headers += [_NOSNIFF, _ACCEPT_RANGES]
        if file.coding:
            headers.append(("Content-Encoding", file.coding))
        ranges = None
        if request.method == "GET" and "HTTP_RANGE" in environ:
            ranges = _wanted(environ, file)
        kind = media_type(file.name)
        if ranges is None:
            headers.append(("Content-Type", kind))
            headers.append(("Content-Length", str(file.size)))
            response.start("200 OK", headers)
            whole = ByteRange(0, file.size)
            _send_part(file, whole, response, body=request.method == "GET")
        elif not ranges:
            _say(response, "416 Range Not Satisfiable", [("Content-Range", f"bytes */{file.size}")])
        elif len(ranges) == 1:
            headers.append(("Content-Type", kind))
            headers.append(("Content-Range", ranges[0].content_range(file.size)))
            headers.append(("Content-Length", str(ranges[0].length)))
            response.start("206 Partial Content", headers)
            _send_part(file, ranges[0], response, body=True)
        else:
            _send_parts(file, ranges, kind, headers, response)

    def _list(self, names: list[str], request: Request, prefix: str, response: Response) -> None:
        base = None if self._follow_links else os.path.realpath(self._root)
        path = str(Path(self._root, *names[:-1]))
        try:
            descriptor = self._open(names[:-1])
            try:
                items = list_items(path, descriptor, base)
            finally:
                os.close(descriptor)
        except OSError as error:
            _say_error(request, response, error)
            return
        page = render(request.environ["PATH_INFO"], items, top=len(names) == 1 and not prefix)
        headers = [_NOSNIFF, ("Content-Type", "text/html; charset=utf-8")]
        headers.append(("Content-Length", str(len(page))))
        response.start("200 OK", headers)
        if response.prefers_bytes(len(page)) or request.method == "HEAD":
            response.send([page])
            return
        with tempfile.TemporaryFile() as file:  # which waits for the client without a thread
            file.write(page)
            file.flush()
            response.send_span(FileSpan(file.fileno(), 0, len(page)))


def _describe(descriptor: int, name: str, status: os.stat_result, coding: str) -> _File:
    etag = f'"{status.st_mtime_ns:x}-{status.st_size:x}-{status.st_ino:x}"'
    # A date in the future would not be the truth (RFC 9110, section 8.8.2.1).
    modified = min(int(status.st_mtime), int(time.time()))
    return _File(descriptor, name, status.st_size, Validators(etag, modified), coding)


def _wanted(environ: Environ, file: _File) -> list[ByteRange] | None:
    """The ranges to be sent; None for the whole, and none at all where none exists."""
    ranges = parse_ranges(environ["HTTP_RANGE"], file.size)
    return ranges if range_applies(environ, file.validators) else None


@lru_cache(1024)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def _send_part(
    file: _File,
    part: ByteRange,
    response: Response,
    *,
    body: bool,
) -> None:
    """Send one part, or without ``body`` only the head, with the fields `Response.start` has."""
    if not body:
        response.send(())
    elif response.prefers_bytes(part.length):
        if part.offset:
            os.lseek(file.descriptor, part.offset, os.SEEK_SET)
        response.send([os.read(file.descriptor, part.length)])
    else:
        response.send_span(FileSpan(file.descriptor, part.offset, part.length))


def _send_parts(
    file: _File, ranges: list[ByteRange], kind: str, headers: Headers, response: Response
) -> None:
    """Send ``multipart/byteranges`` (RFC 9110, section 14.6)."""
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


def _redirect(request: Request, response: Response) -> None:
    """Send the client to the same path with a slash at its end, behind what a proxy took off it.

    The path begins with one slash, and not with two, which would make it another host's.
    """
    environ = request.environ
    path = f"{environ['SCRIPT_NAME']}{environ['PATH_INFO']}/"
    location = quote(path, safe="/!$&'()*+,;=:@~", encoding="latin-1")
    if environ["QUERY_STRING"]:
        location += "?" + environ["QUERY_STRING"]
    if len(location) > MAX_LOCATION:
        _say(response, "414 URI Too Long")
        return
    _say(response, "301 Moved Permanently", [("Location", location)])


def refusal(request: Request) -> tuple[int, str, Headers]:
    """Status, reason and header fields for a request with a body, which no file takes."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return 413, "a request for a file has no body", []
    return 405, "files are read only", [ALLOW]


def _say(response: Response, status: str, headers: Headers | None = None) -> None:
    """Answer with the status alone, and say it in the body, too."""
    response.start(status, [_PLAIN, _NOSNIFF, *(headers or ())])
    response.send([f"{status[4:]}\n".encode()])


def _say_error(request: Request, response: Response, error: OSError) -> None:
    status = _STATUSES.get(error.errno or 0)
    if status is None:
        _log.error("%s %s: the file cannot be opened: %s", *request.line[:2], error)
        status = "500 Internal Server Error"
    _say(response, status, [("Retry-After", "1")] if status.startswith("503") else None)
