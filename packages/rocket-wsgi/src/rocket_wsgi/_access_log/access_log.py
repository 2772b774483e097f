"""The access log: one line a request, written by a thread of its own."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Self

from rocket_core.http1 import RequestLine
from rocket_wsgi._access_log.format import Format
from rocket_wsgi._access_log.sink import make_target
from rocket_wsgi._access_log.writer import Writer
from rocket_wsgi._environ.request_record import RequestRecord

if TYPE_CHECKING:
    import logging
    import os
    from typing import TextIO

    from rocket_core import Connection
    from rocket_wsgi._environ.request import Request
    from rocket_wsgi._response.response import Response
    from rocket_wsgi._types import Environ

MAX_LINES: Final = 16384
"""Lines that wait to be written, before others are dropped."""


class AccessLog:
    """Writes a line for each request, those included that never reached the application.

    No thread that serves waits for it: lines are written by a thread of their own. When the target
    does not take them, up to ``max_lines`` wait, and others are dropped, which is warned of in the
    log ``rocket_wsgi.access_log`` once a minute with their number.

    One object may be shared by all workers, and by servers. As a context manager it closes at the
    end. What is left at the end of the process is written then, for up to five seconds.
    """

    def __init__(
        self,
        target: str | os.PathLike[str] | TextIO | logging.Logger,
        format: str = "combined",  # noqa: A002 - what everybody calls it
        *,
        max_lines: int = MAX_LINES,
    ) -> None:
        """Open ``target``; its thread begins with the first request.

        Args:
            target: the path of a file to append to, or of a descriptor that the process was given,
                such as ``/dev/stdout``; an open text stream such as ``sys.stdout``; or a logger,
                which gets each line at level INFO.
            format: ``combined``; ``json``, an object a line; ``json:time,client,status``, with
                these fields only; or a text such as ``{client} {method} {path} {header.x-tenant}``.
            max_lines: lines that wait to be written, at most.

        Raises:
            OSError: the file cannot be opened.
            TypeError: ``target`` is none of these.
            ValueError: the format is malformed or has an unknown field, or ``max_lines`` is not
                positive.
        """
        if max_lines < 1:
            raise ValueError("max_lines must be at least 1")
        compiled = Format(format)
        self._keys = compiled.keys
        self._threads = compiled.threads
        self._writer = Writer(make_target(target), compiled.line, max_lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def reopen(self) -> None:
        """Go on in a new file of the same name, because somebody has moved the old one away.

        Lines of earlier requests go to the old one. Returns at once; safe in a signal handler.
        """
        self._writer.reopen()

    def flush(self, timeout: float | None = 5.0) -> bool:
        """Wait until the lines so far are written, up to ``timeout`` seconds; whether they are.

        None: for ever.
        """
        return self._writer.flush(timeout)

    def close(self, timeout: float | None = 5.0) -> None:
        """Write the lines so far, for up to ``timeout`` seconds (None: for ever), and end.

        To be called when the servers that use it have stopped.
        """
        self._writer.close(timeout)

    # -- for the worker --------------------------------------------------------------------------

    def begin(self, connection: Connection, line: RequestLine, environ: Environ) -> RequestRecord:
        """An entry with what the application cannot change any more."""
        entry = RequestRecord()
        entry.line = line
        get = environ.get
        entry.values = [get(key) for key in self._keys]
        entry.requests = connection.requests
        entry.thread = threading.current_thread().name if self._threads else ""
        entry.queued = connection.queue_time
        entry.when = time.time()
        entry.began = time.monotonic()
        return entry

    def end(self, entry: RequestRecord, environ: Environ, response: Response) -> None:
        """The application is done."""
        entry.seconds = time.monotonic() - entry.began
        user = environ.get("REMOTE_USER")
        entry.user = user if isinstance(user, str) else None
        entry.status = response.status
        entry.size = response.sent
        entry.error = response.error
        self._writer.put(entry)

    def refused(
        self,
        connection: Connection,
        request: Request | None,
        status: int,
        *,
        reason: str,
        size: int = 0,
        raw: bytes = b"",
    ) -> None:
        """The server answered by itself, or nobody did (status 0).

        Where the head was not understood, ``raw`` is its beginning. Where the application runs
        still, its thread has the environ, so that what is known is what `begin` kept.
        """
        entry = RequestRecord()
        entry.raw = ""
        entry.when = time.time()
        entry.requests = connection.requests
        entry.thread = threading.current_thread().name if self._threads else ""
        entry.queued = entry.seconds = 0.0
        if request is None:
            entry.raw = raw.partition(b"\n")[0].rstrip(b"\r").decode("latin-1")
            parts = entry.raw.split(" ")
            entry.line = RequestLine(*parts) if len(parts) == 3 else None
            host = connection.peer.host
            entry.values = [host if key == "REMOTE_ADDR" else None for key in self._keys]
        elif request.entry is None:
            entry.line = request.line
            entry.values = [request.environ.get(key) for key in self._keys]
        else:
            begun = request.entry
            entry.line = begun.line
            entry.values = begun.values
            entry.thread = begun.thread
            entry.queued = begun.queued
            entry.when = begun.when
            entry.seconds = time.monotonic() - begun.began
        entry.error = reason
        entry.user = None
        entry.status = status
        entry.size = size
        self._writer.put(entry)
