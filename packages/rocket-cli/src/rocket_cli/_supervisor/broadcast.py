"""Questions to all worker processes at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from rocket_cli._processes.channel import LIMIT, Message
from rocket_cli._supervisor.child import Child
from rocket_cli._supervisor.timers import Timers

PATIENCE: Final = 5.0
"""Seconds in which all processes must answer."""

_MAX_ANSWERS: Final = LIMIT - (1 << 20)
"""Bytes of all answers to a question, which are sent in one message together with the counters of
ended processes. Each process has an equal share of them."""

Reply = Callable[[list[Message]], None]
"""Called with the answers of all processes."""


class _Question:
    """A question that some processes have not answered yet."""

    def __init__(self, waiting: set[Child], reply: Reply) -> None:
        self.waiting = waiting
        self.share = _MAX_ANSWERS // max(len(waiting), 1)
        self.answers: list[Message] = []
        self.reply = reply


class Broadcast:
    """Asks several processes a question, and collects their answers."""

    def __init__(self, timers: Timers, tell: Callable[[Child, Message], None]) -> None:
        self._timers = timers
        self._tell = tell
        self._open: dict[int, _Question] = {}
        self._last = 0

    def ask(self, name: str, arguments: Message, children: Iterable[Child], reply: Reply) -> None:
        """Ask each of ``children``, and call ``reply`` when all answers have arrived.

        The answer of a process that has ended, or does not answer in time, is an ``error``.
        """
        self._last = number = self._last + 1
        waiting = set(children)
        self._open[number] = _Question(waiting, reply)
        for child in list(waiting):
            self._tell(child, {"question": number, "name": name, "arguments": arguments})
        if waiting:
            self._timers.after(PATIENCE, lambda: self._expire(number))
        else:
            self._finish(number)

    def answered(self, child: Child, message: Message) -> None:
        """Take an answer of ``child``; an answer that is late or was not expected is ignored."""
        self._take(message["answer"], child, message.get("result", {}))

    def gone(self, child: Child) -> None:
        """Wait no longer for ``child``, which has ended or is about to."""
        for number in list(self._open):
            self._take(number, child, {"error": "the process ended before it answered"})

    def _take(self, number: int, child: Child, result: dict[str, Any]) -> None:
        question = self._open.get(number)
        if question is None or child not in question.waiting:
            return
        question.waiting.remove(child)
        if len(json.dumps(result)) > question.share:
            result = {
                "error": f"the answer is longer than {question.share} bytes: ask with a limit"
            }
        question.answers.append({**result, "process": child.pid, "generation": child.generation})
        if not question.waiting:
            self._finish(number)

    def _expire(self, number: int) -> None:
        question = self._open.get(number)
        if question is not None:
            for child in list(question.waiting):
                self._take(number, child, {"error": f"no answer within {PATIENCE:g} seconds"})

    def _finish(self, number: int) -> None:
        question = self._open.pop(number)
        question.reply(question.answers)
