"""What a group needs of its members."""

from __future__ import annotations

from typing import Protocol

from rocket_wsgi._group.broadcast import Broadcast, MemberKind


class Leavable(Protocol):
    """What a member leaves when it closes."""

    def discard(self, member: Member) -> None:
        """Let ``member`` leave, if it is there."""


class Member(Protocol):
    """A websocket or an event stream. Many threads use it at once."""

    @property
    def kind(self) -> MemberKind:
        """What the member is."""

    def send_encoded(self, message: Broadcast) -> bool:
        """Send a message without waiting; whether the member took it. It raises nothing."""

    def lapse(self) -> None:
        """End, without waiting, if the client then comes back for the messages it has missed."""

    def join(self, group: Leavable) -> bool:
        """Note a group that the member has entered; False if the member is closed already.

        A member that closes calls ``discard`` of each group that it has noted, once, and without a
        lock that `send_encoded` takes.
        """

    def leave(self, group: Leavable) -> None:
        """Forget a group that the member has left."""
