"""The environ keys of header fields."""

from __future__ import annotations

from enum import Enum
from typing import Final

from rocket_core.http1 import FieldNames, HeadError

_NOT_HTTP: Final = frozenset({"CONTENT_LENGTH", "CONTENT_TYPE"})
"""The keys without the prefix ``HTTP_`` (RFC 3875, sections 4.1.2 and 4.1.3)."""

_FRAMING: Final = frozenset({*_NOT_HTTP, "TRANSFER_ENCODING"})
"""The keys that describe the body. A field with an underscore never gets one of them."""


class Underscores(Enum):
    """The treatment of header fields with an underscore in their name.

    Such a field has the same environ key as the field with a hyphen in its place. So
    ``X_Forwarded_For`` could forge ``X-Forwarded-For``, which a proxy has checked or replaced.
    """

    DROP = "drop"
    """Drop the field: the application does not see it."""
    REFUSE = "refuse"
    """Answer the request with 400."""
    ALLOW = "allow"
    """Pass the field to the application, joined to the field with a hyphen.

    Only for applications that trust no header field that a proxy sets.
    """


class EnvironNames(FieldNames):
    """The environ keys of header fields (PEP 3333; RFC 3875, section 4.1.18).

    ``Proxy`` is dropped, because CGI programs take ``HTTP_PROXY`` for their own setting
    (CVE-2016-5385).
    """

    def __init__(self, underscores: Underscores = Underscores.DROP) -> None:
        super().__init__()
        self._underscores = underscores

    def key(self, name: str) -> str:
        """Return the environ key of a field name; empty if the field is to be dropped.

        Raises `HeadError` with status 400 if the request is to be refused.
        """
        upper = name.upper().replace("-", "_")
        if upper == "PROXY" or ("_" in name and not self._allows(upper)):
            return ""
        return upper if upper in _NOT_HTTP else "HTTP_" + upper

    def _allows(self, upper: str) -> bool:
        if self._underscores is Underscores.REFUSE:
            raise HeadError(400, "a header field name contains an underscore")
        return self._underscores is Underscores.ALLOW and upper not in _FRAMING
