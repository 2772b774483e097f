"""Groups of websockets or event streams, to which a message is sent at once.

Theory of operation. The lock of the group's sequencer guards the members, the history and the
order of deliveries. A sender decides under it: the message joins the history, and its delivery to
the present members joins the queue. The deliveries themselves happen without the lock, one after
another (`Sequencer`), so that every member gets messages in the order of the history, even if many
threads send at once.

A member that is added with ``since`` gets what it has missed by a delivery of its own:

1. Message A was sent before: it is in the history, and its delivery, perhaps still to come, does
   not name the new member.
2. `Group.add` takes the events after ``since``, A included, puts their delivery to the new member
   into the queue, and enters the member. All of it is one step under the lock.
3. Message B is sent afterwards: its delivery names the new member and is behind that of step 2.

So the member gets A and B once each, and in this order.

A group on a bus only publishes what it is to send. The bus calls `Group._received` for each
message, in the order that all groups of the name have in common. Where the bus may have lost
messages (`Group._missed`), they are missing in the history, too. Then the event streams of the
group end, so that their clients come back with the ID of the last event that they have got: the
history of the process that they reach may have what is missing in this one.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from time import sleep
from typing import Final

from rocket_wsgi._group.broadcast import Broadcast, MemberKind, from_bytes
from rocket_wsgi._group.bus import Bus, Follower, follow
from rocket_wsgi._group.member import Member
from rocket_wsgi._group.sequencer import Sequencer
from rocket_wsgi._group.shared_bus import SHARED

_log = logging.getLogger("rocket_wsgi")

_STRETCH: Final = 32
"""The number of members after which a delivery pauses, about a millisecond's work.

