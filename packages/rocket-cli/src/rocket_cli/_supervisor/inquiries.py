"""The questions that processes ask the supervisor and, through it, one another."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Final

from rocket_cli._admin.counters import add
from rocket_cli._processes.channel import Message
from rocket_cli._supervisor.broadcast import Broadcast
from rocket_cli._supervisor.child import Child
from rocket_cli._supervisor.children import Children
from rocket_cli._supervisor.timers import Timers

_MAX_NAMES: Final = 256
"""Counters, or parts of one, that are kept of ended processes, which may make names up."""

Respond = Callable[[Message], None]
"""Called with the answer to a question, at once or later."""

Own = Callable[[Message, Respond], None]
"""Answers a question in the supervisor, given its arguments."""


class Inquiries:
    """Answers what the supervisor knows, and asks all worker processes the rest.

    The counters of processes that have ended are kept, and go with every answer.
    """

    def __init__(
        self,
        children: Children,
        timers: Timers,
        own: Mapping[str, Own],
        note: Callable[[str, Message], None],
    ) -> None:
        """Answer no question yet.

        ``own`` are the questions that the supervisor answers itself, by name. ``note`` is called
        with the name and the arguments of every other question before the processes are asked.
        """
        self._children = children
        self._own = own
        self._note = note
        self._broadcast = Broadcast(timers, children.tell)
        self._ended: Message = {}

    def asked(self, child: Child, message: Message) -> None:
        """Handle a question that ``child`` asks."""
        # A process may end while the others answer; its counters must not be in both parts.
        ended = copy.deepcopy(self._ended)
        arguments = message.get("arguments", {})

        def reply(answers: list[Message]) -> None:
            answer = {"id": message.get("id"), "answers": answers, "ended": ended}
            self._children.tell(child, answer)

        own = self._own.get(message["ask"])
        if own is not None:
            own(arguments, lambda answer: reply([answer]))
        else:
            self._note(message["ask"], arguments)
            asked = [each for each in self._children if each.answers]
            self._broadcast.ask(message["ask"], arguments, asked, reply)

    def answered(self, child: Child, message: Message) -> None:
        """Handle an answer of ``child``."""
        child.counters = message.get("result", {}).get("counters", child.counters)
        self._broadcast.answered(child, message)

    def final(self, child: Child, statistics: Message) -> None:
        """Keep the last counters of ``child``, which is about to end."""
        if child.final:
            return
        child.final = True
        self._broadcast.gone(child)
        add(self._ended, statistics, _MAX_NAMES)

    def gone(self, child: Child) -> None:
        """Note that ``child`` has ended; if it was killed, keep the counters of its last answer."""
        if not child.final:
            add(self._ended, child.counters, _MAX_NAMES)
        self._broadcast.gone(child)
