"""The supervisor and its worker processes."""

from __future__ import annotations

from typing import Final

from rocket_cli._settings.kinds import FILE, FLAG, SECONDS, Bytes, Text, Whole
from rocket_cli._settings.setting import Setting, setting
from rocket_cli._settings.values import group, umask, user

PROCESSES: Final[tuple[Setting, ...]] = (
    setting(
        "processes",
        Whole(0, 4096),
        "Run this many worker processes, each with its own threads; 0 runs one per processor.",
        default=1,
        gunicorn="workers",
    ),
    setting(
        "max-requests",
        Whole(1, unit="requests"),
        "Replace a process after this many requests.",
        default_words="never",
        gunicorn="max_requests",
    ),
    setting(
        "max-requests-jitter",
        Whole(0, unit="requests"),
        "Add a random number up to this one to --max-requests, so that the processes are not all "
        "replaced at once.",
        default=0,
        gunicorn="max_requests_jitter",
        needs="max-requests",
    ),
    setting(
        "max-lifetime",
        SECONDS,
        "Replace a process after this much time.",
        default_words="never",
    ),
    setting(
        "max-lifetime-jitter",
        SECONDS,
        "Add a random time up to this one to --max-lifetime, so that the processes are not all "
        "replaced at once.",
        default_words="a tenth of --max-lifetime",
        needs="max-lifetime",
    ),
    setting(
        "max-rss",
        Bytes(1),
        "Replace a process that uses more resident memory than this.",
        default_words="never",
    ),
    setting(
        "reload-grace",
        SECONDS,
        "After a reload, keep the old processes without new connections until the new ones have "
        "served for this long. If one of these ends before, the old processes serve again, and the "
        "reload has failed.",
        default_words="they end at once",
    ),
    setting(
        "preload",
        FLAG,
        "Import the application once, before the processes are forked, so that they share its "
        "memory. A reload then replaces the supervisor too, as SIGUSR2 does.",
        default=False,
        gunicorn="preload_app",
    ),
    setting(
        "pid",
        FILE,
        "Write the supervisor's process ID (PID) to this file.",
        gunicorn="pidfile",
    ),
    setting(
        "process-name",
        Text(),
        "Call the server by this name in the titles of its processes, as in rocket-cli: worker 3 "
        "NAME. Titles need rocket-cli[titles].",
        default_words="the application",
        metavar="NAME",
        gunicorn="proc_name",
    ),
    setting(
        "user",
        Text(user),
        "Run the worker processes as this user (name or UID).",
        metavar="USER",
        gunicorn="user",
    ),
    setting(
        "group",
        Text(group),
        "Run the worker processes as this group (name or GID).",
        default_words="the group of --user",
        metavar="GROUP",
        gunicorn="group",
    ),
    setting(
        "umask",
        Text(umask, plain="{:03o}".format),
        "File mode mask in octal, e.g. 027.",
        default_words="inherited",
        metavar="MODE",
        gunicorn="umask",
    ),
    setting(
        "chdir",
        FILE,
        "Change to this directory at the start. All other paths except --config are relative to "
        "it.",
        metavar="DIR",
        gunicorn="chdir",
    ),
)
