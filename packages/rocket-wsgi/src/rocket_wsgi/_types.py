"""Types that several parts of the package share."""

from __future__ import annotations

from types import TracebackType
from typing import Any

Environ = dict[str, Any]
"""The environ of one request (PEP 3333)."""

Headers = list[tuple[str, str]]
"""Header fields of a response: pairs of a name and a value, in order (PEP 3333)."""

ExcInfo = tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]
"""An exception as `sys.exc_info` returns it."""
