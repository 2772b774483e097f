"""The two kinds of errors that a client can make (RFC 9113, section 5.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rocket_wsgi._http2.error_codes import ErrorCode


class SessionError(Exception):
    """An error that ends the connection.

    Attributes:
        code: the error code of the GOAWAY frame.
        reason: a sentence for its debug data and for logs.
    """

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class StreamError(Exception):
    """An error that ends one stream.

    Attributes:
        code: the error code of the RST_STREAM frame.
        reason: a sentence for logs.
    """

    def __init__(self, code: ErrorCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
