"""Connections, listeners, a monitor and threads: the core of a server for any protocol.

A protocol is a subclass of `Worker` with one method::

    class Shout(Worker):
        def serve(self, connection):
            connection.write(connection.readline().upper())
            return State.IDLE

    with Server(Shout, [Listener("127.0.0.1:7000")]) as server:
        server.wait()
"""

from rocket_core._address import (
    Address,
    Peer,
    TCPAddress,
    UnixAddress,
    address_of,
    parse_address,
)
from rocket_core._binding import SocketFile, bind_socket
from rocket_core._connection import RECEIVE_SIZE, Connection
from rocket_core._errors import (
    AddressError,
    BindError,
    ClientGone,
    HeadError,
    LifecycleError,
    NotYet,
    ProxyHeaderError,
    RocketError,
    SpoolError,
    TransitionError,
    WaitError,
)
from rocket_core._fault_log import FaultLog
from rocket_core._head import (
    MAX_FIELD,
    MAX_FIELDS,
    MAX_HEAD,
    MAX_REQUEST_LINE,
    FieldNames,
    RequestLine,
    read_fields,
    read_request_line,
    split_head,
)
from rocket_core._histogram import Histogram
from rocket_core._listener import BACKLOG, Listener
from rocket_core._monitor import Monitor
from rocket_core._networks import Networks
from rocket_core._output import OUTPUT_BOUND
from rocket_core._poller import READ, WRITE
from rocket_core._rare_log import RareLog
from rocket_core._reason import CloseReason
from rocket_core._sendfile import send_copied
from rocket_core._server import Lifecycle, Server
from rocket_core._spool import Spool
from rocket_core._state import OWNERS, TRANSITIONS, Owner, State
from rocket_core._statistics import Activity, ConnectionInfo, Statistics
from rocket_core._thread_pool import ThreadPool
from rocket_core._timeouts import Timeouts
from rocket_core._turn import Right, Turn
from rocket_core._upgraded import UpgradedSocket
from rocket_core._version import __version__
from rocket_core._worker import Worker

__all__ = [
    "BACKLOG",
    "MAX_FIELD",
    "MAX_FIELDS",
    "MAX_HEAD",
    "MAX_REQUEST_LINE",
    "OUTPUT_BOUND",
    "OWNERS",
    "READ",
    "RECEIVE_SIZE",
    "TRANSITIONS",
    "WRITE",
    "Activity",
    "Address",
    "AddressError",
    "BindError",
    "ClientGone",
    "CloseReason",
    "Connection",
    "ConnectionInfo",
    "FaultLog",
    "FieldNames",
    "HeadError",
    "Histogram",
    "Lifecycle",
    "LifecycleError",
    "Listener",
    "Monitor",
    "Networks",
    "NotYet",
    "Owner",
    "Peer",
    "ProxyHeaderError",
    "RareLog",
    "RequestLine",
    "Right",
    "RocketError",
    "Server",
    "SocketFile",
    "Spool",
    "SpoolError",
    "State",
    "Statistics",
    "TCPAddress",
    "ThreadPool",
    "Timeouts",
    "TransitionError",
    "Turn",
    "UnixAddress",
    "UpgradedSocket",
    "WaitError",
    "Worker",
    "__version__",
    "address_of",
    "bind_socket",
    "parse_address",
    "read_fields",
    "read_request_line",
    "send_copied",
    "split_head",
]
