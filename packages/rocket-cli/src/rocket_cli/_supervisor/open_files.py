"""The limit of open files, which bounds the number of connections."""

from __future__ import annotations

import resource
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

_UNLIMITED: Final = (*(1 << exponent for exponent in range(20, 13, -1)), 10_240)
"""What is tried where the hard limit is infinite: macOS allows less than that, down to 10,240."""


def raise_open_files() -> None:
    """Raise the soft limit of open files of this process to the hard one, as far as that goes.

    The soft limit is low on many systems, for the sake of programs that use select(2). All
    processes that this one forks or executes inherit the limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for limit in _wanted(hard):
        if soft == resource.RLIM_INFINITY or (limit != resource.RLIM_INFINITY and limit <= soft):
            return
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
            return


def _wanted(hard: int) -> Iterable[int]:
    """Return the limits to try, the largest first."""
    return (hard, *_UNLIMITED) if hard == resource.RLIM_INFINITY else (hard,)
