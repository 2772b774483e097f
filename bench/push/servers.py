"""The servers of websockets, each started as its documentation says."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from bench.servers import (
    BACKLOG,
    CONNECTIONS,
    GUNICORN,
    ROCKET,
    ROCKET_COMPILED,
    Server,
    Site,
    module,
    script,
)

FLASK_SOCK: Final = "bench.applications.echo_flask:application"


def _parked(site: Site) -> list[str]:
    site = replace(site, application="bench.applications.waiting:application")
    return [*ROCKET.command(site), "--max-connections", str(CONNECTIONS)]


def _flask_sock(server: Server) -> Server:
    def command(site: Site) -> list[str]:
        return server.command(replace(site, application=FLASK_SOCK))

    return replace(server, name=f"Flask-Sock on {server.name}", command=command)


def _hypercorn(site: Site) -> list[str]:
    return [
        *(script(site, "hypercorn"), "bench.applications.echo_asgi:application"),
        *("--bind", site.address, "--workers", "0", "--backlog", str(BACKLOG)),
    ]


def _granian(interface: str) -> Server:
    def command(site: Site) -> list[str]:
        return [
            *(script(site, "granian"), f"bench.applications.echo_{interface}:application"),
            *("--interface", interface, "--workers", "1", "--http", "1"),
            *("--host", "127.0.0.1", "--port", str(site.port), "--log-level", "warning"),
        ]

    return Server(f"granian ({interface.upper()})", command, distribution="granian", threads=False)


WAITING: Final = replace(ROCKET, command=_parked)
WAITING_COMPILED: Final = replace(ROCKET_COMPILED, command=_parked)

ECHOES: Final = (
    Server(
        "websockets (asyncio)",
        lambda site: module(site, "websockets_server", site.port),
        distribution="websockets",
        threads=False,
    ),
    Server("hypercorn (wsproto)", _hypercorn, distribution="hypercorn", threads=False),
    Server(
        "gevent-websocket",
        lambda site: module(site, "gevent_server", site.port),
        distribution="gevent-websocket",
        threads=False,
    ),
    _granian("asgi"),
    _granian("rsgi"),
)
"""Those that hold no thread for a websocket."""

FLASK_SOCK_ROCKET: Final = _flask_sock(ROCKET)
FLASK_SOCK_GUNICORN: Final = _flask_sock(GUNICORN)
