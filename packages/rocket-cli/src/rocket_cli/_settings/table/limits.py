"""How much a worker process holds, and how much it accepts."""

from __future__ import annotations

from typing import Final

from rocket_cli._settings.kinds import (
    BYTES,
    CONNECTIONS_PER_SECOND,
    FLAG,
    REQUESTS_PER_SECOND,
    Bytes,
    Whole,
)
from rocket_cli._settings.setting import Part, Setting, setting

LIMITS: Final[tuple[Setting, ...]] = (
    setting(
        "max-connections",
        Whole(1, unit="connections"),
        "Maximum number of open connections. At the limit, idle ones are closed to make room.",
        part=Part.SERVER,
        default_words="half the available file descriptors",
        gunicorn="worker_connections",
    ),
    setting(
        "evict-parked",
        FLAG,
        "At --max-connections, also close websockets, event streams and deferred answers to make "
        "room: those on which nothing has moved for longest.",
        part=Part.SERVER,
        keyword="evict_shared",
        default=False,
    ),
    setting(
        "max-queue",
        Whole(0, unit="requests"),
        "Maximum number of requests that wait for a thread. Further requests are answered 503.",
        part=Part.SERVER,
        default=2048,
    ),
    setting(
        "max-running-per-client",
        Whole(1, unit="requests"),
        "Maximum number of requests of one client (an address, or a /64 network of IPv6) that run "
        "at the same time in a process. Its others wait in a line of their own, and let those of "
        "other clients pass.",
        part=Part.SERVER,
        default_words="no limit",
    ),
    setting(
        "request-rate-per-client",
        REQUESTS_PER_SECOND,
        "Answer 429 if a client sends more requests than this to a process, on average.",
        part=Part.SITE,
        default_words="no limit",
    ),
    setting(
        "request-burst-per-client",
        Whole(1, unit="requests"),
        "Requests that a client may send at once before --request-rate-per-client applies.",
        part=Part.SITE,
        default_words="the requests of ten seconds",
        needs="request-rate-per-client",
    ),
    setting(
        "max-connections-per-client",
        Whole(1, unit="connections"),
        "Maximum number of open connections of one client in a process, without those of "
        "--trusted-proxies. Further ones are closed at once.",
        part=Part.SERVER,
        default_words="no limit",
    ),
    setting(
        "connection-rate-per-client",
        CONNECTIONS_PER_SECOND,
        "Close new connections at once if a client opens more than this, on average over ten "
        "seconds, without those of --trusted-proxies.",
        part=Part.SERVER,
        default_words="no limit",
    ),
    setting(
        "max-output",
        BYTES,
        "Maximum memory for output that clients have not taken yet, over all connections, beyond "
        "16 KiB of each.",
        part=Part.SERVER,
        default=64 << 20,
    ),
    setting(
        "max-spool",
        BYTES,
        "Maximum disk space for request bodies larger than 1 MiB, over all connections of a "
        "process. At the limit, the slowest large uploads are answered 503.",
        part=Part.SERVER,
        default=4 << 30,
    ),
    setting(
        "spool-free",
        BYTES,
        "Disk space that these bodies leave free in the file system of TMPDIR. At the limit, the "
        "slowest large uploads are answered 503.",
        part=Part.SERVER,
        default_words="a tenth of the file system, at most 1 GiB",
    ),
    setting(
        "max-body",
        BYTES,
        "Maximum size of a request body. Larger ones are answered 413.",
        part=Part.SITE,
        default=1 << 30,
    ),
    setting(
        "websocket-max-message",
        Bytes(1),
        "Maximum size of a message of a websocket's client, unless the application sets another. "
        "Larger ones close the websocket with 1009.",
        part=Part.SITE,
        default=1 << 20,
    ),
)
