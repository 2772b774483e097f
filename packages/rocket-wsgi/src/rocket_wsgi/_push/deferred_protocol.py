"""A deferred answer on a connection or a stream, which holds no thread while it is not given."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, final

from rocket_core import CloseReason, SharedProtocol
from rocket_wsgi._push.received import leave_in_buffer

if TYPE_CHECKING:
    from rocket_wsgi._offers.channel import Channel, Sharable, Source
    from rocket_wsgi._offers.continuation import Continuation
    from rocket_wsgi._push.deferred_answer import Answer, DeferredAnswer
    from rocket_wsgi._types import Headers

    OnClose = Callable[[DeferredAnswer], object]

_LEFT: Final = frozenset({CloseReason.CLIENT, CloseReason.RESET, CloseReason.SEND_TIMEOUT})
"""The reasons for which a connection or a stream ends without its client."""


@final
class DeferredProtocol(SharedProtocol):
    """One deferred answer after its view has returned.

    What the client sends meanwhile is left in the buffer, for the requests that follow.
    """

    kind = "deferred answer"

    __slots__ = ("_continuation", "_later", "_on_close", "_otherwise", "_shared")

    def __init__(
        self,
        later: DeferredAnswer,
        continuation: Continuation,
        otherwise: Answer,
        on_close: OnClose | None,
    ) -> None:
        """Serve ``later``, of the request of ``continuation``."""
        self._later: Final = later
        self._continuation: Final = continuation
        self._otherwise: Final = otherwise
        self._on_close = on_close
        self._shared: Channel | None = None

    def begin(
        self, sharable: Sharable, fields: Headers, deadline: float, *, keep_alive: bool
    ) -> None:
        """Share ``sharable`` until the answer is given, or the ``deadline`` has come.

        ``fields`` are those of the view's response.
        """
        self._shared = shared = sharable.share(self)
        if self._later.begin(shared, fields, keep_alive=keep_alive):
            shared.call_at(deadline)

    # -- the owner of the connection -------------------------------------------------------------

    def received(self, source: Source) -> None:
        """Leave what the client sends to the requests that follow."""
        if self._shared is not None:
            leave_in_buffer(source, self._shared)

    def due(self, now: float) -> None:
        """Answer, since the application has not done so in time."""
        del now
        self._later.give(self._otherwise, last=False)

    def draining(self, shared: Channel) -> None:
        """Answer, since the server drains."""
        del shared
        self._later.give(self._otherwise, last=True)

    # -- a thread of the pool --------------------------------------------------------------------

    def ended(self, reason: CloseReason | None) -> None:
        """Tell the application, and the access log."""
        self._shared = None
        status, size = self._later.over(left=reason in _LEFT)
        if status:
            self._continuation.count_response(status)
        error = None if status else (reason or CloseReason.ERROR).value
        self._continuation.end(status, size, error)
        tell_over(self._later, self._continuation, self._on_close)

    def doing(self) -> str:
        """Return the request, for people."""
        return f"{self._continuation}: on_close of a deferred answer"


def tell_over(later: DeferredAnswer, continuation: Continuation, on_close: OnClose | None) -> None:
    """Call ``on_close``, if there is one."""
    if on_close is not None:
        continuation.call("on_close of a deferred answer", on_close, later)
