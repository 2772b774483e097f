"""What the system allows this process."""

from __future__ import annotations

from typing import Final

_RESERVED: Final = 128
"""Descriptors left to the application, its database and its files."""

_FALLBACK: Final = 512


def default_max_connections() -> int:
    """Connections that leave the application descriptors of its own.

    Each may need a second one, for a body or a response in a file.
    """
    try:
        import resource  # noqa: PLC0415 - not on every platform
    except ImportError:  # pragma: no cover - Windows
        return _FALLBACK
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return 1 << 20
    return max((soft - _RESERVED) // 2, soft // 4, 1)
