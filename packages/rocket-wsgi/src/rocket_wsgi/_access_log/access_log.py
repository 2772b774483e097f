"""The access log: one line per request, written by a separate thread."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Final, Self, TextIO

from rocket_core import Connection
from rocket_core.http1 import RequestLine
from rocket_wsgi._access_log.format import Format
from rocket_wsgi._access_log.sink import make_sink
from rocket_wsgi._access_log.writer import Writer
from rocket_wsgi._environ.request import Request
from rocket_wsgi._environ.request_record import RequestRecord
from rocket_wsgi._response.response import AnyResponse
from rocket_wsgi._types import Environ

MAX_LINES: Final = 16384
"""The default number of lines that may wait to be written."""


class AccessLog:
    """Writes a line for each request, including requests that the server refused.

    No serving thread waits for the log, because a separate thread writes the lines. If the sink
    does not accept them, up to ``max_lines`` lines wait, and further ones are dropped; the log
    ``rocket_wsgi.access_log`` has a warning with their number once a minute.

    All workers, and several servers, may share one object. As a context manager, it is closed at
    the end of the block. The exit of the process writes the remaining lines, for up to five
    seconds.
    """

    def __init__(
        self,
        sink: str | os.PathLike[str] | TextIO | logging.Logger,
        format: str = "combined",  # noqa: A002 - the usual name in other servers
        *,
        max_lines: int = MAX_LINES,
    ) -> None:
        """Open ``sink``. The writing thread starts with the first request.

        Args:
            sink: the path of a file to append to, or of a descriptor that the process was started
                with, such as ``/dev/stdout``; an open text stream, such as ``sys.stdout``; or a
                logger, which receives each line at level INFO.
            format: ``combined``; ``json`` for one object per line; ``json:time,client,status`` for
                an object with these fields only; or a text such as
                ``{client} {method} {path} {header.x-tenant}``.
            max_lines: the maximum number of lines that wait to be written.

        Raises:
            OSError: the file cannot be opened.
            TypeError: ``sink`` has none of these types.
            ValueError: the format is malformed or has an unknown field, or ``max_lines`` is less
                than 1.
        """
        if max_lines < 1:
            raise ValueError("max_lines must be at least 1")
        compiled = Format(format)
        self._keys = compiled.keys
        self._threads = compiled.threads
        self._writer = Writer(make_sink(sink), compiled.line, max_lines)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def lost(self) -> int:
        """The number of lines that were lost so far: dropped, or refused by the sink."""
        return self._writer.lost

    def reopen(self) -> None:
        """Continue in a new file of the same name after the old file has been renamed.

        The lines of earlier requests still go to the old file. Returns at once. Safe in a signal
        handler.
        """
        self._writer.reopen()

    def flush(self, timeout: float | None = 5.0) -> bool:
        """Wait up to ``timeout`` seconds until the lines so far are written.

        Returns whether they are. None waits without a limit.
        """
        return self._writer.flush(timeout)

    def close(self, timeout: float | None = 5.0) -> None:
        """Write the remaining lines for up to ``timeout`` seconds, and close the sink.

        None waits without a limit. Call this when the servers that use the log have stopped.
        """
        self._writer.close(timeout)

    # -- called by the worker, on the threads that serve requests --------------------------------

    def begin(self, connection: Connection, line: RequestLine, environ: Environ) -> RequestRecord:
        """Record a request before the application is called and may change its environ."""
        record = RequestRecord()
        record.line = line
        get = environ.get
        record.values = [get(key) for key in self._keys]
        record.requests = connection.requests
        record.thread = threading.current_thread().name if self._threads else ""
        record.queued = connection.queue_time
        record.when = time.time()
        record.began = time.monotonic()
        return record

    def end(self, record: RequestRecord, environ: Environ, response: AnyResponse) -> None:
        """Complete the record of a request that the application has answered, and log it."""
        record.seconds = time.monotonic() - record.began
        user = environ.get("REMOTE_USER")
        record.user = user if isinstance(user, str) else None
        record.status = response.status
        record.size = response.sent
        record.error = response.error
        self._writer.put(record)

    def put(self, record: RequestRecord) -> None:
        """Log a request whose record is complete. Any thread may call this."""
        self._writer.put(record)

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
        """Log a request that the application did not answer.

        Args:
            connection: its connection.
            request: the request; None if its head is malformed or incomplete.
            status: the status code of the server's response; 0 if no response was sent.
            reason: the reason for either, for the field ``error``.
            size: the number of bytes of the body that were sent.
            raw: the beginning of the received bytes if ``request`` is None.

        The application may still run and use the environ, on its own thread (the server answers
        504 then). Therefore this reads the record of a request that has one, and not its environ.
        """
        record = RequestRecord()
        record.raw = ""
        record.when = time.time()
        record.requests = connection.requests
        record.thread = threading.current_thread().name if self._threads else ""
        record.queued = record.seconds = 0.0
        if request is None:
            record.raw = raw.partition(b"\n")[0].rstrip(b"\r").decode("latin-1")
            parts = record.raw.split(" ")
            record.line = RequestLine(*parts) if len(parts) == 3 else None
            host = connection.peer.host
            record.values = [host if key == "REMOTE_ADDR" else None for key in self._keys]
        elif request.record is None:
            record.line = request.line
            record.values = [request.environ.get(key) for key in self._keys]
        else:
            begun = request.record
            record.line = begun.line
            record.values = begun.values
            record.thread = begun.thread
            record.requests = begun.requests
            record.queued = begun.queued
            record.when = begun.when
            record.seconds = time.monotonic() - begun.began
        record.error = reason
        record.user = None
        record.status = status
        record.size = size
        self._writer.put(record)
