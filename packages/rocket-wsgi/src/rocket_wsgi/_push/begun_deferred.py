"""A deferred answer whose view has not returned yet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from rocket_wsgi._offers.begun import Begun
from rocket_wsgi._push.deferred_answer import Answer, DeferredAnswer
from rocket_wsgi._push.deferred_protocol import DeferredProtocol, tell_over

if TYPE_CHECKING:
    from rocket_wsgi._environ.request import Request
    from rocket_wsgi._offers.channel import Sharable
    from rocket_wsgi._offers.continuation import Continuation
    from rocket_wsgi._push.deferred_protocol import OnClose
    from rocket_wsgi._types import Headers


class BegunDeferred(Begun):
    """An answer that is deferred unless the view answers with 300 or more."""

    __slots__ = ("_deadline", "_fields", "_on_close", "_otherwise", "later")

    def __init__(
        self,
        later: DeferredAnswer,
        deadline: float,
        otherwise: Answer,
        on_close: OnClose | None,
    ) -> None:
        super().__init__(withholds=True)
        self.later: Final = later
        self._deadline = deadline
        self._otherwise = otherwise
        self._on_close = on_close
        self._fields: Headers = []

    def admit(self, request: Request, status: int, headers: Any) -> bool:
        """Return whether the view's response is not an answer of its own."""
        del request
        self._fields = list(headers)
        return status < 300

    def go_on(
        self, sharable: Sharable, continuation: Continuation, size: int, *, keep_alive: bool
    ) -> None:
        """Share ``sharable``, and wait for the answer."""
        del size
        protocol = DeferredProtocol(self.later, continuation, self._otherwise, self._on_close)
        protocol.begin(sharable, self._fields, self._deadline, keep_alive=keep_alive)

    def undo(self, continuation: Continuation) -> bool:
        """Take no answer any more."""
        del continuation
        self.later.undo()
        return self._on_close is not None

    def tell(self, continuation: Continuation) -> None:
        """Call ``on_close``."""
        tell_over(self.later, continuation, self._on_close)
