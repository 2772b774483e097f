"""How long the server waits, and for what."""

from __future__ import annotations

from typing import Final

from rocket_cli._settings.kinds import RATE, SECONDS, SECONDS_OR_NONE
from rocket_cli._settings.setting import Part, Setting, setting

TIMEOUTS: Final[tuple[Setting, ...]] = (
    setting(
        "graceful-timeout",
        SECONDS,
        "After SIGTERM, give running requests this long to finish.",
        default=30,
        gunicorn="graceful_timeout",
    ),
    setting(
        "request-timeout",
        SECONDS,
        "Answer 504 if the application takes longer than this.",
        part=Part.SERVER,
        default_words="no limit",
        gunicorn="timeout",
    ),
    setting(
        "queue-timeout",
        SECONDS,
        "Answer 503 if a request waits longer than this for a thread.",
        part=Part.SERVER,
        default=60,
    ),
    setting(
        "keep-alive",
        SECONDS,
        "Close an idle connection if no request begins for this long.",
        part=Part.TIMEOUTS,
        default=75,
        gunicorn="keepalive",
    ),
    setting(
        "handshake-timeout",
        SECONDS,
        "Close a connection whose TLS handshake, including a PROXY protocol header before it, "
        "takes longer than this.",
        part=Part.TIMEOUTS,
        keyword="handshake",
        default=10,
    ),
    setting(
        "head-timeout",
        SECONDS,
        "Give a client this long to send a complete request head.",
        part=Part.TIMEOUTS,
        keyword="head",
        default=30,
    ),
    setting(
        "stall-timeout",
        SECONDS,
        "Close a connection on which no byte of a body or response moves for this long. If it is "
        "more than 60 seconds, --minimum-rate is measured over this time, too.",
        part=Part.TIMEOUTS,
        keyword="stall",
        default=60,
    ),
    setting(
        "silence-timeout",
        SECONDS,
        "Close a websocket, or another connection that the application has taken over, on which no "
        "byte moves in either direction for this long.",
        part=Part.TIMEOUTS,
        keyword="silence",
        default=600,
    ),
    setting(
        "websocket-ping",
        SECONDS_OR_NONE,
        "Ping the client of a websocket after this much silence, and close the websocket if no "
        "answer arrives within the same time, unless the application says otherwise; none to send "
        "no pings.",
        part=Part.SITE,
        default=25,
    ),
    setting(
        "minimum-rate",
        RATE,
        "Close a connection whose request body or response has been slower than this over the last "
        "minute.",
        part=Part.TIMEOUTS,
        default=240,
    ),
    setting(
        "minimum-rate-grace",
        SECONDS,
        "Give a request body or response this long before --minimum-rate applies.",
        part=Part.TIMEOUTS,
        keyword="grace",
        default=30,
    ),
    setting(
        "linger-timeout",
        SECONDS,
        "After the last response, give the client this long to close the connection.",
        part=Part.TIMEOUTS,
        keyword="linger",
        default=2,
    ),
)
