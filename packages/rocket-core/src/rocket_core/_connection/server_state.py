"""What a connection knows of the server it belongs to."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rocket_core._connection.budget import TOTAL_INPUT, Budget
from rocket_core._connection.disk import Disk
from rocket_core._system.fault_log import FaultLog

if TYPE_CHECKING:
    from rocket_core._connection.connection import Connection
    from rocket_core._connection.upgraded_socket import UpgradedSocket


def _not_stalled(connection: Connection) -> AbstractContextManager[object]:
    del connection
    return nullcontext()


def _not_replaced(key: object) -> bool:
    del key
    return True


def _not_returned(key: object) -> None:
    del key


def _not_upgraded(taken: UpgradedSocket) -> bool:
    del taken
    return True


def _not_downgraded(taken: UpgradedSocket) -> None:
    del taken


@dataclass(slots=True, eq=False)
class ServerState:
    """Shared by all connections of a server.

    Attributes:
        stalled: entered by a worker for as long as it must wait for its client.
        draining: whether idle connections are closed instead of kept.
        replace: has another thread take the place of one that will not come back soon, given any
            key; False when too many are replaced already.
        returned: the thread with that key has come back.
        upgrade: has another thread take the place of one whose application takes a connection over;
            False when too many are taken over already.
        downgrade: the application is done with such a connection.
        input: what `Spool` may hold of all large requests together.
        output: what all connections may hold for clients that do not take it.
        disk: what `Spool` may keep of all large requests in files.
        faults: logs what clients can have fail again and again.
        stopped: whether every connection is closed instead of parked.
    """

    stalled: Callable[[Connection], AbstractContextManager[object]] = _not_stalled
    replace: Callable[[object], bool] = _not_replaced
    returned: Callable[[object], None] = _not_returned
    upgrade: Callable[[UpgradedSocket], bool] = _not_upgraded
    downgrade: Callable[[UpgradedSocket], None] = _not_downgraded
    input: Budget = field(default_factory=lambda: Budget(TOTAL_INPUT))
    output: Budget = field(default_factory=Budget)
    disk: Disk = field(default_factory=Disk)
    faults: FaultLog = field(default_factory=FaultLog)
    draining: bool = False
    stopped: bool = False


NO_SERVER: Final = ServerState()
"""For connections outside of any server."""
