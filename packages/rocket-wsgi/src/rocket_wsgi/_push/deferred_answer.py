"""An answer that is given after its view has returned, as applications see it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from threading import Lock
from typing import Any, Final, NamedTuple

from rocket_core import State
from rocket_core.extending import mypyc_attr
from rocket_wsgi._offers.channel import Channel
from rocket_wsgi._push.framing import Framing
from rocket_wsgi._types import Headers

_OF_BODY: Final = frozenset({"digest", "etag", "last-modified", "repr-digest"})
"""The fields of a response that describe its body, besides those that begin with ``Content-``."""


class Answer(NamedTuple):
    """A whole response.

    Attributes:
        status: the status code and the reason phrase, as in ``200 OK``.
        fields: the header fields.
        body: the body.
    """

    status: str
    fields: Headers
    body: bytes


class Phase(Enum):
    """The life of a deferred answer."""

    BEGUN = "begun"
    """The view runs."""
    WAITING = "waiting"
    """The view has returned, and the client waits."""
    ANSWERED = "answered"
    """The answer is given: it is sent to the client, or follows when the view has returned."""
    OVER = "over"
    """No answer can be given any more."""

    __hash__ = object.__hash__


_BEGUN: Final = Phase.BEGUN
_WAITING: Final = Phase.WAITING
_ANSWERED: Final = Phase.ANSWERED
_OVER: Final = Phase.OVER


@mypyc_attr(native_class=False)  # which would have no weak references
class DeferredAnswer:
    """An answer that the client waits for. Any thread may use it, and no method waits.

    ``_lock`` guards all attributes.
    """

    __slots__ = (
        "__weakref__",
        "_answer",
        "_fields",
        "_framing",
        "_keep_alive",
        "_left",
        "_lock",
        "_phase",
        "_shared",
        "_size",
    )

    def __init__(self, framing: Framing, client_gone: Callable[[], bool]) -> None:
        """Be sent by ``framing``. Until the view returns, ``client_gone`` tells of the client."""
        self._lock: Final = Lock()
        self._phase = _BEGUN
        self._answer: Answer | None = None
        self._framing: Final = framing
        self._fields: Headers = []
        self._keep_alive = False
        self._left: Any = client_gone
        """Whether the client has left; `client_gone` until the view has returned."""
        self._shared: Channel | None = None
        self._size = 0
        """The size of the body that was sent."""

    @property
    def gone(self) -> bool:
        """Whether the client has left without the answer."""
        left, shared = self._left, self._shared
        if callable(left):
            return bool(left())
        return bool(left) or (self._phase is _WAITING and shared is not None and shared.over)

    def answer(
        self, status: str, fields: Sequence[tuple[str, str]] = (), body: bytes = b""
    ) -> bool:
        """Answer; return False if it is too late, or if the client has gone.

        The fields of the view's response are sent as well, unless ``fields`` has their names, and
        except for those that describe the view's own body: ``Content-*``, ``ETag``,
        ``Last-Modified`` and the digests. ``Content-Security-Policy``, which tells the client what
        a page may do, is sent. The answer to HEAD is sent without ``body``.

        Raises `ApplicationError` for an invalid status or field, `TypeError` for a body that is not
        bytes.
        """
        answer = check_answer(self._framing, status, fields, body)
        with self._lock:
            if self._phase is _BEGUN:
                self._phase = _ANSWERED
                self._answer = answer
                return True
            shared = self._shared
            taken = self._give(answer)
        if shared is not None:
            shared.flush()
        return taken

    # -- for the protocol ------------------------------------------------------------------------

    def begin(self, shared: Channel, fields: Headers, *, keep_alive: bool) -> bool:
        """Wait for the answer, to be sent by ``shared``; return whether it is still to be given.

        ``fields`` are those of the view's response. ``keep_alive`` tells whether the connection may
        serve requests afterwards.
        """
        with self._lock:
            self._shared = shared
            self._fields = fields
            self._keep_alive = keep_alive
            self._left = False
            self._phase = _WAITING
            return self._answer is None or not self._give(self._answer)

    def give(self, answer: Answer, *, last: bool) -> None:
        """Give an answer of the server's own, unless one is given already.

        ``last``: no request may follow.
        """
        with self._lock:
            if last:
                self._keep_alive = False
            self._give(answer)

    def undo(self) -> None:
        """Take no answer, since the view's own response was sent, or has failed."""
        with self._lock:
            self._phase = _OVER
            self._left = False

    def over(self, *, left: bool) -> tuple[int, int]:
        """Take no answer any more; return the status of the one that was sent, and its size.

        ``left``: the client has left.
        """
        with self._lock:
            self._phase = _OVER
            self._left = left
            self._shared = None  # which refers to this object
            answer = None if left else self._answer
            self._answer = None
            size = self._size
        return (0, 0) if answer is None else (int(answer.status[:3]), size)

    def _give(self, answer: Answer) -> bool:
        """With the lock: have ``answer`` sent; return False if it is too late."""
        shared = self._shared
        if self._phase is not _WAITING or shared is None or shared.over:
            return False
        self._phase = _ANSWERED
        self._answer = answer
        keep_alive = self._keep_alive and not shared.connection.draining
        fields = _merge(self._fields, answer.fields)
        pieces, self._size = self._framing.whole(
            answer.status, fields, answer.body, keep_alive=keep_alive
        )
        taken = all(shared.queue(piece, control=True) for piece in pieces)
        shared.end(State.IDLE if keep_alive else State.LINGER)
        return taken


def check_answer(
    framing: Framing, status: str, fields: Sequence[tuple[str, str]], body: bytes
) -> Answer:
    """Return an answer that can be sent. Raises `ApplicationError`, and `TypeError` for a body."""
    if not isinstance(body, bytes):
        raise TypeError(f"the body of a deferred answer is bytes, not {type(body).__name__}")
    answer = Answer(status, list(fields), body)
    framing.check(answer.status, answer.fields, len(body))
    return answer


def _merge(of_view: Headers, of_answer: Headers) -> Headers:
    """Return the fields of the answer, and those of the view's response that suit it."""
    names = {name.lower() for name, _ in of_answer}
    return [*of_answer, *(field for field in of_view if _suits(field[0].lower(), names))]


def _suits(name: str, others: set[str]) -> bool:
    if name in others or name in _OF_BODY:
        return False
    return not name.startswith("content-") or name.startswith("content-security-policy")
