"""Detecting libraries that replace the threads and sockets of the whole process."""

from __future__ import annotations

import sys
from typing import Final, NamedTuple

from rocket_cli._errors import CommandError


class _Patcher(NamedTuple):
    """A library that patches the standard library.

    Attributes:
        module: the module that patches.
        question: the function of that module that tells whether a module has been patched.
        call: the call by which applications patch.
    """

    module: str
    question: str
    call: str


_PATCHERS: Final = (
    _Patcher("gevent.monkey", "is_module_patched", "gevent.monkey.patch_all()"),
    _Patcher("eventlet.patcher", "is_monkey_patched", "eventlet.monkey_patch()"),
)
_NEEDED: Final = ("threading", "thread", "socket", "select", "ssl")
"""The modules that a threaded server needs unpatched, by their names in these libraries."""


class PatchedError(CommandError):
    """The application has patched modules that the server needs: this process cannot serve."""


def require_unpatched(what: str) -> None:
    """Raise `PatchedError` if loading ``what`` has patched threads or sockets."""
    for module, question, call in _PATCHERS:
        is_patched = getattr(sys.modules.get(module), question, None)
        if is_patched is not None and any(map(is_patched, _NEEDED)):
            raise PatchedError(
                f"{what} calls {call}, which replaces the threads and sockets that the server "
                "needs: remove the call, because the application runs in real threads, or use a "
                f"server for {module.partition('.')[0]}"
            )
