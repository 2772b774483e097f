"""The default limit of connections, which follows the limit of open files."""

from __future__ import annotations

from typing import Final

_RESERVED: Final = 128
"""The number of descriptors that are left to the application, its database and its files."""

_FALLBACK: Final = 512
"""The limit on a platform that does not tell how many files a process may open."""


def default_max_connections() -> int:
    """The largest number of connections that leaves the application enough descriptors.

    A connection may need a second descriptor, for a body or a response in a file.
    """
    try:
        import resource  # noqa: PLC0415 - not on every platform
    except ImportError:  # pragma: no cover - Windows
        return _FALLBACK
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return 1 << 20
    return max((soft - _RESERVED) // 2, soft // 4, 1)
