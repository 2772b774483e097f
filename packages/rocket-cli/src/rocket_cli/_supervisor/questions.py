"""Questions that one process asks all others, through the supervisor."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from rocket_cli._processes.channel import LIMIT, Message
from rocket_cli._supervisor.children import Child
from rocket_cli._supervisor.timers import Timers

PATIENCE: Final = 5.0
"""Seconds for all processes to answer."""

_MOST_ANSWERS: Final = LIMIT - (1 << 20)
"""Bytes of all answers to a question, which go on in one message with what ended processes have
counted. Each process has an equal share of them."""

_MOST_NAMES: Final = 256
"""Counters, or parts of one, that are kept: processes come and go, and may make names up."""

Reply = Callable[[list[Message]], None]


class _Question:
    def __init__(self, waiting: set[Child], reply: Reply) -> None:
        self.waiting = waiting
        self.share = _MOST_ANSWERS // max(len(waiting), 1)
        self.answers: list[Message] = []
        self.reply = reply


class Broadcast:
    """The questions that are not answered yet."""

    def __init__(self, timers: Timers, tell: Callable[[Child, Message], None]) -> None:
        self._timers = timers
        self._tell = tell
        self._open: dict[int, _Question] = {}
        self._last = 0

    def ask(self, name: str, arguments: Message, children: Iterable[Child], reply: Reply) -> None:
        """Ask each of ``children``; call ``reply`` with their answers once they are complete."""
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
        """``child`` has sent an answer."""
        self._take(message["answer"], child, message.get("result", {}))

    def gone(self, child: Child) -> None:
        """``child`` has ended, and answers nothing more."""
        for number in list(self._open):
            self._take(number, child, {"error": "it ended before it answered"})

    def _take(self, number: int, child: Child, result: dict[str, Any]) -> None:
        question = self._open.get(number)
        if question is None or child not in question.waiting:
            return
        question.waiting.remove(child)
        if len(json.dumps(result)) > question.share:
            result = {"error": f"its answer has more than {question.share} bytes: ask for less"}
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


def add_statistics(total: Message, more: Message) -> None:
    """Add what an ended process has counted to the counts of those that ended before."""
    for key, value in more.items():
        if key in total or len(total) < _MOST_NAMES:
            total[key] = _sum(total.get(key), value)


def _sum(total: Any, more: Any) -> Any:
    if isinstance(more, dict):
        found = dict(total) if isinstance(total, dict) else {}
        add_statistics(found, more)
        return found
    if isinstance(more, list) and isinstance(total, list) and len(more) == len(total):
        return [_sum(left, right) for left, right in zip(total, more, strict=True)]
    if _is_number(more) and _is_number(total):
        return total + more
    return more


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
