"""When a process has served long enough."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def counted(
    application: WSGIApplication, limit: int, jitter: int, reached: Callable[[], object]
) -> WSGIApplication:
    """``application``, which calls ``reached`` once it has been called often enough.

    That is ``limit`` times, and up to ``jitter`` more, so that not all processes get there at once.
    """
    limit += random.randint(0, jitter)  # noqa: S311 - nobody gains by guessing it
    count = itertools.count(1)

    def count_and_call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if next(count) == limit:
            reached()
        return application(environ, start_response)

    return count_and_call
