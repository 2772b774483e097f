"""The admin protocol: a question is a JSON object on one line, and so is an answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

from rocket_cli._admin.reply import Reply
from rocket_cli._settings.threads import parse_threads

if TYPE_CHECKING:
    from rocket_core import ConnectionInfo

VERSION: Final = 1
"""The version of the protocol, which each question names."""

PATIENCE: Final = 15.0
"""Seconds that a client waits for an answer, except to a question that takes long."""

MAX_LINE: Final = 16 * 1024
"""The maximum size of a question in bytes."""

MAX_LIMIT: Final = 10_000
"""The maximum number of connections, or of threads, in the answer of each process."""

MAX_PROCESSES: Final = 1024
"""The maximum of ``resize``."""

SORTS: Final[dict[str, Callable[[ConnectionInfo], Any]]] = {
    "age": lambda each: each.created,
    "held": lambda each: -each.held,
    "requests": lambda each: -each.requests,
    "state": lambda each: (each.state.value, each.created),
}
"""The orders of connections: the oldest, or the largest number, comes first."""

LEVELS: Final = ("debug", "info", "warning", "error")

Check = Callable[[Any], str | None]
"""Returns what the value would have to be, or None if it is valid."""


class ProtocolError(ValueError):
    """A line is not a valid question; the message says what would be right."""


def _one_of(*words: str) -> Check:
    return lambda value: None if value in words else f"one of {', '.join(words)}"


def _whole(least: int, most: int) -> Check:
    def check(value: Any) -> str | None:
        fits = type(value) is int and least <= value <= most
        return None if fits else f"a whole number from {least} to {most}"

    return check


def _flag(value: Any) -> str | None:
    return None if type(value) is bool else "true or false"


def _threads(value: Any) -> str | None:
    try:
        parse_threads(value if isinstance(value, str) else "")
    except ValueError:
        return 'a string such as "8" or "4:16"'
    return None


COMMANDS: Final[dict[str, dict[str, Check]]] = {
    "stats": {},
    "processes": {},
    "threads": {"stacks": _flag, "limit": _whole(1, MAX_LIMIT)},
    "connections": {"sort": _one_of(*SORTS), "limit": _whole(1, MAX_LIMIT)},
    "log-level": {"level": _one_of(*LEVELS)},
    "resize": {"threads": _threads, "processes": _whole(1, MAX_PROCESSES)},
    "reload": {},
    "drain": {},
}
"""The commands, and the checks of their arguments."""

REQUIRED: Final = {"log-level": {"level"}, "resize": {"threads", "processes"}}
"""The commands that need an argument: at least one of these."""


def parse_question(line: bytes) -> tuple[str, Mapping[str, Any]]:
    """Return the command in a question, and its arguments. Raises `ProtocolError`."""
    try:
        question = json.loads(line)
    except (ValueError, RecursionError):
        raise ProtocolError('the line is not JSON; ask as {"version": 1, "ask": "stats"}') from None
    if not isinstance(question, dict):
        raise ProtocolError('the line is not a JSON object; ask as {"version": 1, "ask": "stats"}')
    if unknown := question.keys() - {"version", "ask", "arguments"}:
        raise ProtocolError(
            f"unknown key {_named(unknown)}; a question has version, ask and arguments"
        )
    if question.get("version") != VERSION or type(question["version"]) is not int:
        raise ProtocolError(f'unsupported version; this server expects "version": {VERSION}')
    command, arguments = question.get("ask"), question.get("arguments", {})
    if not isinstance(command, str) or command not in COMMANDS:
        raise ProtocolError(f"unknown question; ask for one of {', '.join(COMMANDS)}")
    if not isinstance(arguments, dict):
        raise ProtocolError("arguments must be an object")
    _check_arguments(command, arguments)
    return command, arguments


def _check_arguments(command: str, arguments: Mapping[str, Any]) -> None:
    checks = COMMANDS[command]
    if unknown := arguments.keys() - checks:
        known = ", ".join(checks) or "no arguments"
        raise ProtocolError(f"{command} takes {known}, not {_named(unknown)}")
    required = REQUIRED.get(command)
    if required and required.isdisjoint(arguments):
        raise ProtocolError(f"{command} needs the argument {' or '.join(sorted(required))}")
    for name, value in arguments.items():
        wanted = checks[name](value)
        if wanted is not None:
            raise ProtocolError(f"{command}: {name} must be {wanted}")


def _named(names: set[str]) -> str:
    """Return names that a client has sent, on one line and not too long."""
    return ", ".join(json.dumps(each)[:80] for each in sorted(names))


def question(command: str, arguments: Mapping[str, Any]) -> bytes:
    """Return a line with a question."""
    return _line({"version": VERSION, "ask": command, "arguments": dict(arguments)})


def answer(reply: Reply) -> bytes:
    """Return a line with the answers of processes."""
    return _line({"version": VERSION, "answers": reply.answers, "ended": reply.ended})


def failure(message: str) -> bytes:
    """Return a line with the reason why there are no answers."""
    return _line({"version": VERSION, "error": message})


def _line(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
