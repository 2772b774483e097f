"""The part of the page on log fields that is made from the code."""

from __future__ import annotations

from rocket_wsgi._access_log.format import _JSON, _JSON_OF_MESSAGES


def json_fields() -> str:
    """Return which fields the format ``json`` has."""
    usual, of_messages = (
        ", ".join(f"`{each}`" for each in names.split(",")) for names in (_JSON, _JSON_OF_MESSAGES)
    )
    return f"{usual}; for websockets and event streams also {of_messages}.\n"
