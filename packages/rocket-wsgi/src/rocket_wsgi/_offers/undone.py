"""The last turn of what an application has begun, if the view's response undoes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from rocket_core import CloseReason, SharedProtocol, State

if TYPE_CHECKING:
    from rocket_wsgi._offers.begun import Begun
    from rocket_wsgi._offers.channel import Sharable, Source
    from rocket_wsgi._offers.continuation import Continuation


@final
class UndoneProtocol(SharedProtocol):
    """Has the application told that what it has begun is over, as any callback is called.

    The thread that has served the request could do that itself. But its client would wait for the
    callback, and the time of the request is over: a callback that never returns would hold the
    thread for ever. So the connection is shared for as long as it takes to send what is left of the
    response, and the callback is the turn in which a protocol is told of the end.
    """

    kind = ""

    __slots__ = ("_begun", "_continuation")

    def __init__(self, begun: Begun, continuation: Continuation) -> None:
        """Tell the application of the end of ``begun``, of the request of ``continuation``."""
        self._begun: Final = begun
        self._continuation: Final = continuation

    def begin(self, sharable: Sharable, *, keep_alive: bool) -> None:
        """Share ``sharable``, and end that at once.

        ``keep_alive`` tells whether the connection serves requests again afterwards.
        """
        sharable.share(self).end(State.IDLE if keep_alive else State.LINGER)

    # -- the owner of the connection -------------------------------------------------------------

    def received(self, source: Source) -> None:
        """Leave what the client has sent to the requests that follow."""

    # -- a thread of the pool --------------------------------------------------------------------

    def ended(self, reason: CloseReason | None) -> None:
        """Tell the application."""
        del reason
        self._begun.tell(self._continuation)

    def doing(self) -> str:
        """Return the request, for people."""
        return f"{self._continuation}: on_close of what was refused"
