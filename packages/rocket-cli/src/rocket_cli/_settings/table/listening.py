"""The addresses that the server listens on."""

from __future__ import annotations

from typing import Final

from rocket_cli._settings.kinds import FLAG, Text, Whole
from rocket_cli._settings.setting import Part, Setting, setting
from rocket_cli._settings.values import bind

LISTENING: Final[tuple[Setting, ...]] = (
    setting(
        "bind",
        Text(bind),
        "Listen on this address: HOST:PORT, [IPV6]:PORT, :PORT or unix:PATH. The prefix http:// or "
        "https:// chooses the protocol; without a prefix it is HTTPS if there is a certificate, "
        "otherwise HTTP.",
        default=["127.0.0.1:8000"],
        many=True,
        metavar="ADDRESS",
        gunicorn="bind",
    ),
    setting(
        "backlog",
        Whole(1, (1 << 31) - 1, unit="connections"),
        "Let the system queue this many new connections for each address until the server accepts "
        "them.",
        part=Part.LISTENER,
        default=2048,
        gunicorn="backlog",
    ),
    setting(
        "ipv6-only",
        FLAG,
        "Accept IPv6 clients only at [::]:PORT, as if an IPv4 address with the same port were "
        "given, too.",
        part=Part.LISTENER,
        default=False,
    ),
    setting(
        "reuse-port",
        FLAG,
        "Allow other servers of the same user to listen on the same address and port, if they "
        "allow it, too (SO_REUSEPORT). The system distributes the clients among them.",
        part=Part.LISTENER,
        default=False,
        gunicorn="reuse_port",
    ),
    setting(
        "http2",
        FLAG,
        "Offer HTTP/2 to the clients of HTTPS, beside HTTP/1.1.",
        default=True,
        gunicorn="http_protocols",
    ),
    setting(
        "h2c",
        FLAG,
        "Accept HTTP/2 without TLS, too (prior knowledge): from --trusted-proxies, and from all "
        "clients at a Unix socket or a loopback address.",
        part=Part.SITE,
        default=False,
        gunicorn="http2_cleartext",
    ),
)
