"""How values of options are carried over: the rules that the tables of all servers share.

A rule is a function that gets the `Draft` and the option that is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from rocket_cli._migration.draft import Draft
from rocket_cli._migration.options import Given

Rule = Callable[[Draft, Given], None]

_NO: Final = frozenset({"", "0", "false", "no", "off", "none"})


def is_yes(value: Any) -> bool:
    """Return whether a value switches an option on."""
    return value.lower() not in _NO if isinstance(value, str) else bool(value)


def number_of(value: Any) -> float | None:
    """Return a number, also one that a string contains; None if it is none."""
    try:
        found = float(value)
    except (TypeError, ValueError):
        return None
    return int(found) if found.is_integer() else found


def amount(draft: Draft, given: Given) -> float | None:
    """Return a number; say so if the value is none. An option without a value has none."""
    if given.value in (None, ""):
        return None
    found = number_of(given.value)
    if found is None:
        draft.lose(given, "This is not a number.")
    return found


def number(name: str) -> Rule:
    """Carry a number over, unless it is 0, which means that there is none."""

    def rule(draft: Draft, given: Given) -> None:
        found = amount(draft, given)
        if found:
            draft.put(name, found, given)

    return rule


def text(name: str) -> Rule:
    """Carry a text over, unless it is empty."""

    def rule(draft: Draft, given: Given) -> None:
        if given.value not in (None, ""):
            draft.put(name, str(given.value), given)

    return rule


def flag(name: str, note: str = "") -> Rule:
    """Carry yes or no over; with ``note``, say that if it is yes."""

    def rule(draft: Draft, given: Given) -> None:
        yes = is_yes(given.value)
        if draft.put(name, yes, given) and yes and note:
            draft.check(given, note)

    return rule


def application(draft: Draft, given: Given) -> None:
    """Carry the name of the application over."""
    name = str(given.value or "")
    if not name:
        return
    call = re.fullmatch(r"([\w.]+:[\w.]+)\((.+)\)", name, re.DOTALL)
    if call is not None:
        draft.lose(
            given,
            "A factory is called without arguments here. Write a module with the line "
            f"application = {call[1].partition(':')[2]}({call[2]}), and set app to it.",
        )
        return
    draft.put("app", name, given)


def octal(value: Any) -> str:
    """Return a file mode mask in the form of the setting."""
    mask = value if isinstance(value, int) else int(str(value), 8)
    return f"{mask:03o}"


def umask(draft: Draft, given: Given) -> None:
    """Carry a mask over, which is a number, or text in octal digits."""
    if given.value in (None, ""):
        return
    try:
        draft.put("umask", octal(given.value), given)
    except ValueError:
        draft.lose(given, "This is not a file mode mask in octal digits, such as 027.")


def networks(value: Any) -> list[str]:
    """Return the addresses and networks of a list, or of a text with commas."""
    parts = value.split(",") if isinstance(value, str) else list(value or [])
    return [part.strip() for part in map(str, parts) if part.strip()]


def wildcard(setting: str) -> str:
    """Return what to do about a list of proxies that contains every address."""
    return (
        f"Every client could then claim any address, because {setting} also decides about the "
        f'address of the client. Name the addresses of your proxies: {setting} = ["10.0.0.0/8"].'
    )
