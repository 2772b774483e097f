"""The messages that a process may send to the supervisor.

The application runs in the worker processes, and clients may be able to make it do anything. The
supervisor may run as root. Therefore it accepts from each process exactly the messages that its
kind sends, in form and in number, and kills a process that sends anything else.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from rocket_cli._admin.counters import TIMED_CLASSES
from rocket_cli._admin.protocol import COMMANDS, REQUIRED
from rocket_cli._processes.channel import ChannelError, Message

_MAX_DEPTH: Final = 16
"""The maximum depth of objects and arrays in a message."""

_MAX_EVENTS: Final = 16
"""The maximum number of events that a process reports in its life: each once, and some spare."""

_MAX_NAMES: Final = 256
"""The maximum number of keys in a counter that has parts."""

_LIMIT: Final = 2.0**63
"""Numbers must be smaller, so that sums of them stay finite and exact enough."""

Form = Callable[[Any], bool]
"""Returns whether a value has the required form; a missing value is None."""

Forms = Mapping[str, Form]
"""The forms of the fields of a message."""


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _whole(value: Any) -> bool:
    return type(value) is int and abs(value) < _LIMIT


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
        isinstance(value, dict) and len(value) <= _MAX_NAMES and all(map(_number, value.values()))
    )


def _numbers_by_kind(value: Any) -> bool:
    return (
        isinstance(value, dict) and len(value) <= _MAX_NAMES and all(map(_numbers, value.values()))
    )


def _times(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == {"sum", "buckets"}
        and _number(value["sum"])
        and _numbers(value["buckets"])
        and all(each.isascii() and each.isdigit() for each in value["buckets"])
    )


def _times_by_class(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and value.keys() == set(TIMED_CLASSES)
        and all(map(_times, value.values()))
    )


_COUNTERS: Final[Forms] = {
    "accepted": _number,
    "accept_errors": _number,
    "refused": _number,
    "refused_clients": _number,
    "limited": _number,
    "lined": _number,
    "requests": _number,
    "closes": _numbers,
    "tls_errors": _numbers,
    "messages": _numbers_by_kind,
    "outcomes": _numbers_by_kind,
    "queue_time": _times,
    "service_time": _times,
    "service_times": _times_by_class,
    "responses": _numbers,
    "own_responses": _numbers,
    "log_lines_lost": _numbers,
    "cpu": _number,
}


def _counters(value: Any) -> bool:
    """Return whether ``value`` has all counters, in the form of `Inspector.counters`."""
    return (
        isinstance(value, dict)
        and value.keys() == _COUNTERS.keys()
        and all(form(value[name]) for name, form in _COUNTERS.items())
    )


def _result(value: Any) -> bool:
    return isinstance(value, dict) and ("counters" not in value or _counters(value["counters"]))


@dataclass(frozen=True, slots=True)
class _Kind:
    """The messages that processes of a kind send.

    Attributes:
        events: the events that they report, with the forms of their fields.
        questions: the names of the questions that they ask.
        answers: whether they answer questions.
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
    """Checks the messages of one process, in the order in which they arrive."""

    def __init__(self, kind: str) -> None:
        """Expect the messages of a process of this ``kind``, the name of its task."""
        self._name = kind
        self._kind = _KINDS[kind]
        self._events = 0
        self._due = 0

    def asked(self) -> None:
        """Note that the process was asked a question, and may send one more answer."""
        self._due += 1

    def hear(self, message: Message) -> None:
        """Raise `ChannelError` for a message that the process must not send."""
        if not _is_shallow(message):
            raise ChannelError(f"the message has more than {_MAX_DEPTH} levels")
        match message:
            case {"event": str(event)} if event in self._kind.events:
                self._hear_event(event, message)
            case {"answer": number} if self._kind.answers:
                self._hear_answer(number, message.get("result"))
            case {"ask": str(name)} if name in self._kind.questions:
                if not _is_question(name, message):
                    raise ChannelError(f"the question {name} has invalid arguments")
            case _:
                raise ChannelError(f"a {self._name} must not send {str(message)[:80]}")

    def _hear_event(self, event: str, message: Message) -> None:
        self._events += 1
        if self._events > _MAX_EVENTS:
            raise ChannelError(f"the process has sent more than {_MAX_EVENTS} events")
        for name, form in self._kind.events[event].items():
            if not form(message.get(name)):
                raise ChannelError(f"the event {event} has an invalid {name}")

    def _hear_answer(self, number: Any, result: Any) -> None:
        self._due -= 1
        if self._due < 0:
            raise ChannelError("the process has sent an answer without a question")
        if not _whole(number) or not _result(result):
            raise ChannelError("the answer is invalid")


def _is_question(name: str, message: Message) -> bool:
    """Return whether the message asks the question ``name`` with valid arguments."""
    checks = _QUESTIONS[name]
    arguments = message.get("arguments", {})
    return (
        _or_none(_whole)(message.get("id"))
        and isinstance(arguments, dict)
        and _REQUIRED.get(name, set()) <= arguments.keys() <= checks.keys()
        and all(checks[each](value) is None for each, value in arguments.items())
    )


def _is_shallow(message: Message) -> bool:
    """Return whether the message is not too deep, without recursion, which could fail itself."""
    level: list[Any] = [message]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return True
    return False
