"""How the options of waitress are carried over, where a simple rule is not enough."""

from __future__ import annotations

from typing import Final

from rocket_cli._migration.draft import Draft
from rocket_cli._migration.options import Given
from rocket_cli._migration.rules import is_yes, networks, wildcard

_FIELDS: Final = {
    "forwarded": "Forwarded",
    "x-forwarded-for": "X-Forwarded-For",
    "x-forwarded-host": "X-Forwarded-Host",
    "x-forwarded-proto": "X-Forwarded-Proto",
    "x-forwarded-port": "X-Forwarded-Port",
}


def nothing(draft: Draft, given: Given) -> None:
    """Do nothing: `rocket_cli._migration.waitress.reading` treats several options together."""


def listen(draft: Draft, given: Given) -> None:
    """Carry addresses over, separated by spaces or commas."""
    values = given.value if isinstance(given.value, list) else [str(given.value)]
    for value in " ".join(values).replace(",", " ").split():
        draft.add("bind", value.replace("*:", ":", 1) if value.startswith("*:") else value, given)


def unix_socket(draft: Draft, given: Given) -> None:
    """Carry a Unix socket over."""
    if given.value:
        draft.add("bind", f"unix:{given.value}", given)


def url_prefix(draft: Draft, given: Given) -> None:
    """Carry the path of the application over."""
    path = str(given.value or "").strip("/")
    if path:
        draft.put("root-path", f"/{path}", given)


def url_scheme(draft: Draft, given: Given) -> None:
    """Say how the scheme is known."""
    if given.value == "https":
        draft.lose(
            given,
            "The scheme is not set, but taken from the proxy: set trusted-proxies, and let the "
            "proxy set X-Forwarded-For and X-Forwarded-Proto.",
        )


def ident(draft: Draft, given: Given) -> None:
    """Carry the value of the field Server over; without one there is no field."""
    value = "" if given.value is None else str(given.value)
    draft.put("server-header", value, given)


def trusted_proxy(draft: Draft, given: Given) -> None:
    """Carry the proxies over."""
    found = networks(given.value)
    if "*" in found:
        draft.lose(given, wildcard("trusted-proxies"))
    elif found:
        words = ["unix" if each in {"localhost", "unix"} else each for each in found]
        draft.put("trusted-proxies", words, given)


def trusted_proxy_headers(draft: Draft, given: Given) -> None:
    """Carry the fields over that the proxies set."""
    text = given.value if isinstance(given.value, str) else " ".join(given.value or [])
    names = text.replace(",", " ").lower().split()
    fields = [_FIELDS[name] for name in names if name in _FIELDS]
    unknown = [name for name in names if name not in _FIELDS]
    if fields:
        draft.put("proxy-fields", fields, given)
    if unknown:
        draft.lose(given, f"There is no such field here: {', '.join(unknown)}.")


def clear_untrusted(draft: Draft, given: Given) -> None:
    """Say how the fields of others stay."""
    if not is_yes(given.value):
        draft.lose(
            given,
            "Fields of proxies are passed to the application unless trusted-proxies is set; with "
            "it, those of others are removed.",
        )