With the GIL a thread that sends to thousands releases it for each system call, and has it back
before another thread has woken. So every step of an ordinary request would have to wait for the
interpreter's interval of 5 ms.
"""

_PAUSE: Final = 1e-6
"""Seconds of such a pause: the system makes it long enough for another thread to wake."""


class _Membership:
    """One stay of a member in a group.

    Attributes:
        member: the member.
        active: whether the stay lasts. It is not resumed: who comes again gets another one.
    """

    __slots__ = ("active", "member")

    def __init__(self, member: Member) -> None:
        self.member: Final = member
        self.active = True


class _Delivery:
    """Messages to members, in order.

    Attributes:
        messages: the messages.
        recipients: the members.
        gap: whether messages are missing here, so that members that can come back end instead.
        taken: how many took the messages; None before the delivery.
    """

    __slots__ = ("gap", "messages", "recipients", "taken")

    def __init__(
        self,
        messages: tuple[Broadcast, ...],
        recipients: tuple[_Membership, ...],
        *,
        gap: bool = False,
    ) -> None:
        self.messages: Final = messages
        self.recipients: Final = recipients
        self.gap: Final = gap
        self.taken: int | None = None


class Group:
    """Websockets or event streams that get the same messages. Any thread may use it."""

    __slots__ = ("_bus", "_history", "_kind", "_members", "_name", "_sequencer", "_snapshot")

    def __init__(
        self,
        *,
        history: int = 0,
        name: str | None = None,
        bus: Bus | None = None,
        shared: bool = False,
    ) -> None:
        """Keep the last ``history`` messages for members that come back.

        With ``bus``, the group and all others of the same ``name`` on it are one. With ``shared``,
        the bus is ``environ["rocket.bus"]``: that between all processes of the command, or, without
        the command, between all such groups of this process. A shared group may be made before its
        process is connected to the others, such as at the import of a module.

        A group on a bus that remembers messages begins with the history of the others of its name,
        for which the constructor waits a bounded time. If the bus may have lost messages, they are
        missing in the history, and the event streams of a group with history are ended, so that
        their clients come back, with the ID of the last event that they have got, to this process
        or to another, which may have all messages.

        Raises `ValueError` for a negative history, for a bus without a name or the reverse, for a
        shared group without a name, and for one with a bus of its own.
        """
        if history < 0:
            raise ValueError(f"history is {history}: give the number of messages to keep, from 0")
        if shared:
            if bus is not None or name is None:
                raise ValueError("a shared group needs a name, and has no other bus")
            bus = SHARED
        if (name is None) != (bus is None):
            raise ValueError("a group on a bus needs both name and bus")
        self._history: deque[Broadcast] = deque(maxlen=history)
        self._members: dict[Member, _Membership] = {}
        self._snapshot: tuple[_Membership, ...] | None = ()
        self._kind: MemberKind | None = None
        self._name = name
        self._bus = bus
        self._sequencer: Sequencer[_Delivery] = Sequencer(_deliver)
        if bus is not None and name is not None:
            follower = Follower(
                name,
                history,
                received=self._received,
                recalled=self._recalled,
                missed=self._missed,
                forked=self._forked,
            )
            follow(bus, follower)

    def __len__(self) -> int:
        return len(self._members)

    def __contains__(self, member: object) -> bool:
        return member in self._members

    def __iter__(self) -> Iterator[Member]:
        with self._sequencer.lock:
            return iter([membership.member for membership in self._present()])

    def add(self, member: Member, since: str | int | None = None) -> None:
        """Let ``member`` get messages until it closes or leaves.

        With ``since``, the ID of an event, the member first gets the events after it, or the whole
        history if the ID is not there. A member that is in the group already stays there, and gets
        nothing twice. Raises `TypeError` if the group has members of another kind.
        """
        sequencer = self._sequencer
        run = False
        with sequencer.lock:
            if member in self._members:
                return
            self._check_kind(member.kind)
            membership = _Membership(member)
            missed = () if since is None else self._since(str(since))
            if missed:
                sequencer.make_room()
                if member in self._members:  # another thread added it during the wait
                    return
                missed = self._since(str(since))
                run = sequencer.add(_Delivery(missed, (membership,)))
            self._members[member] = membership
            self._snapshot = None
        # 1. The member is entered above.
        # 2. It closes, and leaves the groups that it has noted, of which this is none yet.
        # 3. It refuses to note this one: so it is taken out here.
        if not member.join(self):
            self.discard(member)
        if run:
            sequencer.run()

    def discard(self, member: Member) -> None:
        """Let ``member`` leave, if it is there. A message that is just sent may still reach it."""
        with self._sequencer.lock:
            membership = self._members.pop(member, None)
            if membership is None:
                return
            membership.active = False
            self._snapshot = None
        member.leave(self)

    def send(
        self,
        data: str | bytes,
        *,
        event: str | None = None,
        id: str | int | None = None,  # noqa: A002 - as the field of an event is called
    ) -> int:
        """Send a message to all members; return how many took it. Waits for no client.

        ``event`` and ``id`` are for event streams only. While another thread delivers messages of
        this group, this one is left to it, and the result is the number of members; unless that
        thread has delivered many, and the calling one takes its place. With a bus, the message is
        only published, and comes back by it to all groups of the name. Raises `TypeError` and
        `ValueError` for what the members cannot send, and `BusError` if the bus does not take the
        message within about a second.
        """
        message = Broadcast(data, event, id)
        if self._bus is not None and self._name is not None:
            with self._sequencer.lock:
                self._admit(message)
            self._bus.publish(self._name, message.to_bytes())
            return len(self._members)
        return self._send(message)

    def _send(self, message: Broadcast) -> int:
        sequencer = self._sequencer
        with sequencer.lock:
            sequencer.make_room()
            self._admit(message)
            self._history.append(message)
            delivery = _Delivery((message,), self._present())
            run = sequencer.add(delivery)
        if run:
            sequencer.run()
        return len(delivery.recipients) if delivery.taken is None else delivery.taken

    def _received(self, content: bytes) -> None:
        """Take a message from the bus. Groups of the name may be of another kind elsewhere."""
        try:
            self._send(from_bytes(content))
        except (TypeError, ValueError) as error:
            _log.warning("a message to group %s is not delivered here: %s", self._name, error)

    def _recalled(self, contents: list[bytes]) -> None:
        """Put messages that the bus has kept before the history."""
        messages: list[Broadcast] = []
        with self._sequencer.lock:
            for content in contents:
                try:
                    message = from_bytes(content)
                    self._admit(message)
                except (TypeError, ValueError) as error:
                    _log.warning("a message to group %s is not kept here: %s", self._name, error)
                else:
                    messages.append(message)
            messages += self._history
            self._history.clear()
            self._history.extend(messages)

    def _missed(self) -> None:
        """Let event streams come back, since messages may be missing in the history."""
        sequencer = self._sequencer
        if not self._history.maxlen:
            return
        with sequencer.lock:
            sequencer.make_room()
            run = sequencer.add(_Delivery((), self._present(), gap=True))
        if run:
            sequencer.run()

    def _forked(self) -> None:
        """Go on in a forked process, in which the members are not, nor the holder of the lock."""
        self._sequencer = Sequencer(_deliver)
        self._members = {}
        self._snapshot = ()

    def _present(self) -> tuple[_Membership, ...]:
        """Return the present members. Called with the lock."""
        snapshot = self._snapshot
        if snapshot is None:
            snapshot = tuple(self._members.values())
            self._snapshot = snapshot
        return snapshot

    def _since(self, identity: str) -> tuple[Broadcast, ...]:
        """Return the messages after the last one with this ID, or all. Called with the lock."""
        messages = tuple(self._history)
        for position in range(len(messages) - 1, -1, -1):
            if messages[position].identity == identity:
                return messages[position + 1 :]
        return messages

    def _admit(self, message: Broadcast) -> None:
        if message.kind is not None:
            self._check_kind(message.kind)

    def _check_kind(self, kind: MemberKind) -> None:
        """Let the first member, or a message for one kind, determine it. Called with the lock."""
        if self._kind is None:
            self._kind = kind
        elif self._kind is not kind:
            raise TypeError(f"the group is one of {self._kind.value}s, not of {kind.value}s")


def _deliver(delivery: _Delivery) -> None:
    """Send messages to the members that have not left since."""
    taken = 0
    if delivery.gap:
        for recipient in delivery.recipients:
            if recipient.active:
                recipient.member.lapse()
    for message in delivery.messages:
        for number, recipient in enumerate(delivery.recipients, 1):
            if recipient.active and recipient.member.send_encoded(message):
                taken += 1
            if not number % _STRETCH:
                sleep(_PAUSE)
    delivery.taken = taken
