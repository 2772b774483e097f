"""Field blocks of a client, decoded (RFC 7541).

Theory of operation. A field is an object that has been checked when it was decoded, so a reference
to the tables costs one look-up. Two things are remembered for each connection:

- Blocks that do not change the table. Such a block means the same as long as the table stays as it
  is, so that a request which comes again costs one look-up, with everything that was concluded from
  it (`FieldBlock.head`). A block that contains literal strings is remembered when it comes the
  second time, one with never-indexed strings not at all. Browsers and many other clients send the
  path as a literal without indexing, and all else as references: of such a block, what is around
  the path is remembered in the same way.
- Strings in Huffman code, except never-indexed ones: these are cookies, tokens and the like, and
  the time that a string takes must not tell anybody whether it was seen before. For the same reason
  no two connections share what they remember.

The limits of heads are checked while a block is decoded. What exceeds them is not kept, but the
rest of the block is still read, because the dynamic table must follow that of the client.
"""

from __future__ import annotations

from typing import Final

from rocket_wsgi._http2 import huffman
from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.faults import SessionError
from rocket_wsgi._http2.field import OVERHEAD, PSEUDO, Field, Role
from rocket_wsgi._http2.limits import MAX_DECODED, MAX_FIELD, MAX_FIELDS, MAX_LIST, MAX_TABLE
from rocket_wsgi._http2.request_head import RequestHead
from rocket_wsgi._http2.static_table import STATIC

_FIRST_DYNAMIC: Final = len(STATIC) + 1

# The first byte of a field (section 6). An indexed field has the highest bit.
_INDEXED: Final = 0x80
_LONG_INDEX: Final = 0xFF
_LAST_STATIC: Final = _INDEXED + len(STATIC)
_TO_INDEX: Final = 0x40
_RESIZE: Final = 0x20
_NEVER: Final = 0x10
_LITERAL_PATH: Final = 0x04
_LITERAL_PATH_BYTE: Final = bytes([_LITERAL_PATH])
_LITERAL: Final = 0x01
"""Any bit that does not mean something else, for fields of which nothing else is noted."""

_PATH: Final = Role.PATH
_MOST: Final = MAX_FIELDS + len(PSEUDO)
_MOST_OF_FIELD: Final = MAX_FIELD + OVERHEAD - 2
"""A field counts with the colon and the space that it has in HTTP/1.1."""
_MAX_CONTINUED: Final = 28
"""The bits after the prefix of an integer: no number that means anything has more."""

_BLOCKS: Final = 16
_LONGEST_BLOCK: Final = 512
"""Blocks that a connection remembers, and the bytes of each."""
_STRINGS: Final = 32
_LONGEST_STRING: Final = 128
"""Strings in Huffman code that a connection remembers, and their encoded bytes."""

TOO_MANY: Final = "the request has too many header fields"
TOO_LONG: Final = "the request head is too long"
FIELD_TOO_LONG: Final = "a header field is too long"
TARGET_TOO_LONG: Final = "the request target is too long"


class FieldBlock:
    """A field block, decoded.

    Attributes:
        excess: which limit is exceeded; empty if none is.
        head: what the fields mean as the head of a request, once it was found out.
    """

    __slots__ = ("_fields", "_path", "excess", "head")

    def __init__(self, fields: list[Field], excess: str, path: str = "") -> None:
        """Keep ``fields``, in which ``path`` takes the place of another one if it is not empty."""
        self.excess = excess
        self.head: RequestHead | None = None
        self._fields = fields
        self._path = path

    @property
    def fields(self) -> list[Field]:
        """The fields in their order; only the first few if there is an ``excess``."""
        if self._path:
            path = Field(":path", self._path)
            self._fields = [path if field.role is _PATH else field for field in self._fields]
            self._path = ""
        return self._fields


