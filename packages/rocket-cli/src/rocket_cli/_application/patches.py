"""Libraries that replace the threads and sockets of the whole process by their own."""

from __future__ import annotations

import sys
from typing import Final, NamedTuple

from rocket_cli._errors import CommandError


class _Patcher(NamedTuple):
    """How a library tells what it has replaced, and by which call it is told to replace it."""

    module: str
    question: str
    call: str


_PATCHERS: Final = (
    _Patcher("gevent.monkey", "is_module_patched", "gevent.monkey.patch_all()"),
    _Patcher("eventlet.patcher", "is_monkey_patched", "eventlet.monkey_patch()"),
)
_NEEDED: Final = ("threading", "thread", "socket", "select", "ssl")
"""What a server of threads works with, by the names that these libraries have for it."""


class PatchedError(CommandError):
    """The application has replaced what the server works with: this process can serve nothing."""


def require_unpatched(what: str) -> None:
    """Raise `PatchedError` if loading ``what`` has replaced the threads or the sockets."""
    for module, question, call in _PATCHERS:
        is_patched = getattr(sys.modules.get(module), question, None)
        if is_patched is not None and any(map(is_patched, _NEEDED)):
            raise PatchedError(
                f"{what} calls {call}, which replaces the threads and sockets that the server "
                "needs: remove the call, for the application is served by real threads, or use a "
                f"server that is made for {module.partition('.')[0]}"
            )
