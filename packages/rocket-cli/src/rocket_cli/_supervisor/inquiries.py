"""What processes ask the supervisor, and through it one another."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

from rocket_cli._processes.channel import Message
from rocket_cli._supervisor.children import Child, Children
from rocket_cli._supervisor.questions import Broadcast, add_statistics
from rocket_cli._supervisor.timers import Timers

Answer = Callable[[Message], None]
"""To be called, now or later, with what is to be answered."""

Own = Callable[[Message, Answer], None]
"""Answers a question itself, given its arguments."""


class Inquiries:
    """Answers what the supervisor knows, and has all processes that serve asked the rest.

    Counts of processes that have ended are kept, and go with every answer.
    """

    def __init__(
        self,
        children: Children,
        timers: Timers,
        own: Mapping[str, Own],
        note: Callable[[str, Message], None] | None = None,
    ) -> None:
        """``own`` are the questions that the supervisor answers itself, by name.

        ``note``, if any, is told of all others, by name and with arguments, before they are asked.
        """
        self._children = children
        self._own = own
        self._note = note
        self._questions = Broadcast(timers, children.tell)
        self._ended: Message = {}

    def asked(self, child: Child, message: Message) -> None:
        """``child`` asks."""
        ended = copy.deepcopy(self._ended)
        arguments = message.get("arguments", {})

        def reply(answers: list[Message]) -> None:
            answer = {"id": message.get("id"), "answers": answers, "ended": ended}
            self._children.tell(child, answer)

        own = self._own.get(message["ask"])
        if own is not None:
            own(arguments, lambda answer: reply([answer]))
        else:
            if self._note is not None:
                self._note(message["ask"], arguments)
            asked = [each for each in self._children if each.answers]
            self._questions.ask(message["ask"], arguments, asked, reply)

    def answered(self, child: Child, message: Message) -> None:
        """``child`` has answered a question."""
        child.counters = message.get("result", {}).get("counters", child.counters)
        self._questions.answered(child, message)

    def final(self, child: Child, statistics: Message) -> None:
        """``child`` is about to end, and has counted this."""
        if child.final:
            return
        child.final = True
        self._questions.gone(child)
        add_statistics(self._ended, statistics)

    def gone(self, child: Child) -> None:
        """``child`` has ended; it counts with what it has told, if it was killed."""
        if not child.final:
            add_statistics(self._ended, child.counters)
        self._questions.gone(child)
