"""Answers about static files that contain no file: errors, redirects, directory listings."""

from __future__ import annotations

import errno
import logging
import tempfile
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from rocket_wsgi._environ.target import MAX_LOCATION
from rocket_wsgi._response.file_wrapper import FileSpan

if TYPE_CHECKING:
    from rocket_wsgi._environ.request import Request
    from rocket_wsgi._response.response import AnyResponse
    from rocket_wsgi._types import Headers

_log = logging.getLogger("rocket_wsgi")

ALLOW: Final = ("Allow", "GET, HEAD, OPTIONS")
"""The methods that files support (RFC 9110, section 10.2.1)."""

NOSNIFF: Final = ("X-Content-Type-Options", "nosniff")
"""Tells browsers to rely on ``Content-Type`` (Fetch Standard, section 3.6)."""

NOT_FOUND: Final = "404 Not Found"

_PLAIN: Final = ("Content-Type", "text/plain; charset=utf-8")
_FORBIDDEN: Final = "403 Forbidden"

_STATUSES: Final = {
    errno.ENOENT: NOT_FOUND,
    errno.ENOTDIR: NOT_FOUND,
    errno.ELOOP: NOT_FOUND,
    errno.EMLINK: NOT_FOUND,
    errno.ENAMETOOLONG: NOT_FOUND,
    errno.EINVAL: NOT_FOUND,
    errno.EILSEQ: NOT_FOUND,
    errno.ENXIO: NOT_FOUND,  # a socket
    errno.ENODEV: NOT_FOUND,
    errno.EISDIR: NOT_FOUND,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EMFILE: "503 Service Unavailable",
    errno.ENFILE: "503 Service Unavailable",
}
"""The status for each error of opening a file; any other error is a failure of the server."""


def refusal(request: Request) -> tuple[int, str, Headers]:
    """Return status, reason and header fields for a request with a body, which no file accepts."""
    if request.method in ("GET", "HEAD", "OPTIONS"):
        return 413, "a request for a file has no body", []
    return 405, "files are read-only", [ALLOW]


def send_status(response: AnyResponse, status: str, headers: Headers | None = None) -> None:
    """Send a response whose body is the reason phrase of its status."""
    response.start(status, [_PLAIN, NOSNIFF, *(headers or ())])
    response.send([f"{status[4:]}\n".encode()])


def send_error(request: Request, response: AnyResponse, error: OSError) -> None:
    """Send the status for an error of opening a file. Log an error that is a server failure."""
    status = _STATUSES.get(error.errno or 0)
    if status is None:
        _log.error("%s: cannot open the file: %s", request, error)
        status = "500 Internal Server Error"
    send_status(response, status, [("Retry-After", "1")] if status.startswith("503") else None)


def send_options(response: AnyResponse) -> None:
    """Send the answer to ``OPTIONS`` (RFC 9110, section 9.3.7)."""
    response.start("204 No Content", [ALLOW])
    response.send(())


def send_redirect(request: Request, response: AnyResponse) -> None:
    """Redirect to the same path with a slash at its end, with the prefix that a proxy has removed.

    The path begins with exactly one slash: two would make its first segment a host.
    """
    environ = request.environ
    path = f"{environ['SCRIPT_NAME']}{environ['PATH_INFO']}/"
    location = quote(path, safe="/!$&'()*+,;=:@~", encoding="latin-1")
    if environ["QUERY_STRING"]:
        location += "?" + environ["QUERY_STRING"]
    if len(location) > MAX_LOCATION:
        send_status(response, "414 URI Too Long")
        return
    send_status(response, "301 Moved Permanently", [("Location", location)])


def send_page(request: Request, response: AnyResponse, page: bytes) -> None:
    """Send the page that lists a directory."""
    headers = [NOSNIFF, ("Content-Type", "text/html; charset=utf-8")]
    headers.append(("Content-Length", str(len(page))))
    response.start("200 OK", headers)
    if request.method == "HEAD":
        response.send([page])
    else:
        send_content(page, response)


def send_content(content: bytes, response: AnyResponse) -> None:
    """Send a whole body, after `Response.start`, without ever waiting for the client."""
    if response.prefers_bytes(len(content)):
        response.send([content])
        return
    # A file occupies neither a thread nor memory while the client receives it.
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        response.send_span(FileSpan(file.fileno(), 0, len(content)))