class HpackDecoder:
    """Decodes the field blocks of one connection, in their order."""

    __slots__ = (
        "_blocks",
        "_latest",
        "_latest_head",
        "_limit",
        "_once",
        "_others",
        "_size",
        "_strings",
        "_table",
    )

    def __init__(self) -> None:
        self._table: list[Field] = []
        """The dynamic table. The latest entry is the last: index 62 is position -1."""
        self._size = 0
        self._limit = MAX_TABLE
        self._blocks: dict[bytes, FieldBlock] = {}
        self._once: set[int] = set()
        """The hashes of blocks with literals that came once."""
        self._others: dict[bytes, FieldBlock] = {}
        """Blocks by what is around their path."""
        self._latest: bytes | None = None
        self._latest_head: RequestHead | None = None
        """The latest block that was decoded by them, and its head."""
        self._strings: dict[bytes, str] = {}

    def decode(self, block: bytes) -> FieldBlock:
        """Return the fields of a block.

        Raises `SessionError` with COMPRESSION_ERROR if it is not encoded correctly: the table
        is then no longer that of the client. So it is if the rest is not decoded, because too much
        has come out already; then the code is ENHANCE_YOUR_CALM.
        """
        known = self._blocks.get(block)
        if known is not None:
            return known
        if self._others:
            like = self._find_like(block)
            if like is not None:
                head = self._decode_path(block, like)
                if head is not None:
                    decoded = FieldBlock(like.fields, "", head.path)
                    decoded.head = head
                    return decoded
        try:
            return self._decode(block)
        except IndexError:
            raise _fault("a field block is cut off, or has an index beyond the table") from None

    def recall(self, block: bytes) -> RequestHead | None:
        """Return the head of a request that is known, or differs from a known one by its path.

        Returns None for all other blocks, which `decode` has to decode. Raises as `decode`.
        """
        known = self._blocks.get(block)
        if known is not None:
            return known.head
        if not self._others:
            return None
        if block == self._latest:
            return self._latest_head
        like = self._find_like(block)
        return None if like is None else self._decode_path(block, like)

    def _decode(self, block: bytes) -> FieldBlock:
        fields: list[Field] = []
        table = self._table
        excess = ""
        size = 0
        literals = 0  # the bits of the first bytes of literal fields
        start = position = self._resize(block)
        end = len(block)
        while position < end:
            first = block[position]
            position += 1
            if first < _INDEXED:
                field, position = self._literal(block, first, position)
                literals |= first | _LITERAL
            elif first == _LONG_INDEX:
                index, position = _integer(block, position, 0x7F)
                field = self._entry(index)
            elif first > _LAST_STATIC:
                field = table[_LAST_STATIC - first]
            elif first == _INDEXED:
                raise _fault("a field has the index 0")
            else:
                field = STATIC[first - _INDEXED - 1]
            size += field.size
            if excess:
                _check_bomb(size)
                continue
            if field.size <= _MOST_OF_FIELD and size <= MAX_LIST and len(fields) < _MOST:
                fields.append(field)
            else:
                excess = _excess(field, size)
                del fields[len(PSEUDO) :]
        decoded = FieldBlock(fields, excess)
        if start or literals & _TO_INDEX:
            self._blocks.clear()
            self._others.clear()
            self._latest = self._latest_head = None
            self._once.clear()
        elif not literals & _NEVER and end <= _LONGEST_BLOCK:
            self._remember(block, decoded, literals)
        return decoded

    def _find_like(self, block: bytes) -> FieldBlock | None:
        """Return a remembered block that differs from ``block`` by its path at most."""
        # The literals that are remembered are behind references, none of which has this byte.
        position = block.find(_LITERAL_PATH_BYTE)
        if position < 0 or position + 1 == len(block):
            return None
        size = block[position + 1] & 0x7F
        if size == 0x7F:
            return None
        return self._others.get(block[: position + 1] + block[position + 2 + size :])

    def _decode_path(self, block: bytes, like: FieldBlock) -> RequestHead | None:
        """Return the head of a block that differs from ``like`` by its path, if that is sound."""
        if block == self._latest:
            return self._latest_head
        head = like.head
        if head is None or head.status:
            return None
        path, _ = self._string(block, block.find(_LITERAL_PATH_BYTE) + 1, True)
        if not path.startswith("/") or not path.isascii() or not path.isprintable() or " " in path:
            return None
        self._latest = block
        self._latest_head = head = RequestHead(head, path)
        return head

    def _entry(self, index: int) -> Field:
        """Return the field with this index in the tables, of which the static one comes first."""
        if index < _FIRST_DYNAMIC:
            return STATIC[index - 1]
        return self._table[_FIRST_DYNAMIC - 1 - index]

    def _literal(self, block: bytes, first: int, position: int) -> tuple[Field, int]:
        """Return the literal field whose first byte precedes ``position``, and its end."""
        mask = 0x3F if first & _TO_INDEX else 0x0F
        never = False
        if mask == 0x0F:
            if first & _RESIZE:
                raise _fault("the size of the table changes within a block")
            never = first & _NEVER != 0
        index = first & mask
        if index == mask:
            index, position = _integer(block, position, mask)
        if index:
            name = self._entry(index).name
        else:
            name, position = self._string(block, position, never)
        value, position = self._string(block, position, never)
        field = Field(name, value)
        if first & _TO_INDEX:
            self._insert(field)
        return field, position

    def _resize(self, block: bytes) -> int:
        """Follow the size updates at the start of a block; return their end (section 6.3)."""
        position = 0
        while position < len(block) and block[position] & 0xE0 == _RESIZE:
            limit = block[position] & 0x1F
            position += 1
            if limit == 0x1F:
                limit, position = _integer(block, position, 0x1F)
            if limit > MAX_TABLE:
                raise _fault("the size of the table exceeds what was agreed")
            self._limit = limit
            self._evict(limit)
        return position

    def _insert(self, field: Field) -> None:
        """Add an entry to the dynamic table (section 4.4)."""
        if self._size + field.size > self._limit:
            self._evict(max(self._limit - field.size, 0))
            if field.size > self._limit:
                return
        self._table.append(field)
        self._size += field.size

    def _evict(self, most: int) -> None:
        """Drop the oldest entries until the others have ``most`` bytes."""
        count = 0
        size = self._size
        table = self._table
        while size > most:
            size -= table[count].size
            count += 1
        del table[:count]
        self._size = size

    def _string(self, block: bytes, position: int, never: bool) -> tuple[str, int]:
        """Return the string at ``position``, and its end (section 5.2)."""
        first = block[position]
        length = first & 0x7F
        position += 1
        if length == 0x7F:
            length, position = _integer(block, position, 0x7F)
        end = position + length
        if end > len(block):
            raise _fault("a string is longer than its field block")
        data = block[position:end]
        if not first & 0x80:
            return data.decode("latin-1"), end
        text = self._strings.get(data)
        if text is None:
            text = huffman.decode(data)
            if text is None:
                raise _fault("a string is not in Huffman code")
            if not never and length <= _LONGEST_STRING:
                if len(self._strings) >= _STRINGS:
                    self._strings.clear()
                self._strings[data] = text
        return text, end

    def _remember(self, block: bytes, decoded: FieldBlock, literals: int) -> None:
        """Remember a block without secrets that has not changed the table."""
        memory = self._blocks
        if literals:
            position = _path_position(block)
            if position >= 0 and not decoded.excess:
                end = position + 2 + (block[position + 1] & 0x7F)
                block = block[: position + 1] + block[end:]
                memory = self._others
            mark = hash(block)
            if mark not in self._once:
                if len(self._once) >= _BLOCKS:
                    self._once.clear()
                self._once.add(mark)
                return
        if len(memory) >= _BLOCKS:
            memory.clear()
        memory[block] = decoded


