"""What a process may say to the supervisor.

The application runs in the workers, with whatever it is made to do by others. What is not exactly
what a process of its kind says, in form and in number, ends that process, and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rocket_cli._admin.protocol import COMMANDS, REQUIRED
from rocket_cli._processes.channel import ChannelError, Message

_DEEPEST: Final = 16
"""Objects and arrays within one another."""

_MOST_EVENTS: Final = 16
"""Events that a worker tells of in its life: each but once, and some to spare."""

_MOST_NAMES: Final = 256
"""Counters of a process, or parts of one."""

_GREATEST: Final = 2.0**63

Form = Callable[[Any], bool]
"""Whether a value has a form; one that is missing is None."""

Forms = Mapping[str, Form]


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    return type(value) is int and abs(value) < _GREATEST


def _number(value: Any) -> bool:
    return _whole(value) or (type(value) is float and math.isfinite(value))


def _or_none(form: Form) -> Form:
    return lambda value: value is None or form(value)


def _watch(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and isinstance(directories := value.get("directories"), list)
        and all(map(_text, directories))
        and _number(value.get("since"))
    )


def _numbers(value: Any) -> bool:
    return (
        isinstance(value, dict) and len(value) <= _MOST_NAMES and all(map(_number, value.values()))
    )


def _times(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"sum", "buckets"}
        and _number(value["sum"])
        and _numbers(value["buckets"])
        and all(each.isascii() and each.isdigit() for each in value["buckets"])
    )


_COUNTERS: Final[Forms] = {
    "accepted": _number,
    "accept_errors": _number,
    "refused": _number,
    "requests": _number,
    "closes": _numbers,
    "tls_errors": _numbers,
    "queue_time": _times,
    "service_time": _times,
    "cpu": _number,
}


def _counters(value: Any) -> bool:
    """All counters, as `Inspector.counters` has them."""
    return (
        isinstance(value, dict)
        and value.keys() == _COUNTERS.keys()
        and all(form(value[name]) for name, form in _COUNTERS.items())
    )


def _result(value: Any) -> bool:
    return isinstance(value, dict) and ("counters" not in value or _counters(value["counters"]))


@dataclass(frozen=True, slots=True)
class _Kind:
    """What processes of a kind say.

    Attributes:
        events: of what they tell, with the form of each field.
        questions: what they ask.
        answers: whether they are asked.
    """

    events: Mapping[str, Forms]
    questions: frozenset[str] = frozenset()
    answers: bool = False


_FAILED: Final[Forms] = {"reason": _text, "traceback": _or_none(_text)}
_QUESTIONS: Final = {
    **{name: checks for name, checks in COMMANDS.items() if name != "resize"},
    **{f"resize-{name}": {name: check} for name, check in COMMANDS["resize"].items()},
}
_REQUIRED: Final = {"log-level": REQUIRED["log-level"]} | {
    f"resize-{name}": {name} for name in COMMANDS["resize"]
}

_KINDS: Final = {
    "worker": _Kind(
        events={
            "ready": {"name": _text, "found": _or_none(_text), "watch": _or_none(_watch)},
            "failed": _FAILED,
            "retire": {"why": _text},
            "closed": {},
            "final": {"statistics": _counters},
        },
        answers=True,
    ),
    "observer": _Kind({"ready": {}}, frozenset(_QUESTIONS)),
    "watcher": _Kind({"ready": {}}, frozenset({"reload"})),
    "new supervisor": _Kind({"ready": {}, "failed": _FAILED}),
}


class Speaker:
    """A process, as far as it speaks."""

    def __init__(self, kind: str) -> None:
        """``kind`` is what such a process is called."""
        self._kind = _KINDS[kind]
        self._events = 0
        self._due = 0

    def asked(self) -> None:
        """It was asked something, and may answer once more."""
        self._due += 1

    def hear(self, message: Message) -> None:
        """Raise `ChannelError` for what it may not say."""
        if not _is_shallow(message):
            raise ChannelError(f"a message has more than {_DEEPEST} levels")
        match message:
            case {"event": str(event)} if event in self._kind.events:
                self._hear_event(event, message)
            case {"answer": number} if self._kind.answers:
                self._hear_answer(number, message.get("result"))
            case {"ask": str(name)} if name in self._kind.questions:
                if not _is_question(name, message):
                    raise ChannelError(f"it asks {name} as nobody does")
            case _:
                raise ChannelError(f"it may not say {str(message)[:80]}")

    def _hear_event(self, event: str, message: Message) -> None:
        self._events += 1
        if self._events > _MOST_EVENTS:
            raise ChannelError(f"it tells of more than {_MOST_EVENTS} events")
        for name, form in self._kind.events[event].items():
            if not form(message.get(name)):
                raise ChannelError(f"it says {event} with a wrong {name}")

    def _hear_answer(self, number: Any, result: Any) -> None:
        self._due -= 1
        if self._due < 0:
            raise ChannelError("it answers what it was not asked")
        if not _whole(number) or not _result(result):
            raise ChannelError("it gives an answer that is none")


def _is_question(name: str, message: Message) -> bool:
    checks = _QUESTIONS[name]
    arguments = message.get("arguments", {})
    return (
        _or_none(_whole)(message.get("id"))
        and isinstance(arguments, dict)
        and _REQUIRED.get(name, set()) <= arguments.keys() <= checks.keys()
        and all(checks[each](value) is None for each, value in arguments.items())
    )


def _is_shallow(message: Message) -> bool:
    level: list[Any] = [message]
    for _ in range(_DEEPEST):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return True
    return False
