"""The environ keys of header fields."""

from __future__ import annotations

from enum import Enum
from typing import Final

from rocket_core.http1 import FieldNames, HeadError

_NOT_HTTP: Final = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE"})
"""Keys without the prefix ``HTTP_`` (RFC 3875, sections 4.1.2 and 4.1.3)."""

_FRAMING: Final = frozenset({*_NOT_HTTP, "TRANSFER_ENCODING"})
"""Keys that tell what the body is: an underscore must never make a field one of these."""


class Underscores(Enum):
    """What happens to header fields with an underscore in their name.

    In an environ they look like their twins with a hyphen: ``X_Forwarded_For`` like
    ``X-Forwarded-For``, which a proxy in front may have checked or replaced.
    """

    DROP = "drop"
    """The application does not see them."""
    REFUSE = "refuse"
    """Their request is answered 400."""
    ALLOW = "allow"
    """The application sees them, joined to their twins. Only for applications that trust no header
    field that a proxy sets."""


class EnvironNames(FieldNames):
    """The environ keys of header fields (PEP 3333; RFC 3875, section 4.1.18).

    ``Proxy`` is dropped, because scripts mistake it for a setting of their own.
    """

    def __init__(self, underscores: Underscores = Underscores.DROP) -> None:
        super().__init__()
        self._underscores = underscores

    def key(self, name: str) -> str:
        """The environ key; empty for a field that is to be dropped.

        Raises `HeadError` with status 400 for a name that is to be refused.
        """
        upper = name.upper().replace("-", "_")
        if upper == "PROXY" or ("_" in name and not self._allows(upper)):
            return ""
        return upper if upper in _NOT_HTTP else "HTTP_" + upper

    def _allows(self, upper: str) -> bool:
        if self._underscores is Underscores.REFUSE:
            raise HeadError(400, "a header field name contains an underscore")
        return self._underscores is Underscores.ALLOW and upper not in _FRAMING
