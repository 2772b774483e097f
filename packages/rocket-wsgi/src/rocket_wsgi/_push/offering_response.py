"""A response that is what applications find as offers, whatever the protocol."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from math import inf
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

from rocket_core import ClientGone
from rocket_core.extending import mypyc_attr
from rocket_wsgi._environ.request import Request
from rocket_wsgi._offers.cancellation import Cancellation, Guard
from rocket_wsgi._offers.continuation import strings_of
from rocket_wsgi._offers.seconds import check_seconds
from rocket_wsgi._push.begun_deferred import BegunDeferred
from rocket_wsgi._push.begun_stream import BegunStream
from rocket_wsgi._push.deferred_answer import DeferredAnswer, check_answer
from rocket_wsgi._push.event_stream import EventStream
from rocket_wsgi._push.framing import Framing
from rocket_wsgi._response.response import Response
from rocket_wsgi._response.response_head import ResponseHead

if TYPE_CHECKING:
    from rocket_wsgi._errors import CancelledBy
    from rocket_wsgi._types import Environ, Headers

_NO_NEWS: Final[tuple[str, Headers, bytes]] = ("204 No Content", [], b"")
"""What a client gets that has waited for nothing, unless the application says otherwise."""

_making: Final = Lock()
"""Guards `Request.cancellation` of all requests while one is made, which takes no time."""

_Request = TypeVar("_Request", bound=Request)
"""The requests of one protocol."""

_Head = TypeVar("_Head", bound=ResponseHead)
"""The heads of its responses."""


@mypyc_attr(allow_interpreted_subclasses=True)
class OfferingResponse(Response[_Request, _Head]):
    """What applications find as ``rocket.events``, ``rocket.deferred`` and ``rocket.cancelled``.

    The first two have one method each.

    Any thread of the application may call the methods.
    """

    __slots__ = ()

    def open(
        self,
        *,
        retry: float | None = 3.0,
        ping: float | None = 15.0,
        on_close: Callable[[EventStream], object] | None = None,
    ) -> EventStream:
        """``rocket.events``: begin an event stream, which goes on after the view has returned.

        Args:
            retry: seconds after which clients come back that have lost the connection; None: they
                are not told.
            ping: seconds of silence after which a comment is sent; None: never.
            on_close: is called with the stream, once, when it has ended.

        Raises:
            RuntimeError: the view has returned, or has begun something by an offer before.
            ValueError: ``retry`` or ``ping`` is not such a time.
        """
        check_seconds("ping", ping)
        stream = EventStream(self._strings, self._late_framing(), retry)
        self.begin(BegunStream(stream, on_close, ping))
        return stream

    def hold(
        self,
        *,
        timeout: float | None = 25.0,
        otherwise: tuple[str, Headers, bytes] = _NO_NEWS,
        on_close: Callable[[DeferredAnswer], object] | None = None,
    ) -> DeferredAnswer:
        """``rocket.deferred``: have the client wait for an answer after the view has returned.

        Args:
            timeout: seconds after which ``otherwise`` is sent; None: the client may wait for ever.
            otherwise: the status, the header fields and the body of the answer that is sent then,
                and when the server drains.
            on_close: is called with the deferred answer, once, when it has ended.

        Raises:
            ApplicationError: ``otherwise`` cannot be sent.
            RuntimeError: the view has returned, or has begun something by an offer before.
            ValueError: ``timeout`` is not such a time.
        """
        check_seconds("timeout", timeout)
        framing = self._late_framing()
        instead = check_answer(framing, *otherwise)
        later = DeferredAnswer(framing, self)
        deadline = inf if timeout is None else monotonic() + timeout
        self.begin(BegunDeferred(later, deadline, instead, on_close))
        return later

    def _strings(self) -> Environ:
        """Return the strings of the environ while the view runs."""
        return strings_of(self._request.environ)

    # -- rocket.cancelled ------------------------------------------------------------------------

    def is_set(self) -> bool:
        """``rocket.cancelled``: return whether the answer is not wanted any more."""
        return self._cancellation.is_set()

    def wait(self, timeout: float | None = None) -> bool:
        """``rocket.cancelled``: wait for that, up to ``timeout`` seconds; return whether it is so.

        The thread is held meanwhile. Returns True as well when the request is over.
        """
        return self._cancellation.wait(timeout)

    def remaining(self) -> float | None:
        """``rocket.cancelled``: return the seconds that are left for the answer, at least 0.

        None: there is no limit.
        """
        return self._cancellation.remaining()

    def raise_if(self) -> None:
        """``rocket.cancelled``: raise `Cancelled` if the answer is not wanted any more."""
        self._cancellation.raise_if()

    def on(self, callback: Callable[[], object], /) -> None:
        """``rocket.cancelled``: have ``callback`` called when the answer is not wanted any more.

        It is called once, on a thread that the server starts for it; at once if that is so already,
        and never if the request is over before.
        """
        self._cancellation.on(callback)

    def guard(self, callback: Callable[[], object], /) -> Guard:
        """``rocket.cancelled``: return a context manager in whose block ``callback`` may be called.

        It is called when the answer is not wanted any more, to interrupt the block: see `Guard`.
        """
        return self._cancellation.guard(callback)

    @property
    def _cancellation(self) -> Cancellation:
        cancellation = self._request.cancellation
        if isinstance(cancellation, Cancellation):
            return cancellation
        return self._begin_cancellation()

    def _begin_cancellation(self) -> Cancellation:
        """Make what tells the application of the end, the first time that it asks."""
        with _making:
            cancellation = self._request.cancellation
            if isinstance(cancellation, Cancellation):
                return cancellation
            timeout = self._request.environ.get("rocket.timeout")
            deadline = inf if timeout is None else self._arrived_at() + timeout
            cancellation = Cancellation(self, self._connection, self._lease, deadline)
            # 1. The serving thread sets `over`, and finds no cancellation to end. 2. Another thread
            # of the application leaves it here. 3. That thread finds the request over: `begin`
            # looks at `over` afterwards.
            self._request.cancellation = cancellation
            if self._lease is None:
                cancellation.begin()
                return cancellation
            try:
                with self._lease.use():
                    cancellation.begin()
            except ClientGone:
                cancellation.late()
        return cancellation

    @abstractmethod
    def _arrived_at(self) -> float:
        """Return when the request was complete, by `time.monotonic`."""

    @abstractmethod
    def watch_client(self, told: Callable[[], None], /) -> bool:
        """Have ``told`` called when the client may have left; return whether it will be."""

    @abstractmethod
    def unwatch_client(self) -> None:
        """Undo `watch_client`."""

    @abstractmethod
    def find_end(self) -> CancelledBy | None:
        """Return why nothing can be sent any more; None: it can."""

    @abstractmethod
    def _late_framing(self) -> Framing:
        """Return how what follows the view's response, or takes its place, is encoded."""
