"""Reads the heads of requests, with the help of earlier ones that were alike.

Theory of operation. Hardly any two requests are the same, but most heads have the fields of an
earlier one, in the same order, and many of their values, too: clients differ in their names and
cookies, and their requests in the targets. Therefore a few heads of each number of lines are
remembered, with the environs that were made of them.

A remembered head is divided: into what has differed between the heads that were like it, the target
and some values, and into the blocks of text between these. A new head with the same blocks, and one
line between each of them, has the same fields. It need not be split into its lines: the next end of
a line is where a block must follow, and only what differs is checked and read. If a value differs
that has not differed before, the head is divided anew. That happens once for each field at most,
since such a value never becomes a part of a block again.

A head is remembered after all of it was checked. A head that differs in any other way, or in a way
that could be wrong, is read as a whole. So neither an environ nor an error depends on the heads
that came before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rocket_core.http1 import HeadError, check_head, read_fields, split_request_line
from rocket_wsgi._environ.target import parse_target
from rocket_wsgi._http1.fields import INTERPRETED, SINGLE, Fields, Framing

if TYPE_CHECKING:
    from rocket_wsgi._environ.field_names import EnvironNames
    from rocket_wsgi._types import Environ

_MAX_SIZE: Final = 4 * 1024
"""The maximum size of a remembered head, and of one that is compared with it, in bytes. Such a head
and its lines cannot exceed their own limits."""

_MAX_LINES: Final = 40
"""The maximum number of lines of a remembered head."""

_MAX_HEADS: Final = 4
"""The maximum number of remembered heads with the same number of lines."""

_TEXT: Final = frozenset([9, *range(32, 127), *range(128, 256)])
"""The bytes that a field line may contain."""

_SOUND: Final = bytes(byte if byte in _TEXT else ord("\t") for byte in range(256))
"""Translates these bytes into themselves, and all others into another one."""

_NO_VALUE: Final = "\n"
"""Differs from every value."""

_CHUNKED: Final = Framing.CHUNKED  # a look-up of an attribute of an enum is expensive


class _Known:
    """The latest of the heads that have the same fields in the same order, none of them repeated.

    Attributes:
        head: the head.
        method: the method.
        target: the target.
        version: the protocol version.
        template: the template of the environ.
        names: the source of the keys.
        fields: the meaning of the fields.
        environ: the environ, without the parts that are not of the head.
        start: what precedes the target.
        ending: the length of what follows it in its line.
        blocks: the text between the target and the first value that has differed, between that and
            the next one, and so on. The last block is empty if the last line has such a value.
        values: the values that have differed, with the white space around them.
        keys: the environ keys of these fields; empty for a field that is dropped.
    """

    __slots__ = (
        "_lines",
        "_starts",
        "blocks",
        "ending",
        "environ",
        "fields",
        "head",
        "keys",
        "method",
        "names",
        "start",
        "target",
        "template",
        "values",
        "version",
    )

    def __init__(  # noqa: PLR0917 - one for each attribute
        self,
        head: bytes,
        lines: list[str],
        template: Environ,
        names: EnvironNames,
        request_line: tuple[str, str, str],
        fields: Fields,
        environ: Environ,
    ) -> None:
        self.head = head
        self.method, self.target, self.version = request_line
        self.template = template
        self.names = names
        self.fields = fields
        self.environ = environ
        self.start = self.method + " "
        self.ending = len(self.version) + 1
        self._lines = lines
        self._starts = [""] * len(lines)
        """The name, colon and space of each field whose value has differed, in place of its line;
        otherwise empty."""
        self._divide()

    def learn(self, lines: list[str]) -> bool:
        """Note where other ``lines`` differ; return whether they have the same fields at all."""
        if not (lines[0].startswith(self.start) and lines[0].endswith(" " + self.version)):
            return False
        starts = self._starts.copy()
        for index in range(1, len(lines)):
            line = self._lines[index]
            if starts[index] or lines[index] != line:
                if not starts[index]:
                    name, colon, value = line.partition(":")
                    # With its usual space, the value needs no copy without it.
                    starts[index] = name + colon + " " * value.startswith(" ")
                if not lines[index].startswith(starts[index]):
                    return False
        self._starts = starts
        self._divide()
        return True

    def _divide(self) -> None:
        """Divide the head at the target and at the values that have differed."""
        blocks: list[str] = []
        keys: list[str] = []
        block = " " + self.version
        for index in range(1, len(self._lines)):
            start = self._starts[index]
            block += "\r\n"
            if start:
                blocks.append(block + start)
                block = ""
                keys.append(self.names[start.rstrip(" ")[:-1]])
            else:
                block += self._lines[index]
        blocks.append(block)
        self.blocks = blocks
        self.keys = keys
        self.values = [_NO_VALUE] * len(keys)  # so that the next head brings all of them

    # In one piece, because most requests pass through it and each call costs.
    def follow(self, head: bytes, text: str) -> bool:  # noqa: C901, PLR0911, PLR0912, PLR0915
        """Become ``head``, which is ``text``, if it is valid and has the same fields.

        Otherwise nothing is changed, and False is returned.
        """
        blocks, values, keys = self.blocks, self.values, self.keys
        # Slices are compared, as `startswith` with a position takes longer.
        block = blocks[0]
        position = len(self.start)
        at = text.find("\r")
        if at < 0:
            at = len(text)
        at -= self.ending
        end = at + len(block)
        if at < position or text[at:end] != block or not text.startswith(self.start):
            return False
        target = text[position:at]
        changed: list[int] = []
        texts = [target]
        reinterpret = False
        index = 0
        for value in values:
            block = blocks[index + 1]
            position = end
            at = text.find("\r", position)
            if at < 0:
                at = len(text)
            end = at + len(block)
            if text[at:end] != block:
                return False
            new = text[position:at]
            if new != value:
                changed.append(index)
                texts.append(new)
                if keys[index] in INTERPRETED:
                    reinterpret = True
            index += 1  # noqa: SIM113 - `enumerate` takes longer
        if end != len(text):
            return False
        data = "".join(texts).encode("latin-1")
        if data.translate(_SOUND) != data:
            return False
        environ, fields = self.environ, self.fields
        path = query = ""
        try:
            moved = target != self.target
            if moved:
                # More than that is not to be checked, since the sound bytes are few.
                if not target or " " in target or "\t" in target or not target.isascii():
                    return False
                path, query, authority = parse_target(self.method, target)
                if authority is not None:
                    return False  # it would replace the field Host
            if reinterpret:
                environ = environ.copy()
            position = 1
            for index in changed:
                key = keys[index]
                if key:
                    environ[key] = texts[position].strip(" \t")
                position += 1
            if reinterpret:
                fields = Fields(environ, self.version)
        except HeadError:
            return False
        if reinterpret:
            self.environ, self.fields = environ, fields
        position = 1
        for index in changed:
            values[index] = texts[position]
            position += 1
        if moved:
            self.target = target
            environ["REQUEST_URI"] = target
            environ["PATH_INFO"] = path
            environ["QUERY_STRING"] = query
        self.head = head
        return True


class HeadCache:
    """Reads the heads that arrive on one thread."""

    def __init__(self) -> None:
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
        if known is None or known.template is not template or known.names is not names:
            return self._read_other(head, head.decode("latin-1"), template, names)
        if head != known.head:
            text = head.decode("latin-1")
            if len(head) > _MAX_SIZE or not known.follow(head, text):
                return self._read_other(head, text, template, names)
        return known.method, known.target, known.version, known.fields, known.environ.copy()

    def _read_other(
        self, head: bytes, text: str, template: Environ, names: EnvironNames
    ) -> tuple[str, str, str, Fields, Environ]:
        """Read a head that is not like the latest. As `read`; ``text`` is the head."""
        if len(head) <= _MAX_SIZE:
            known = self._find(head, text, template, names)
            if known is not None:
                self._latest = known
                return known.method, known.target, known.version, known.fields, known.environ.copy()
        return self._read_whole(head, text.split("\r\n"), template, names)

    def _find(
        self, head: bytes, text: str, template: Environ, names: EnvironNames
    ) -> _Known | None:
        """Return what is known of heads with these fields, after it has become this head."""
        heads = self._heads.get(text.count("\r\n") + 1)
        if heads is None:
            return None
        for known in heads:
            if (
                known.template is template
                and known.names is names
                and (head == known.head or known.follow(head, text))
            ):
                return known
        lines = text.split("\r\n")
        for known in heads:
            if (
                known.template is template
                and known.names is names
                and known.learn(lines)
                and known.follow(head, text)
            ):
                return known
        return None

    def _read_whole(
        self, head: bytes, lines: list[str], template: Environ, names: EnvironNames
    ) -> tuple[str, str, str, Fields, Environ]:
        """Read a head without the help of earlier ones, and remember it. As `read`."""
        check_head(head, lines)
        method, target, version = request_line = split_request_line(lines[0])
        environ = template.copy()
        environ["SERVER_PROTOCOL"] = version
        repeated = read_fields(lines[1:], environ, names)
        if repeated and not SINGLE.isdisjoint(repeated):
            raise HeadError(400, "a header field that may occur once is repeated")
        fields = Fields(environ, version)
        path, query, authority = parse_target(method, target)
        environ["REQUEST_METHOD"] = method
        environ["REQUEST_URI"] = target
        environ["PATH_INFO"] = path
        environ["QUERY_STRING"] = query
        if authority is not None:
            environ["HTTP_HOST"] = authority
        elif (
            not repeated
            and fields.framing is not _CHUNKED  # its field is not in the environ
            and len(lines) <= _MAX_LINES
            and len(head) <= _MAX_SIZE
        ):
            known = _Known(head, lines, template, names, request_line, fields, environ.copy())
            self._latest = known
            heads = self._heads.setdefault(len(lines), [])
            heads.insert(0, known)
            del heads[_MAX_HEADS:]
        return method, target, version, fields, environ
