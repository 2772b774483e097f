"""What surrounds every call of the application that is not the call for a request."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import copy_context

Around = Callable[[], AbstractContextManager[object]]
"""Makes the context manager in which a callback runs, such as ``flask.Flask.app_context``."""


def call_within(around: Around | None, function: Callable[..., object], *arguments: object) -> None:
    """Call ``function`` within ``around``, in a context of its own.

    The context (`contextvars`) is a copy of the thread's: what the call sets in it, such as the
    present application of a framework, is not there for the next one.
    """
    copy_context().run(_call, around, function, arguments)


def _call(
    around: Around | None, function: Callable[..., object], arguments: tuple[object, ...]
) -> None:
    if around is None:
        function(*arguments)
    else:
        with around():
            function(*arguments)
