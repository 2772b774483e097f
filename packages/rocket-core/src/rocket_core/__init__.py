"""Connections, listeners, a monitor and a thread pool: a server for any protocol.

A protocol is a subclass of `Worker` with one method::

    class Shout(Worker):
        def serve(self, connection):
            connection.write(connection.readline().upper())
            return State.IDLE

    with Server(Shout, [Listener("127.0.0.1:7000")]) as server:
        server.wait()
"""

import sys as _sys

from rocket_core._connection.connection import Connection
from rocket_core._connection.shared_connection import SharedConnection
from rocket_core._connection.shared_tally import MessageCounts
from rocket_core._connection.timeouts import Timeouts
from rocket_core._engine.histogram import Histogram
from rocket_core._engine.response_counts import ResponseCounts
from rocket_core._engine.shared_protocol import SharedProtocol
from rocket_core._engine.statistics import Activity, ConnectionInfo, SharedCounts, Statistics
from rocket_core._engine.worker import Worker
from rocket_core._errors import (
    AddressError,
    BindError,
    ClientGone,
    LifecycleError,
    RocketError,
    TransitionError,
    WaitError,
)
from rocket_core._network.address import (
    Address,
    Peer,
    TCPAddress,
    UnixAddress,
    address_of,
    parse_address,
)
from rocket_core._network.networks import Networks
from rocket_core._server.listener import BACKLOG, Listener
from rocket_core._server.server import Lifecycle, Server
from rocket_core._state import CloseReason, State
from rocket_core._version import __version__

compiled: bool = f"{__name__}._compiled__mypyc" in _sys.modules
"""Whether this process runs the compiled build: the modules above have loaded its library."""

__all__ = [
    "BACKLOG",
    "Activity",
    "Address",
    "AddressError",
    "BindError",
    "ClientGone",
    "CloseReason",
    "Connection",
    "ConnectionInfo",
    "Histogram",
    "Lifecycle",
    "LifecycleError",
    "Listener",
    "MessageCounts",
    "Networks",
    "Peer",
    "ResponseCounts",
    "RocketError",
    "Server",
    "SharedConnection",
    "SharedCounts",
    "SharedProtocol",
    "State",
    "Statistics",
    "TCPAddress",
    "Timeouts",
    "TransitionError",
    "UnixAddress",
    "WaitError",
    "Worker",
    "__version__",
    "address_of",
    "compiled",
    "parse_address",
]

for _name in __all__:
    if callable(globals()[_name]):  # a class or a function, which then names this module as its own
        globals()[_name].__module__ = __name__
del _name
