"""The threads of a worker process."""

from __future__ import annotations

from typing import Final

from rocket_cli._settings.kinds import SECONDS_OR_NONE, Text, Whole
from rocket_cli._settings.setting import Part, Setting, setting
from rocket_cli._settings.threads import parse_threads, plain_threads
from rocket_cli._settings.values import function

THREADS: Final[tuple[Setting, ...]] = (
    setting(
        "threads",
        Text(
            parse_threads,
            types=(int, str),
            wanted='a whole number, or a string such as "4:16"',
            plain=plain_threads,
        ),
        "Run the application in this many threads, or in MIN to MAX threads as needed. While a "
        "thread waits for its client, another one takes its place.",
        default=8,
        metavar="N|MIN:MAX",
        gunicorn="threads",
    ),
    setting(
        "max-stalled",
        Whole(0, unit="threads"),
        "Replace at most this many threads that wait for slow clients. One client address may hold "
        "as many of them as are left for all others; beyond that its slowest connection is closed.",
        part=Part.SERVER,
        default=256,
    ),
    setting(
        "max-upgraded",
        Whole(0, unit="threads"),
        "Replace at most this many threads that serve a websocket, or another connection that the "
        "application has taken over.",
        part=Part.SERVER,
        default=256,
    ),
    setting(
        "at-thread-end",
        Text(function),
        "Call this function without arguments in each thread that has served requests, before the "
        "thread ends, e.g. django.db:connections.close_all.",
        metavar="MODULE:FUNCTION",
    ),
    setting(
        "around",
        Text(function),
        "Run each callback of a websocket, an event stream or a deferred answer in the context "
        "manager that this function returns, e.g. rocket_wsgi.django:around for Django, or "
        "module:app.app_context for Flask.",
        metavar="MODULE:FUNCTION",
    ),
    setting(
        "executor-threads",
        Whole(1, unit="threads"),
        "Give the application wsgiorg.executor, which runs its background work in this many "
        "threads.",
        default_words="no executor",
    ),
    setting(
        "watchdog",
        SECONDS_OR_NONE,
        "Log the stack of a thread that has been busy with one request for this long; none to log "
        "no stacks.",
        part=Part.SERVER,
        default=30,
    ),
)
