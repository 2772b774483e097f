"""How the options of mod_wsgi are carried over, where a simple rule is not enough."""

from __future__ import annotations

from typing import Any

from rocket_cli._migration.draft import Draft
from rocket_cli._migration.options import Given
from rocket_cli._migration.rules import amount, wildcard


def nothing(draft: Draft, given: Given) -> None:
    """Do nothing: `rocket_cli._migration.mod_wsgi.reading` treats several options together."""


def account(name: str) -> Any:
    """Carry a user or group over, by name or as ``#1000``."""

    def rule(draft: Draft, given: Given) -> None:
        value = str(given.value or "").removeprefix("#")
        if value:
            draft.put(name, value, given)

    return rule


def python_path(draft: Draft, given: Given) -> None:
    """Say how to have directories on the import path, unless the only one is the current one."""
    values = given.value if isinstance(given.value, list) else [str(given.value)]
    directories = [part for value in values for part in value.split(":") if part]
    others = [each for each in directories if each != draft.value("chdir")]
    if others:
        draft.lose(
            given,
            "The current directory (chdir) is on the import path. For others set the variable "
            f"PYTHONPATH={':'.join(others)} where the server is started. Packages of a virtual "
            "environment are found if the rocket-cli in it is started.",
        )


def request_timeout(draft: Draft, given: Given) -> None:
    """Carry the time for a request over."""
    seconds = amount(draft, given)
    if seconds and draft.put("request-timeout", seconds, given):
        draft.check(
            given,
            "The client is answered 504 then, and the thread is replaced. In mod_wsgi the time "
            "grew with the number of threads, and the process was restarted.",
        )


def alias(draft: Draft, given: Given) -> None:
    """Carry a directory over that is served at a path."""
    values = given.value if isinstance(given.value, list) else [given.value]
    pairs = [values] if values and isinstance(values[0], str) else values
    for pair in pairs:
        if len(pair) == 2:
            path, directory = pair
            draft.add("static", f"{path.rstrip('/') or '/'}={directory.rstrip('/')}", given)


def level(draft: Draft, given: Given) -> None:
    """Carry the level of the log over."""
    words = {"emerg": "error", "alert": "error", "crit": "error", "error": "error",
             "warn": "warning", "notice": "warning", "info": "info", "debug": "debug"}  # fmt: skip
    word = words.get(str(given.value).partition(" ")[0].partition(":")[0].lower())
    if word is None:
        draft.lose(given, "Use debug, info, warning or error.")
    else:
        draft.put("log-level", word, given)


def trusted_proxies(draft: Draft, given: Given) -> None:
    """Carry the proxies over."""
    values = given.value if isinstance(given.value, list) else str(given.value).split()
    if "*" in values:
        draft.lose(given, wildcard("trusted-proxies"))
    elif values:
        draft.put("trusted-proxies", list(values), given)


def trusted_headers(draft: Draft, given: Given) -> None:
    """Carry the fields of proxies over."""
    known = {"x-forwarded-for": "X-Forwarded-For", "x-forwarded-proto": "X-Forwarded-Proto",
             "x-forwarded-host": "X-Forwarded-Host", "x-forwarded-port": "X-Forwarded-Port",
             "x-script-name": "", "x-forwarded-script-name": ""}  # fmt: skip
    values = given.value if isinstance(given.value, list) else str(given.value).split()
    fields = [known[each.lower()] for each in values if known.get(each.lower())]
    unknown = [each for each in values if not known.get(each.lower())]
    if fields:
        draft.put("proxy-fields", fields, given)
    if unknown:
        draft.lose(
            given,
            f"There is no such field here: {', '.join(unknown)}. See proxy-fields; "
            "X-Forwarded-Prefix sets SCRIPT_NAME.",
        )


def access_log(draft: Draft, given: Given) -> None:
    """Switch the access log on."""
    draft.put("access-log", "-", given)
