"""The error codes of RST_STREAM and GOAWAY frames (RFC 9113, section 7)."""

from __future__ import annotations

from enum import IntEnum


class ErrorCode(IntEnum):
    """The reason for which a stream or a connection ends."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


_KNOWN = {int(code): code for code in ErrorCode}


def error_code(number: int) -> ErrorCode:
    """Return the code with this number. Unknown ones are treated as INTERNAL_ERROR (section 7)."""
    return _KNOWN.get(number, ErrorCode.INTERNAL_ERROR)
