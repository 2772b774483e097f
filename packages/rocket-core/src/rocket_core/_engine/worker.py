"""The protocol: what a server does with its connections."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import Any

from rocket_core._connection.buffers import take_head
from rocket_core._connection.connection import Connection
from rocket_core._engine.response_counts import ResponseCounts
from rocket_core._state import State
from rocket_core.http1 import RequestLine, read_fields, split_head

_log = logging.getLogger("rocket_core.worker")


class Worker(ABC):
    """Serves connections. A protocol is a subclass with one method, `serve`.

    Every thread of the pool has an instance of its own, and so have the threads for urgent requests
    and the Monitor's thread, so instances need no locks. What belongs to a client is kept in
    `Connection.context`.

    Attributes:
        responses: what the worker counts of its responses, if its protocol is HTTP.
    """

    responses: ResponseCounts | None = None

    @abstractmethod
    def serve(self, connection: Connection) -> State | None:
        """Serve one request, or as many as have arrived, on a thread of the pool.

        Returns what the connection waits for next: ``State.IDLE`` for another request,
        ``State.HEAD`` or ``State.BODY`` for the rest of a request that has arrived in part,
        ``State.SHARED`` after `Connection.share`, to let other threads send as well,
        ``State.LINGER`` to close once the client has read the answer, ``State.CLOSED`` or None to
        close at once. Output the client has not taken yet is sent in any case.

        An exception is logged with its traceback and closes the connection. `ClientGone`, which
        reading and writing raise, closes it silently.

        Nothing else here may wait for the client: there, what would wait raises `WaitError`. A
        write of up to 16 KiB while nothing is unsent never does.
        """

    def receive(self, connection: Connection) -> State:
        """Receive from the client without waiting, and say whether `serve` has something to do.

        Called whenever something may have arrived, and in ``State.IDLE`` after a response when more
        is buffered: from any thread, often the Monitor's own, so nothing that takes long belongs
        here. Returns ``State.READY`` to have `serve` called, or any state that `serve` may return.
        It is not called in ``State.SHARED``: see `SharedProtocol`. In ``State.BODY`` it reports
        what arrived to `Connection.transferred`, which puts the deadline off. Raises `OSError` for
        a broken connection.

        This implementation is ready as soon as there is anything new to read. Protocols that
        override it to wait for a whole request let no slow client near a thread.
        """
        state = connection.state
        if connection.buffered and state is State.IDLE:
            return State.READY
        count = connection.fill()
        if count is None:
            return state
        return State.READY if count else State.CLOSED

    def expired(self, connection: Connection) -> State:
        """The client let its time run out in ``connection.state``, IDLE, HEAD or BODY.

        May write a last message. Called like `receive`; returns ``State.CLOSED`` or
        ``State.LINGER``.
        """
        del connection
        return State.CLOSED

    def failed(self, connection: Connection, error: BaseException) -> State:
        """`serve` or `receive` raised ``error``, which is already logged. Called as `expired`."""
        del connection, error
        return State.CLOSED

    def overloaded(self, connection: Connection) -> State:
        """The request in ``connection`` is complete and waited too long, or too many wait.

        May write why it is not served. Called as `expired`.
        """
        del connection
        return State.CLOSED

    def overdue(self, connection: Connection, context: Any) -> State:
        """The request in ``connection`` ran for longer than the server's ``request_timeout``.

        Only for a protocol whose `serve` offers the right to answer while it does not use the
        connection: see `Lease`. ``context`` came with that offer. The thread of the request still
        runs, and has lost the connection. Called as `expired`.
        """
        del connection, context
        return State.CLOSED

    def doing(self) -> str:
        """Return what `serve` is busy with, such as a method and a path; empty if it is not known.

        The text is for people, and asked of a worker that serves. Any thread may call this, so
        what the text says may be over already.
        """
        return ""

    def started(self) -> None:  # noqa: B027 - most have nothing to begin
        """The server starts. Called on one worker for all of them.

        This is the place to make what all workers of a server share. When it raises, the server
        does not start.
        """

    def stopped(self) -> None:  # noqa: B027 - most have nothing to end
        """The server has stopped. Called on the worker that was told `started`."""

    def retired(self) -> None:  # noqa: B027 - most have nothing to end
        """The thread of this worker is about to end, and calls this method last.

        This is the place to release what belongs to the thread, such as a connection to a database.
        """

    def urgent(self, connection: Connection) -> bool:
        """Return whether the request in ``connection`` is served even while all workers are busy.

        Asked only then, called as `receive`, and meant for health checks: few threads serve all
        such requests.
        """
        del connection
        return False

    def closed(self, connection: Connection) -> None:  # noqa: B027 - most have nothing to release
        """Release what the context of ``connection`` holds, which is closed."""

    take_head = staticmethod(take_head)

    @staticmethod
    def parse_head(head: bytes) -> tuple[RequestLine, dict[str, str]]:
        """Return the request line and the header fields, by lower-case name.

        For protocols of your own with heads like those of HTTP/1. A protocol that needs the fields
        in another form, such as that of rocket-wsgi, calls `check_head`, `split_request_line`
        and `read_fields` itself. The values of a repeated field are joined. Raises `HeadError` with
        the status that tells why.
        """
        line, lines = split_head(head)
        fields: dict[str, str] = {}
        read_fields(lines, fields)
        return line, fields


def retire(worker: Worker) -> None:
    """Tell a worker, on its thread, that this thread ends."""
    try:
        worker.retired()
    except BaseException:  # noqa: BLE001 - of the protocol's making
        _log.exception("the worker's retired() failed")
