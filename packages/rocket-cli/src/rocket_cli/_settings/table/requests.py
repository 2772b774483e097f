"""How requests are served."""

from __future__ import annotations

from typing import Final

from rocket_cli._settings.kinds import FLAG, Choice, Text, Words
from rocket_cli._settings.setting import Part, Setting, setting
from rocket_cli._settings.values import networks, root_path, server_header, underscores, url_path

REQUESTS: Final[tuple[Setting, ...]] = (
    setting(
        "stream-bodies",
        FLAG,
        "Call the application before the request body has arrived. Some frameworks, such as "
        "Django, then take a chunked body for an empty one.",
        part=Part.SITE,
        default=False,
    ),
    setting(
        "underscores",
        Choice(["drop", "refuse", "allow"], underscores),
        "Drop header fields with an underscore in their name, refuse requests that contain one, or "
        "allow them.",
        part=Part.SITE,
        default="drop",
        gunicorn="header_map",
    ),
    setting(
        "root-path",
        Text(root_path),
        "Have the application at this path, which becomes its SCRIPT_NAME. A proxy may remove it "
        "from the URL, or pass it on.",
        metavar="PATH",
    ),
    setting(
        "reserved",
        Text(url_path),
        "Serve requests for this path, such as a health check by the application, even while all "
        "threads are busy.",
        many=True,
        metavar="PATH",
    ),
    setting(
        "health",
        Text(url_path),
        "Answer health checks at this path by the server itself, even while all threads are busy: "
        "200 while it serves, 503 while it stops.",
        part=Part.SITE,
        default_words="none",
        metavar="PATH",
    ),
    setting(
        "server-timing",
        FLAG,
        "Tell load balancers and browsers how long a request waited for a thread, in milliseconds: "
        "Server-Timing: queue;dur=1.234.",
        part=Part.SITE,
        default=False,
    ),
    setting(
        "compress",
        FLAG,
        "Compress responses of text from 1 KiB on for clients that accept it: by gzip, by zstd "
        "with the extra zstd or Python 3.14, by br with the extra brotli. Compress static files "
        "once.",
        part=Part.SITE,
        default=False,
    ),
    setting(
        "server-header",
        Text(server_header),
        "Send this value in the header field Server, which the application may replace; an empty "
        "one: send no such field.",
        part=Part.SITE,
        default_words="the name and version of the server",
    ),
    setting(
        "request-ids",
        FLAG,
        "Give every request an ID, for the application and the access log.",
        default=False,
    ),
    setting(
        "request-ids-trusted",
        Words(networks),
        "Use the X-Request-ID of proxies in these networks, separated by commas; unix for the "
        "peers of Unix sockets.",
        part=Part.REQUEST_IDS,
        keyword="trusted",
        default_words="every ID is generated",
        metavar="NETWORKS",
        needs="request-ids",
    ),
    setting(
        "request-ids-echo",
        FLAG,
        "Send the ID to the client in X-Request-ID.",
        part=Part.REQUEST_IDS,
        keyword="echo",
        default=False,
        needs="request-ids",
    ),
)
