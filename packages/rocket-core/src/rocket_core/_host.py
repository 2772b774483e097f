"""What a connection knows of the server it belongs to."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Final

from rocket_core._budget import Budget


@dataclass(slots=True, eq=False)
class Host:
    """Shared by all connections of a server.

    Attributes:
        stalled: entered by a worker for as long as it must wait for its client.
        draining: whether idle connections are closed instead of kept.
        output: what all connections may hold for clients that do not take it.
        stopped: whether every connection is closed instead of parked.
    """

    stalled: AbstractContextManager[object] = field(default_factory=nullcontext)
    output: Budget = field(default_factory=Budget)
    draining: bool = False
    stopped: bool = False


NO_HOST: Final = Host()
"""For connections outside of any server."""
