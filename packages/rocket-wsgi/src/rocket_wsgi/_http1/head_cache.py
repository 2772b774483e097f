"""Reads the heads of requests, with the help of earlier ones that were alike.

Theory of operation. Hardly any two requests are the same, but most heads have the fields of an
earlier one, in the same order, and many of their values, too: clients differ in their names and
cookies, and their requests in the targets. Therefore a few heads of each number of lines are
remembered, with the environs that were made of them. If all lines of a new head begin with the
names of the remembered lines in their places, then only the lines that differ are checked and read.
Their values replace the remembered ones, so that the next head is compared with this one.

A head is remembered after all of it was checked. A head that differs in any other way, or in a way
that could be wrong, is read as a whole. So neither an environ nor an error depends on the heads
that came before.

Request lines are remembered apart from the fields, because many clients request the same targets.
The hash of a line is its place in a table, where it replaces the line that was there. So lines that
never come again cost no bookkeeping.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rocket_core.http1 import HeadError, check_head, read_fields, split_request_line
from rocket_wsgi._environ.target import parse_target
from rocket_wsgi._http1.fields import INTERPRETED, SINGLE, Fields, Framing

if TYPE_CHECKING:
    from rocket_wsgi._environ.field_names import EnvironNames
    from rocket_wsgi._types import Environ

    _Line = tuple[str, str, str, str, str, str]
    """A request line; its method, target and version; and the path and the query of the target."""

_MAX_LINE: Final = 256
"""The maximum length of a remembered request line."""

_PLACES: Final = 256
"""The number of remembered request lines; a power of two."""

_NO_LINE: Final[_Line] = ("", "", "", "", "", "")

_MAX_SIZE: Final = 4 * 1024
"""The maximum size of a remembered head, and of one that is compared with it, in bytes. Such a head
and its lines cannot exceed their own limits."""

_MAX_LINES: Final = 40
"""The maximum number of lines of a remembered head."""

_MAX_HEADS: Final = 3
"""The maximum number of remembered heads with the same number of lines."""

_TEXT: Final = frozenset([9, *range(32, 127), *range(128, 256)])
"""The bytes that a field line may contain."""

_SOUND: Final = bytes(byte if byte in _TEXT else ord("\t") for byte in range(256))
"""Translates these bytes into themselves, and all others into another one."""

_CHUNKED: Final = Framing.CHUNKED  # a look-up of an attribute of an enum is expensive


class _Known:
    """The latest of the heads that have the same fields in the same order, none of them repeated.

    Attributes:
        head: the head.
        lines: its lines.
        starts: the names of the fields, each with its colon and the space behind it, in the place
            of its line. Empty until the value of the field has changed.
        keys: likewise, the environ keys of the fields.
        template: the template of the environ.
        names: the source of the keys.
        line: the request line.
        fields: the meaning of the fields.
        environ: the environ, without the parts that are not of the head.
    """

    __slots__ = (
        "environ",
        "fields",
        "head",
        "keys",
        "line",
        "lines",
        "names",
        "starts",
        "template",
    )

    def __init__(  # noqa: PLR0917 - one for each attribute
        self,
        head: bytes,
        lines: list[str],
        template: Environ,
        names: EnvironNames,
        line: _Line,
        fields: Fields,
        environ: Environ,
    ) -> None:
        self.head = head
        self.lines = lines
        self.template = template
        self.names = names
        self.line = line
        self.fields = fields
        self.environ = environ
        self.starts = [""] * len(lines)
        self.keys = self.starts.copy()

    def learn(self, index: int) -> str:
        """Note how line ``index``, a field, starts, and its key; return the start."""
        name, colon, value = self.lines[index].partition(":")
        self.keys[index] = self.names[name]
        # With its usual space, the value needs no copy without it.
        self.starts[index] = start = name + colon + " " * value.startswith(" ")
        return start


class HeadCache:
    """Reads the heads that arrive on one thread."""

    def __init__(self) -> None:
        self._lines: list[_Line] = [_NO_LINE] * _PLACES
        self._heads: dict[int, list[_Known]] = {}
        self._latest: _Known | None = None

    def read(
        self, head: bytes, template: Environ, names: EnvironNames
    ) -> tuple[str, str, str, Fields, Environ]:
        """Return method, target and version of ``head``, the meaning of its fields, and an environ.

        The environ is a copy of ``template`` with the keys of the request line and of the fields.
        ``names`` has the keys of the fields. Raises `HeadError`, whose status tells what is wrong.
        """
        known = self._latest
        if (
            known is None
            or head != known.head
            or known.template is not template
            or known.names is not names
        ):
            lines = head.decode("latin-1").split("\r\n")
            for known in self._heads.get(len(lines), ()):
                if self._follow(known, head, lines, template, names):
                    self._latest = known
                    break
            else:
                return self._read_whole(head, lines, template, names)
        line = known.line
        return line[1], line[2], line[3], known.fields, known.environ.copy()

    # In one piece, because most requests pass through it and each call costs.
    def _follow(  # noqa: C901, PLR0912
        self,
        known: _Known,
        head: bytes,
        lines: list[str],
        template: Environ,
        names: EnvironNames,
    ) -> bool:
        """Make ``known`` the new ``head``, if it is valid and has the same fields.

        Otherwise nothing is changed, and False is returned.
        """
        if known.template is not template or known.names is not names or len(head) > _MAX_SIZE:
            return False
        old, starts, keys = known.lines, known.starts, known.keys
        changed: list[int] = []
        texts: list[str] = []
        reinterpret = False
        index = 0
        for text in lines:
            if text != old[index] and index:
                if not text.startswith(starts[index] or known.learn(index)):
                    return False
                changed.append(index)
                texts.append(text)
                if keys[index] in INTERPRETED:
                    reinterpret = True
            index += 1  # noqa: SIM113 - `enumerate` takes longer
        if changed:
            data = "".join(texts).encode("latin-1")
            if data.translate(_SOUND) != data:
                return False
        line = known.line
        environ = known.environ
        try:
            if lines[0] != line[0]:
                line = self._find_line(lines[0])
                if line[3] != known.line[3]:
                    return False
            if reinterpret:
                environ = environ.copy()
            for index in changed:
                key = keys[index]
                if key:
                    environ[key] = lines[index][len(starts[index]) :].strip(" \t")
            if reinterpret:
                known.fields = Fields(environ, line[3])
                known.environ = environ
        except HeadError:
            return False
        if line is not known.line:
            _add_line(environ, line)
            known.line = line
        known.head = head
        known.lines = lines
        return True

    def _find_line(self, text: str) -> _Line:
        """Return a request line in parts. Raises `HeadError`.

        Returns `_NO_LINE` for a target with an authority, which would replace the field Host.
        """
        place = hash(text) & (_PLACES - 1)
        line = self._lines[place]
        if line[0] != text:
            method, target, version = split_request_line(text)
            path, query, authority = parse_target(method, target)
            if authority is not None:
                return _NO_LINE
            line = text, method, target, version, path, query
            if len(text) <= _MAX_LINE:
                self._lines[place] = line
        return line

    def _read_whole(
        self, head: bytes, lines: list[str], template: Environ, names: EnvironNames
    ) -> tuple[str, str, str, Fields, Environ]:
        """Read a head without the help of earlier ones, and remember it. As `read`."""
        check_head(head, lines)
        method, target, version = split_request_line(lines[0])
        environ = template.copy()
        environ["SERVER_PROTOCOL"] = version
        repeated = read_fields(lines[1:], environ, names)
        if repeated and not SINGLE.isdisjoint(repeated):
            raise HeadError(400, "a header field that may occur once is repeated")
        fields = Fields(environ, version)
        path, query, authority = parse_target(method, target)
        line = lines[0], method, target, version, path, query
        _add_line(environ, line)
        if authority is not None:
            environ["HTTP_HOST"] = authority
        elif (
            not repeated
            and fields.framing is not _CHUNKED  # its field is not in the environ
            and len(lines) <= _MAX_LINES
            and len(head) <= _MAX_SIZE
        ):
            known = _Known(head, lines, template, names, line, fields, environ.copy())
            self._latest = known
            heads = self._heads.setdefault(len(lines), [])
            heads.insert(0, known)
            del heads[_MAX_HEADS:]
        return method, target, version, fields, environ


def _add_line(environ: Environ, line: _Line) -> None:
    """Add the environ keys of a request line."""
    _, method, target, _, path, query = line
    environ["REQUEST_METHOD"] = method
    environ["REQUEST_URI"] = target
    environ["PATH_INFO"] = path
    environ["QUERY_STRING"] = query
