"""How what follows the view's response is encoded, which is the protocol's."""

from __future__ import annotations

from abc import ABC, abstractmethod

from rocket_core.extending import mypyc_attr
from rocket_wsgi._types import Headers


@mypyc_attr(allow_interpreted_subclasses=True)
class Framing(ABC):
    """The encoding of the rest of one response. Any thread may use it."""

    @abstractmethod
    def part(self, data: bytes) -> bytes:
        """Return a part of the body, which is not empty."""

    @abstractmethod
    def end(self) -> bytes:
        """Return the end of the body."""

    @abstractmethod
    def whole(
        self, status: str, fields: Headers, body: bytes, *, keep_alive: bool
    ) -> tuple[list[bytes], int]:
        """Return a whole response in pieces, and the size of the part of ``body`` that is in it.

        The first piece is the head, or begins with it.

        There is no body if the request was HEAD, or if the status excludes it. The arguments are
        valid: see `check`.
        """

    @abstractmethod
    def check(self, status: str, fields: Headers, size: int) -> None:
        """Check the arguments of `whole`, with a body of ``size`` bytes.

        Raises `ApplicationError`.
        """
