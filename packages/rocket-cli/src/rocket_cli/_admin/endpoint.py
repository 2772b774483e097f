"""The admin endpoint: a Worker of rocket-core that answers operators on a Unix socket."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rocket_cli._admin.protocol import MAX_LINE, ProtocolError, answer, failure, parse_question
from rocket_cli._admin.reply import Ask, AskError, Reply
from rocket_core import Connection, State, Worker


class AdminWorker(Worker):
    """Speaks the admin protocol. A thread is only held once a question has arrived completely."""

    def __init__(self, ask: Ask) -> None:
        """Answer questions with the results of ``ask``."""
        self._ask = ask

    def receive(self, connection: Connection) -> State:
        """Receive until there is a line, or more bytes than a line may have."""
        while not (_has_line(connection) or connection.buffered > MAX_LINE):
            count = connection.fill()
            if count is None:
                return State.HEAD if connection.buffered else State.IDLE
            if count == 0:
                return State.CLOSED
        return State.READY

    def serve(self, connection: Connection) -> State:
        """Answer one question. An invalid question ends the connection."""
        line = connection.take_through(b"\n")
        try:
            if line is None or len(line) > MAX_LINE:
                raise ProtocolError(f"a question must not be longer than {MAX_LINE} bytes")
            command, arguments = parse_question(line)
        except ProtocolError as error:
            connection.write(failure(str(error)))
            return State.LINGER
        try:
            line = answer(self._carry_out(command, arguments))
        except AskError as error:
            line = failure(str(error))
        connection.write(line)
        return State.IDLE

    def _carry_out(self, command: str, arguments: Mapping[str, Any]) -> Reply:
        if command != "resize":
            return self._ask(command, arguments)
        # The supervisor changes the number of processes, each process that of its threads.
        answers = []
        for name, value in arguments.items():
            answers += self._ask(f"resize-{name}", {name: value}).answers
        return Reply(answers)

    def failed(self, connection: Connection, error: BaseException) -> State:
        """Send the error to the client, unless a part of an answer was sent before."""
        if not connection.unsent:
            connection.write(failure(f"the server failed to answer: {error!r}"))
        return State.LINGER


def _has_line(connection: Connection) -> bool:
    return connection.find(b"\n") >= 0
