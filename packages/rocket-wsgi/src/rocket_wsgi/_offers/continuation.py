"""What is left of a request while something that its view has begun goes on."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from rocket_wsgi._environ.request_record import Messages, MessagesRecord
from rocket_wsgi._offers.around import Around, call_within

if TYPE_CHECKING:
    from rocket_core import Connection
    from rocket_wsgi._environ.request import Request
    from rocket_wsgi._environ.request_record import RequestRecord
    from rocket_wsgi._types import Environ

_log = logging.getLogger("rocket_wsgi")


class RecordLog(Protocol):
    """The access log, as far as a record is written to it that is complete."""

    def put(self, record: RequestRecord, /) -> None:
        """Log a request. Any thread may call this."""


class Continuation:
    """A request whose view has returned, reduced to what is still needed. Any thread may use it.

    It holds neither the environ nor anything of a framework that is in there, but the strings in
    one piece, in little more memory than the head of the request takes.
    """

    __slots__ = ("_around", "_faults", "_log", "_record", "_strings", "_tally")

    def __init__(
        self,
        request: Request,
        connection: Connection,
        around: Around | None,
        log: RecordLog | None,
    ) -> None:
        """Continue ``request``, with its environ as the view has left it.

        ``around`` surrounds the callbacks. ``log`` gets the record of the request at the `end`;
        None: it is logged otherwise, or not at all.
        """
        strings = strings_of(request.environ)
        self._strings: Final = json.dumps(strings, ensure_ascii=False).encode(*_ENCODING)
        self._faults: Final = connection.server.faults
        self._tally: Final = connection.server.tally
        self._around: Final = around
        self._log: Final = log
        self._record: Final = None if log is None else request.record
        if self._record is not None:
            self._record.user = strings.get("REMOTE_USER")

    def __str__(self) -> str:
        environ = self.environ()
        return f"{environ.get('REQUEST_METHOD')} {environ.get('REQUEST_URI')}"

    def environ(self) -> Environ:
        """Return the strings of the environ as they were when the view had returned, in a dict."""
        environ: Environ = json.loads(self._strings.decode(*_ENCODING))
        return environ

    def call(self, what: str, function: Callable[..., object], *arguments: object) -> bool:
        """Call the application; return False if that raised an exception, which is logged then.

        A thread of the pool calls this. ``what`` is the name of the callback, for the log.
        """
        try:
            call_within(self._around, function, *arguments)
        except BaseException as error:  # noqa: BLE001 - an application must not end a thread
            self._faults.report(_log, error, "%s: %s failed", self, what)
            return False
        return True

    def count_response(self, status: int) -> None:
        """Count a response with ``status`` that is sent after the view has returned."""
        self._tally.count_response(status)

    def end(
        self, status: int, size: int, error: str | None = None, messages: Messages | None = None
    ) -> None:
        """Note in the access log that the exchange is over. To be called once.

        ``status`` is that of the response, 0 if none was sent, and ``size`` the number of bytes of
        its body. ``error`` tells why it is not complete. ``messages`` are those of a websocket or
        an event stream.
        """
        log, record = self._log, self._record
        if log is not None and record is not None:
            if messages is not None:
                record = MessagesRecord(record, messages)
            record.seconds = time.monotonic() - record.began
            record.status = status
            record.size = size
            record.error = error
            log.put(record)


_ENCODING: Final = ("utf-8", "surrogatepass")


def strings_of(environ: Environ) -> dict[str, str]:
    """Return the entries of ``environ`` whose values are strings."""
    return {key: value for key, value in environ.items() if isinstance(value, str)}
