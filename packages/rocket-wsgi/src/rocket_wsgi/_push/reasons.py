"""The reasons for which the connections of websockets and event streams close."""

from __future__ import annotations

from typing import Final

from rocket_core import CloseReason

_USUAL: Final = frozenset({CloseReason.CLIENT, CloseReason.SERVED, CloseReason.DRAINED})
"""The reasons that need no explanation."""


def unusual(reason: CloseReason | None) -> str | None:
    """Return ``reason`` in words for the access log; None for a usual one."""
    return None if reason is None or reason in _USUAL else reason.value
