"""An open websocket, as applications and groups see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from rocket_core.extending import mypyc_attr
from rocket_wsgi._group.broadcast import Broadcast, MemberKind
from rocket_wsgi._group.member import Leavable
from rocket_wsgi._types import Environ
from rocket_wsgi._websocket.close_codes import NORMAL, check_close
from rocket_wsgi._websocket.encoding import check_message, encode_message


class Link(Protocol):
    """The connection to the client, as far as a `WebSocket` needs it. Many threads use it."""

    compressed: bool
    """Whether compression is agreed."""

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more."""

    @property
    def pending(self) -> int:
        """The number of bytes that wait for the client."""

    def send(self, frame: bytes) -> bool:
        """Send a message's frame without waiting; return whether the client is to get it."""

    def close(self, code: int, reason: str) -> None:
        """Close, with checked arguments."""

    def join(self, group: Leavable) -> bool:
        """Note a group to leave at the close; False if that has come already."""

    def leave(self, group: Leavable) -> None:
        """Forget a group."""


@mypyc_attr(native_class=False)  # which would have no weak references
class WebSocket:
    """An open websocket. Any thread may use it, and no method waits for the client.

    Attributes:
        context: anything the application likes to keep here.
    """

    __slots__ = ("__weakref__", "_environ", "_link", "_subprotocol", "context")

    def __init__(
        self, link: Link | None, environ: Callable[[], Environ], subprotocol: str | None
    ) -> None:
        """Belong to the request of ``environ``. Without ``link`` the handshake was refused."""
        self._link = link
        self._environ: Any = environ
        self._subprotocol = subprotocol
        self.context: Any = None

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more, because the websocket is closed or closing."""
        return self._link is None or self._link.closed

    @property
    def pending(self) -> int:
        """The number of bytes that were sent and still wait for the client."""
        return 0 if self._link is None else self._link.pending

    @property
    def subprotocol(self) -> str | None:
        """The subprotocol that was agreed, or None."""
        return self._subprotocol

    @property
    def environ(self) -> Environ:
        """The strings of the environ of the request that began the websocket, as a new dict."""
        environ: Environ = self._environ()
        return environ

    def send(self, data: str | bytes) -> bool:
        """Send a message: text or bytes. Return whether the client is to get it.

        It is not, if the websocket is closed or closing, and if the client is too slow: while
        256 KiB or more wait for it, a message either is refused or closes the websocket with 1013
        (``slow`` of ``accept``). Raises `TypeError` for other types.
        """
        link = self._link
        if link is None or link.closed:
            check_message(data)
            return False
        return link.send(encode_message(data, compressed=link.compressed))

    def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close the websocket. ``on_close`` follows, when the client has closed it, too.

        Closing a websocket that is closed changes nothing. Raises `ValueError` for a code that is
        not one of 1000-1003, 1007-1014 and 3000-4999, and for a reason of more than 123 bytes.
        """
        check_close(code, reason)
        if self._link is not None:
            self._link.close(code, reason)

    # -- as a member of groups -------------------------------------------------------------------

    kind = MemberKind.WEBSOCKET

    def send_encoded(self, message: Broadcast) -> bool:
        """Send a group's message; return whether the client is to get it."""
        link = self._link
        if link is None or link.closed:
            return False
        return link.send(message.websocket_frame(compressed=link.compressed))

    def lapse(self) -> None:
        """Go on: a websocket has no IDs of messages, by which its client could ask for others."""

    def join(self, group: Leavable) -> bool:
        """Note a group that this has entered; return False if the websocket is closed."""
        return self._link is not None and self._link.join(group)

    def leave(self, group: Leavable) -> None:
        """Forget a group that this has left."""
        if self._link is not None:
            self._link.leave(group)
