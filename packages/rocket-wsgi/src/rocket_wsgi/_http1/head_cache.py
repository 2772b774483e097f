"""The parts of request heads that repeat, and their meaning.

Heads of one client usually differ in the request target only, and many clients request the same
targets. Therefore the request line and the fields behind it are remembered separately. Both have
been checked like those of a new head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rocket_core.http1 import HeadError, read_request_line
from rocket_wsgi._environ.target import line_environ
from rocket_wsgi._repeat_cache import RepeatCache

if TYPE_CHECKING:
    from rocket_core.http1 import RequestLine
    from rocket_wsgi._environ.field_names import EnvironNames
    from rocket_wsgi._http1.fields import Fields
    from rocket_wsgi._types import Environ

_MAX_LINE: Final = 256
"""The maximum size of a remembered request line, in bytes."""

_MAX_FIELDS_SIZE: Final = 2 * 1024
"""The maximum size of remembered fields, in bytes. Together with a valid request line they never
exceed the limit of a head, so a remembered part needs no check of that limit."""

_VERSION: Final = len("HTTP/1.1")


class HeadCache:
    """The cache of one thread.

    The key of the fields begins with the protocol version, because the interpretation of the fields
    depends on it.
    """

    def __init__(self) -> None:
        self._lines: RepeatCache[bytes, tuple[RequestLine, dict[str, str]]] = RepeatCache()
        self._fields: RepeatCache[bytes, Fields] = RepeatCache()

    def recall(
        self, head: bytes, template: Environ, names: EnvironNames
    ) -> tuple[RequestLine, dict[str, str], Fields] | None:
        """Return the request line of ``head``, the environ keys that it sets, and the fields.

        Returns None if the fields are not known for ``template`` and ``names``. Returns None also
        for an invalid request line, because the error to report depends on the whole head.
        """
        end = head.find(b"\r\n")
        fields = self._fields.get(head[end - _VERSION :])
        if fields is None or fields.template is not template or fields.names is not names:
            return None
        first = head[:end]
        known = self._lines.get(first)
        if known is None:
            try:
                line = read_request_line(first.decode("latin-1"))
                known = line, line_environ(line)
            except HeadError:
                return None
            if end <= _MAX_LINE:
                self._lines.offer(first, known)
        line, asked = known
        return line, asked, fields

    def offer(self, head: bytes, fields: Fields) -> bool:
        """Keep the fields of a valid head when they repeat; return whether they are kept."""
        start = head.find(b"\r\n") - _VERSION
        if start < 0 or len(head) - start > _MAX_FIELDS_SIZE:  # there are no fields
            return False
        return self._fields.offer(head[start:], fields)
