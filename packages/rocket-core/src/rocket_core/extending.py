"""What layers on rocket-core need, such as TLS and HTTP, and simple protocols do not.

These names are public, too, and follow the same versions as `rocket_core`.
"""

from rocket_core._connection.buffers import RECEIVE_SIZE
from rocket_core._connection.client_buckets import ClientBuckets
from rocket_core._connection.disk_budget import spool_fault
from rocket_core._connection.origin import origin_of_host
from rocket_core._connection.output import OUTPUT_BOUND
from rocket_core._connection.shared_connection import QUEUE_BOUND
from rocket_core._connection.shared_request import RequestHandler, SharedRequest
from rocket_core._connection.shared_turns import Phase, SharedTurns
from rocket_core._connection.spool import Spool
from rocket_core._connection.transfer import Transfer
from rocket_core._connection.turn_taker import TurnTaker
from rocket_core._connection.upgraded_socket import UpgradedSocket
from rocket_core._errors import NotYet, SpoolError
from rocket_core._lease import Hold, Lease
from rocket_core._native_classes import mypyc_attr
from rocket_core._network.binding import SocketFile, bind_socket
from rocket_core._system.fault_log import FaultLog
from rocket_core._system.poller import READ, WRITE
from rocket_core._system.rare_log import RareLog
from rocket_core._system.usable_cores import granted_cores

__all__ = [
    "OUTPUT_BOUND",
    "QUEUE_BOUND",
    "READ",
    "RECEIVE_SIZE",
    "WRITE",
    "ClientBuckets",
    "FaultLog",
    "Hold",
    "Lease",
    "NotYet",
    "Phase",
    "RareLog",
    "RequestHandler",
    "SharedRequest",
    "SharedTurns",
    "SocketFile",
    "Spool",
    "SpoolError",
    "Transfer",
    "TurnTaker",
    "UpgradedSocket",
    "bind_socket",
    "granted_cores",
    "mypyc_attr",
    "origin_of_host",
    "spool_fault",
]

for _name in __all__:
    if callable(globals()[_name]):  # a class or a function, which then names this module as its own
        globals()[_name].__module__ = __name__
del _name
