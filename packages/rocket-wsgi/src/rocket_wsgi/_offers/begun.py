"""What an application has begun by an offer, as the response to the same request deals with it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Final

from rocket_core.extending import mypyc_attr

if TYPE_CHECKING:
    from rocket_wsgi._environ.request import Request
    from rocket_wsgi._offers.channel import Sharable
    from rocket_wsgi._offers.continuation import Continuation
    from rocket_wsgi._types import Headers


class Refused(Exception):  # noqa: N818 - it is no error of the application
    """What was begun must not go on, whatever the application answers.

    Attributes:
        status: the status code and the reason phrase of the answer.
        text: why, for the body of the answer and for the access log.
        fields: the header fields of the answer, besides those that all own answers have.
    """

    def __init__(self, status: str, text: str, fields: Headers | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.fields = fields or []


@mypyc_attr(allow_interpreted_subclasses=True)
class Begun(ABC):
    """A websocket, an event stream or a deferred answer that waits for the end of its view.

    The thread that serves the request calls the methods: `admit` when the head of the view's
    response is complete, and, after the response was asked for to its end and closed, `go_on` or
    `undo`. If no head was ever complete, `undo` alone is called. `tell` follows it, where the
    application wants to be told, on a thread of the pool: see `UndoneProtocol`.

    Attributes:
        admitted: whether it goes on after the view has returned, as far as is known.
        replaced: whether the server answers in place of the view.
        withholds: whether the view's response is not sent.
    """

    __slots__ = ("admitted", "replaced", "withholds")

    def __init__(self, *, withholds: bool) -> None:
        self.withholds: Final = withholds
        self.admitted = False
        self.replaced = False

    @abstractmethod
    def admit(self, request: Request, status: int, headers: Any) -> bool:
        """Return whether it goes on after a response with ``status`` and ``headers``, both valid.

        If the response is withheld, it may still be replaced, and then this is called again. Raises
        `ApplicationError` for a response that does not suit it, and `Refused`.
        """

    @abstractmethod
    def go_on(
        self, sharable: Sharable, continuation: Continuation, size: int, *, keep_alive: bool
    ) -> None:
        """Share ``sharable``, which the caller owns, and so go on without a thread.

        ``size`` is the number of bytes of the response's body that were sent. ``keep_alive`` tells
        whether the connection may serve requests again afterwards. From the moment at which the
        connection is shared its protocol is told of the end, whatever happens; so nothing that may
        fail, such as sending, comes before.
        """

    @abstractmethod
    def undo(self, continuation: Continuation) -> bool:
        """End, since the view's response is an ordinary one, or has failed. Called once.

        Returns whether the application is to be told, by `tell`.
        """

    @abstractmethod
    def tell(self, continuation: Continuation) -> None:
        """Tell the application of the end, after `undo`. Called once, if at all."""
