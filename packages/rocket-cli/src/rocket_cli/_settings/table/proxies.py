"""Proxies in front of the server."""

from __future__ import annotations

from typing import Final

from rocket_cli._settings.kinds import Text, Words
from rocket_cli._settings.setting import Part, Setting, setting
from rocket_cli._settings.values import deadline_field, networks, proxy_fields

PROXIES: Final[tuple[Setting, ...]] = (
    setting(
        "trusted-proxies",
        Words(networks, none=True),
        "Take the client's address, protocol and host from header fields of proxies in these "
        "networks, separated by commas; unix for the peers of Unix sockets, none for no proxy.",
        part=Part.SITE,
        default_words="the fields are left to the application",
        metavar="NETWORKS",
        gunicorn="forwarded_allow_ips",
    ),
    setting(
        "proxy-fields",
        Words(proxy_fields),
        "Read these header fields, separated by commas, which each of the trusted proxies must "
        "set: Forwarded, or some of X-Forwarded-For, -Proto, -Host, -Port and -Prefix.",
        part=Part.SITE,
        default_words="X-Forwarded-For,X-Forwarded-Proto",
        metavar="FIELDS",
        gunicorn="forwarder_headers",
        needs="trusted-proxies",
    ),
    setting(
        "deadline-field",
        Text(deadline_field),
        "Take the time that a trusted proxy waits for the answer from this header field, such as "
        "X-Envoy-Expected-Rq-Timeout-Ms or grpc-timeout, and set rocket.cancelled when it is over.",
        part=Part.SITE,
        default_words="no deadlines of proxies",
        metavar="NAME",
        needs="trusted-proxies",
    ),
    setting(
        "proxy-protocol",
        Words(networks),
        "Accept connections only from proxies in these networks, separated by commas, and require "
        "a PROXY protocol header at the beginning of each connection, at every address.",
        part=Part.LISTENER,
        default_words="no PROXY protocol",
        metavar="NETWORKS",
        gunicorn="proxy_protocol, proxy_allow_ips",
    ),
)
