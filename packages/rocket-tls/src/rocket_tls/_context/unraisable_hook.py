"""A hook for the error that a server name outside ASCII causes.

A server name is ASCII (RFC 6066, section 3). The module `ssl` passes any other name to no callback:
it fails the handshake, which is counted and logged as any other failure, and reports the error to
`sys.unraisablehook`. By default that prints many lines on standard error for each such client.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Final


class _Hook:
    """Ignores the error of a server name, and passes any other error on to the previous hook."""

    def __init__(self, previous: Callable[[sys.UnraisableHookArgs], object]) -> None:
        self._previous = previous

    def __call__(self, unraisable: sys.UnraisableHookArgs, /) -> None:
        error = unraisable.exc_value
        # The module `ssl` decodes the name from bytes, and reports these as the object at fault.
        if (
            isinstance(error, UnicodeDecodeError)
            and type(unraisable.object) is bytes
            and error.object == unraisable.object
        ):
            return
        self._previous(unraisable)


_lock: Final = threading.Lock()
"""Guards `sys.unraisablehook`, so that no two threads install the hook."""


def ignore_invalid_server_names() -> None:
    """Install the hook, unless it is installed already. Any thread may call this."""
    with _lock:
        previous = sys.unraisablehook
        if not isinstance(previous, _Hook):
            sys.unraisablehook = _Hook(previous)
