"""Every option of waitress 3, and what becomes of it."""

from __future__ import annotations

from typing import Final

from rocket_cli._migration import rules
from rocket_cli._migration.counterparts import Table, carried, lost, needless
from rocket_cli._migration.waitress import carrying

_BUFFERS: Final = "Buffers are sized by the server; see max-output and max-spool for their total."
_LOOP: Final = "Connections are watched by epoll or kqueue."

WAITRESS: Final = Table(
    "waitress",
    {
        "Listening": [
            carried(
                "host",
                "bind",
                carrying.nothing,
                "HOST:PORT. The default is 127.0.0.1:8000, not 0.0.0.0:8080.",
            ),
            carried("port", "bind", carrying.nothing, "HOST:PORT."),
            carried(
                "listen",
                "bind",
                carrying.listen,
                "*:8080 is :8080 here, for IPv4 and IPv6.",
                many=True,
            ),
            needless("ipv4", "The addresses decide: 0.0.0.0 is for IPv4.", default=True, flag=True),
            needless("ipv6", "The addresses decide: [::] is for IPv6.", default=True, flag=True),
            carried("unix_socket", "bind", carrying.unix_socket, "unix:PATH."),
            lost(
                "unix_socket_perms",
                "The mode of the socket follows umask: 007 gives the group access, 000 everyone.",
                "umask",
                default="600",
            ),
            lost("sockets", "Sockets of systemd are found by themselves."),
            carried("backlog", "backlog", rules.number("backlog")),
        ],
        "Application": [
            carried("app", "app", rules.application, "The argument of waitress-serve."),
            carried(
                "call",
                "app",
                carrying.nothing,
                'A factory is called: "module:factory()".',
                flag=True,
            ),
            carried("url_prefix", "root-path", carrying.url_prefix),
            carried(
                "url_scheme",
                "trusted-proxies",
                carrying.url_scheme,
                "Taken from the proxy, by X-Forwarded-Proto; it cannot be set.",
            ),
            needless("server_name", "It is the address of the server.", default="waitress.invalid"),
            carried("ident", "server-header", carrying.ident, "An empty one: no field Server."),
        ],
        "Threads and limits": [
            carried(
                "threads",
                "threads",
                rules.number("threads"),
                "The default is 8, not 4. A slow reader of a response that is being generated "
                "holds no thread here: another takes its place.",
            ),
            carried("connection_limit", "max-connections", rules.number("max-connections")),
            carried("channel_timeout", "keep-alive", rules.number("keep-alive")),
            needless("cleanup_interval", "Connections are closed when their time is over."),
            carried("max_request_body_size", "max-body", rules.number("max-body")),
            needless(
                "max_request_header_size",
                "The limits are fixed: 8 KiB for the request line, 16 KiB for a field, 64 KiB for "
                "all of them.",
            ),
            needless("recv_bytes", _BUFFERS),
            needless("send_bytes", _BUFFERS),
            needless("outbuf_overflow", _BUFFERS),
            needless("outbuf_high_watermark", _BUFFERS),
            needless("inbuf_overflow", "A body of up to 1 MiB is kept in memory."),
            needless(
                "channel_request_lookahead",
                "rocket.cancelled in the environ is set when the client has gone.",
            ),
            needless("asyncore_loop_timeout", _LOOP),
            needless("asyncore_use_poll", _LOOP, flag=True),
        ],
        "Proxies": [
            carried(
                "trusted_proxy",
                "trusted-proxies",
                carrying.trusted_proxy,
                "Addresses and networks; * cannot be carried over.",
            ),
            lost(
                "trusted_proxy_count",
                "All proxies are named by their addresses in trusted-proxies; their number is not "
                "needed.",
                "trusted-proxies",
                default=1,
            ),
            carried("trusted_proxy_headers", "proxy-fields", carrying.trusted_proxy_headers),
            needless("log_untrusted_proxy_headers", "They are removed without a message.",
                     flag=True),
            carried(
                "clear_untrusted_proxy_headers",
                "trusted-proxies",
                carrying.clear_untrusted,
                "With trusted-proxies, fields of others are removed, always.",
                flag=True,
            ),
        ],
        "Logs": [
            needless(
                "log_socket_errors",
                "A client that disconnects is not an error; log-level debug shows it.",
                default=True,
                flag=True,
            ),
            lost(
                "expose_tracebacks",
                "The client gets 500, and the log the traceback. With --reload, a page shows why "
                "the application cannot be loaded.",
                flag=True,
            ),
        ],
    },
)  # fmt: skip
