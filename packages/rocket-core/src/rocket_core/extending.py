"""The names for layers on rocket-core, such as TLS and HTTP: what protocols do not need."""

from rocket_core._connection.buffers import RECEIVE_SIZE
from rocket_core._connection.output import OUTPUT_BOUND
from rocket_core._connection.spool import Spool
from rocket_core._connection.upgraded_socket import UpgradedSocket
from rocket_core._errors import NotYet, ProxyHeaderError, SpoolError
from rocket_core._lease import Hold, Lease
from rocket_core._network.binding import SocketFile, bind_socket
from rocket_core._state import OWNERS, TRANSITIONS, Owner
from rocket_core._system.fault_log import FaultLog
from rocket_core._system.poller import READ, WRITE
from rocket_core._system.rare_log import RareLog
from rocket_core._system.sendfile import send_copied

__all__ = [
    "OUTPUT_BOUND",
    "OWNERS",
    "READ",
    "RECEIVE_SIZE",
    "TRANSITIONS",
    "WRITE",
    "FaultLog",
    "Hold",
    "Lease",
    "NotYet",
    "Owner",
    "ProxyHeaderError",
    "RareLog",
    "SocketFile",
    "Spool",
    "SpoolError",
    "UpgradedSocket",
    "bind_socket",
    "send_copied",
]
