"""Connections of a model: a client, and what the owner of a connection does with its bytes."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

from rocket_core import State
from rocket_core._system.poller import READ

if TYPE_CHECKING:
    from explorer.stage import Stage
    from explorer.standins import ModelPoller


class ModelConnection:
    """A connection as the Monitor deals with it, and as an owner that receives.

    Attributes:
        received: how many bytes owners have received.
        unread: how many have come that no owner has received.
    """

    def __init__(self, stage: Stage, poller: ModelPoller, descriptor: int) -> None:
        self._stage = stage
        self._poller = poller
        self.descriptor = descriptor
        self.state = State.IDLE
        self.deadline = inf
        self.watched_at = inf
        self.wants = 0
        self.armed = False
        self.lasting = False
        self.drained = False
        self.claimed_at = 0.0
        self.unread = 0
        self.received = 0

    def send(self) -> None:
        """The client sends a byte."""
        self._stage.point("socket")
        self.unread += 1
        self._poller.become(self.descriptor, READ)

    def receive(self) -> None:
        """The owner receives all that has come; it knows that this was all."""
        self._stage.point("socket")
        self.received += self.unread
        self.unread = 0
        self.drained = True
        self._poller.used_up(self.descriptor, READ)

    def __repr__(self) -> str:
        return f"<connection {self.descriptor}>"


def as_any(value: object) -> Any:
    """Return ``value``, which has what the code under test uses of another class."""
    return value
