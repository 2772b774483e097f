"""What a protocol does with a shared connection, or stream: the methods that the server calls."""

from __future__ import annotations

from abc import ABC, abstractmethod

from rocket_core._connection.connection import Connection
from rocket_core._connection.shared_connection import SharedConnection
from rocket_core._state import CloseReason


class SharedProtocol(ABC):
    """One shared connection, as its protocol deals with it; see `Connection.share`.

    Which thread calls a method decides what the method may do:

    - *The owner of the connection* calls `received`, `due` and `draining`, one at a time. It is a
      worker, or the Monitor's thread, for which all clients wait. So these methods do not wait and
      do not call the application. What they note on the `SharedConnection` is carried out when they
      return. An exception ends the connection.
    - *A thread of the pool* calls `turn`, `drained` and `ended`, one at a time, but at the same
      time as the owner calls the methods above. Here the application may run, for as long as it
      likes. What is noted is carried out when the method returns, or by `SharedConnection.flush`.
    - *The Monitor's thread* calls `overdue` while another thread is in `turn`. It may do what the
      owner may.
    - *Any thread* may call `doing`, `pace`, `streams`, `stream_kinds` and `busy`. `outcome` is
      called by the thread that has called `ended`.
    """

    __slots__ = ()

    kind = "shared"
    """What statistics call such a connection. If it is empty, they count its state alone."""

    supplies = False
    """Whether `output` supplies all that is to be sent, so that nothing is queued."""

    @abstractmethod
    def received(self, connection: Connection) -> None:
        """Take from the buffer of ``connection`` what has come. The owner calls this.

        Nothing has to be taken; what is left waits for more to arrive. It is called after
        `SharedConnection.go_on_reading`, too, whether or not more has come. This is the only method
        that may call methods of the connection, and only `Connection.take` and others that take
        from the buffer.
        """

    dry = True
    """Whether `output` has returned all that there was at that time. An attribute of the instance,
    where it supplies."""

    def output(self) -> bytes:
        """Return what is to be sent next, and set `dry`; empty: nothing. The owner calls this.

        It is called after `SharedConnection.supply`, and again whenever the client has taken what
        was returned before, until nothing is returned.
        """
        return b""

    def lost(self) -> None:  # noqa: B027 - most need not know before `ended`
        """The connection is not shared any more, which `ended` will tell in a turn.

        The owner calls this. It wakes threads of the pool that wait for the client, of which there
        may be so many that none is left for the turn.
        """

    def due(self, now: float) -> None:
        """The time of `SharedConnection.call_at` has come. The owner calls this."""
        del now

    def draining(self, shared: SharedConnection) -> None:
        """The server drains, and the connection is to end soon. The owner calls this once.

        Of many connections each is told at a time of its own. This implementation ends it at once,
        behind what was queued.
        """
        shared.end()

    def turn(self) -> bool:
        """Do one thing of those that wait; return whether others do. A thread of the pool calls it.

        It is called after `SharedConnection.call`, and again while it returns True. In between,
        other connections have their turns.
        """
        return False

    def drained(self) -> None:  # noqa: B027 - most need not know
        """The client has taken all that it had to be waited for. A thread of the pool calls this.

        More may have been queued since. It is not called after `ended`.
        """

    def ended(self, reason: CloseReason | None) -> None:  # noqa: B027 - some have nothing to end
        """The connection is not shared any more. A thread of the pool calls this exactly once.

        ``reason`` is the reason for which it closes, or has closed; None: it serves requests again.
        `turn` is called afterwards, as often as it returns True.
        """

    def outcome(self, reason: CloseReason | None) -> str:
        """Return what statistics call an end with ``reason``, after `ended` was called.

        This implementation returns the name of the reason.
        """
        return (CloseReason.SERVED if reason is None else reason).value

    def pace(self, now: float) -> float:
        """Return the bytes per second that have come lately of what has begun to arrive.

        If it is the slowest of all, it may be disconnected: see `SharedConnection.hold`. Any thread
        may call this.
        """
        del now
        return 0.0

    def gives_way(self, *, asked: bool) -> bool:
        """Return whether the connection may be closed for a client that waits to be accepted.

        ``asked`` is ``evict_shared`` of the server. The Monitor's thread calls this, for a
        connection that has no turn. This implementation returns ``asked``.
        """
        return asked

    def overdue(self, shared: SharedConnection) -> None:
        """The present turn takes longer than ``request_timeout``. The Monitor's thread calls this.

        The thread that takes it has been replaced, and still runs. This implementation ends the
        connection at once.
        """
        shared.cut(CloseReason.REQUEST_TIMEOUT)

    def streams(self) -> int | None:
        """Return how many requests are open on the connection; None: it is not for requests.

        Any thread may call this.
        """
        return None

    def stream_kinds(self) -> dict[str, int]:
        """Return how many of these requests there are of each kind, in words for people.

        Without such kinds, it is empty. Any thread may call this.
        """
        return {}

    def busy(self) -> bool:
        """Return whether a worker serves one of these requests, or is to. Any thread may call it.

        A turn of the connection itself does not count.
        """
        return False

    def doing(self) -> str:
        """Return what `turn` is busy with, for people. Any thread may call this."""
        return self.kind
