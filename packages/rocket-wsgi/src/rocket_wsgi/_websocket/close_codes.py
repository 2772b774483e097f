"""The codes of close frames (RFC 6455, section 7.4)."""

from __future__ import annotations

from typing import Final

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
NO_STATUS: Final = 1005
"""The code of a close frame without one. It is never sent."""

ABNORMAL: Final = 1006
"""The code of an end without a close frame. It is never sent."""

INVALID_DATA: Final = 1007
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
TRY_AGAIN_LATER: Final = 1013

MAX_REASON: Final = 123
"""The maximum length of a reason in bytes, since a control frame has at most 125."""


def is_sendable(code: int) -> bool:
    """Return whether a close frame may have ``code``."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def check_close(code: int, reason: str) -> None:
    """Check the arguments of a close; ValueError for a code or reason that cannot be sent."""
    if not is_sendable(code):
        raise ValueError(f"close code {code} is not one of 1000-1003, 1007-1014, 3000-4999")
    if len(reason.encode()) > MAX_REASON:
        raise ValueError(f"the reason of a close has more than {MAX_REASON} bytes of UTF-8")