def _path_position(block: bytes) -> int:
    """Return where a literal path begins that is not indexed, behind references only; or -1.

    Paths whose length takes more than one byte are left out.
    """
    for position, byte in enumerate(block):
        if byte < _INDEXED:
            short = position + 1 < len(block) and block[position + 1] & 0x7F != 0x7F
            return position if byte == _LITERAL_PATH and short else -1
        if byte == _LONG_INDEX:
            break
    return -1


def _integer(block: bytes, position: int, prefix: int) -> tuple[int, int]:
    """Return the integer whose prefix is full, and its end (section 5.1)."""
    value = prefix
    shift = 0
    while True:
        byte = block[position]
        position += 1
        value += (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > _MAX_CONTINUED:
            raise _fault("an integer is too long")


def _check_bomb(size: int) -> None:
    """Raise `SessionError` if a block with ``size`` bytes is decoded no further."""
    if size > MAX_DECODED:
        raise SessionError(ErrorCode.ENHANCE_YOUR_CALM, "a field block grows without end")


def _excess(field: Field, size: int) -> str:
    """Return which limit is exceeded by a field, with which the list has ``size`` bytes."""
    if field.size > _MOST_OF_FIELD:
        return TARGET_TOO_LONG if field.role is _PATH else FIELD_TOO_LONG
    return TOO_LONG if size > MAX_LIST else TOO_MANY


def _fault(reason: str) -> SessionError:
    return SessionError(ErrorCode.COMPRESSION_ERROR, reason)
