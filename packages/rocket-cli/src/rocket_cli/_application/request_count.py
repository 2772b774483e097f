"""The number of requests after which a process is replaced, and the memory that it uses."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def counted(
    application: WSGIApplication, limit: int, jitter: int, reached: Callable[[], object]
) -> WSGIApplication:
    """Return ``application``, wrapped so that it calls ``reached`` once after enough requests.

    That is after ``limit`` requests and a random number of up to ``jitter`` more, so that the
    processes do not reach it at the same time.
    """
    limit += random.randint(0, jitter)  # noqa: S311 - not a secret
    count = itertools.count(1)

    def count_and_call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if next(count) == limit:
            reached()
        return application(environ, start_response)

    return count_and_call
