"""The table of what is measured of clients that wait."""

from __future__ import annotations

from typing import Final

from bench.load import OpenLoop
from bench.push import servers
from bench.push.loads import Broadcasts, Echo, Silence
from bench.push.waiting_clients import Kind
from bench.workload import Contender, Workload

MANY: Final = 10_000
"""Clients that wait."""

SOCKETS: Final = 100
"""Websockets with messages."""

_OWN: Final = (Contender(servers.WAITING_COMPILED), Contender(servers.WAITING))
_ORDINARY: Final = OpenLoop(500, path="/items/#")
_NAMES: Final = {
    Kind.PLAIN: "connections",
    Kind.WEBSOCKET: "websockets",
    Kind.EVENTS: "event streams",
}

PUSH: Final = (
    Workload(
        "echo",
        "push",
        f"Texts of 40 bytes on {SOCKETS} websockets, each sent back",
        Echo(SOCKETS),
        (
            *_OWN,
            *map(Contender, servers.ECHOES),
            Contender(servers.FLASK_SOCK_ROCKET),
            Contender(servers.FLASK_SOCK_GUNICORN, SOCKETS + 10),
        ),
        compared=("message_rate", "message_cpu_us"),
        quick=True,
        remark="Without compression. Flask-Sock takes a thread for each websocket, and its library "
        "another, so gunicorn has as many; Rocket replaces the threads that are taken from it.",
    ),
    *(
        Workload(
            f"waiting-{kind.name.lower()}",
            "push",
            f"500 ordinary requests a second beside {MANY:,} silent {name}",
            Silence(MANY, kind, _ORDINARY),
            _OWN,
            compared=(),
            apart=True,
            remark="Memory is that of the server's process; the kernel's for sockets comes on top."
            if kind is Kind.PLAIN
            else "",
        )
        for kind, name in _NAMES.items()
    ),
    *(
        Workload(
            f"broadcast-{kind.name.lower()}",
            "push",
            f"A text of 40 bytes to {MANY:,} {_NAMES[kind]}",
            Broadcasts(MANY, kind, _ORDINARY),
            _OWN,
            compared=(),
            apart=True,
        )
        for kind in (Kind.WEBSOCKET, Kind.EVENTS)
    ),
)
