"""Parts of request heads that come again, and what they say.

A client repeats all of its heads but the request target to the letter, and many clients ask for the
same targets. So the request line and what follows it are remembered apart, each checked as it is in
a head that nobody has seen before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rocket_core.http1 import HeadError, RequestLine, read_request_line
from rocket_wsgi._environ.target import line_environ
from rocket_wsgi._repeat_cache import RepeatCache

if TYPE_CHECKING:
    from rocket_wsgi._environ.field_names import EnvironNames
    from rocket_wsgi._http1.fields import Environ, Fields

_LONGEST_LINE: Final = 256
"""Bytes of a request line that is remembered, at most."""

_LONGEST_FIELDS: Final = 2 * 1024
"""Bytes of all fields that are remembered, at most. With any request line that is not too long they
make no head that is."""

_VERSION: Final = len("HTTP/1.1")


class HeadCache:
    """The memory of one thread.

    What follows the target begins with the version, on which it depends how fields are read.
    """

    def __init__(self) -> None:
        self._lines: RepeatCache[bytes, tuple[RequestLine, dict[str, str]]] = RepeatCache()
        self._fields: RepeatCache[bytes, Fields] = RepeatCache()

    def recall(
        self, head: bytes, template: Environ, names: EnvironNames
    ) -> tuple[RequestLine, dict[str, str], Fields] | None:
        """What ``head`` says: its line, that as an environ has it, and its fields.

        None where its fields are not known for ``template`` and ``names``.
        None also where something is wrong with the request line: what to say of it depends on all
        of the head.
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
            if end <= _LONGEST_LINE:
                self._lines.offer(first, known)
        line, asked = known
        return line, asked, fields

    def offer(self, head: bytes, fields: Fields) -> bool:
        """Remember the fields of a sound head, if they have come before; whether they are known."""
        start = head.find(b"\r\n") - _VERSION
        if start < 0 or len(head) - start > _LONGEST_FIELDS:  # without fields, there is no line end
            return False
        return self._fields.offer(head[start:], fields)
