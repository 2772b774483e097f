from __future__ import annotations

import hpack
import pytest
from field_lists import LISTS
from hpacksupport import decoded, indexed, literal, pairs, resize
from hypothesis import given
from hypothesis import strategies as st

from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.faults import SessionError, StreamError
from rocket_wsgi._http2.hpack_decoder import FIELD_TOO_LONG, TOO_LONG, TOO_MANY, HpackDecoder
from rocket_wsgi._http2.limits import MAX_DECODED, MAX_FIELD, MAX_FIELDS, MAX_LIST, MAX_TABLE
from rocket_wsgi._http2.request_head import RequestHead, read_head
from rocket_wsgi._http2.static_table import STATIC

GET = (":method", "GET")
HTTP = (":scheme", "http")
HTTPS = (":scheme", "https")
ROOT = (":path", "/")
INDEX = (":path", "/index.html")
HOST = (":authority", "www.example.com")
NO_CACHE = ("cache-control", "no-cache")
CUSTOM = ("custom-key", "custom-value")
FOUND = (":status", "302")
TEMPORARY = (":status", "307")
OK = (":status", "200")
PRIVATE = ("cache-control", "private")
THEN = ("date", "Mon, 21 Oct 2013 20:13:21 GMT")
LATER = ("date", "Mon, 21 Oct 2013 20:13:22 GMT")
PLACE = ("location", "https://www.example.com")
GZIP = ("content-encoding", "gzip")
COOKIE = ("set-cookie", "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1")

REQUESTS = [
    [GET, HTTP, ROOT, HOST],
    [GET, HTTP, ROOT, HOST, NO_CACHE],
    [GET, HTTPS, INDEX, HOST, CUSTOM],
]
RESPONSES = [
    [FOUND, PRIVATE, THEN, PLACE],
    [TEMPORARY, PRIVATE, THEN, PLACE],
    [OK, PRIVATE, LATER, PLACE, GZIP, COOKIE],
]
SMALL = resize(256)
"""The responses of appendix C are those to a client with such a table."""

EXAMPLES = {
    "C.2.1": [("400a637573746f6d2d6b65790d637573746f6d2d686561646572", 55)],
    "C.2.2": [("040c2f73616d706c652f70617468", 0)],
    "C.2.3": [("100870617373776f726406736563726574", 0)],
    "C.2.4": [("82", 0)],
    "C.3": [
        ("828684410f7777772e6578616d706c652e636f6d", 57),
        ("828684be58086e6f2d6361636865", 110),
        ("828785bf400a637573746f6d2d6b65790c637573746f6d2d76616c7565", 164),
    ],
    "C.4": [
        ("828684418cf1e3c2e5f23a6ba0ab90f4ff", 57),
        ("828684be5886a8eb10649cbf", 110),
        ("828785bf408825a849e95ba97d7f8925a849e95bb8e8b4bf", 164),
    ],
    "C.5": [
        (
            (
                "4803333032580770726976617465611d4d6f6e2c203231204f637420323031332032303a31333a323120"
                "474d546e1768747470733a2f2f7777772e6578616d706c652e636f6d"
            ),
            222,
        ),
        ("4803333037c1c0bf", 222),
        (
            (
                "88c1611d4d6f6e2c203231204f637420323031332032303a31333a323220474d54c05a04677a69707738"
                "666f6f3d4153444a4b48514b425a584f5157454f50495541585157454f49553b206d61782d6167653d33"
                "3630303b2076657273696f6e3d31"
            ),
            215,
        ),
    ],
    "C.6": [
        (
            (
                "488264025885aec3771a4b6196d07abe941054d444a8200595040b8166e082a62d1bff6e919d29ad1718"
                "63c78f0b97c8e9ae82ae43d3"
            ),
            222,
        ),
        ("4883640effc1c0bf", 222),
        (
            (
                "88c16196d07abe941054d444a8200595040b8166e084a62d1bffc05a839bd9ab77ad94e7821dd7f2e6c7"
                "b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007"
            ),
            215,
        ),
    ],
}
MEANINGS = {
    "C.2.1": [[("custom-key", "custom-header")]],
    "C.2.2": [[(":path", "/sample/path")]],
    "C.2.3": [[("password", "secret")]],
    "C.2.4": [[GET]],
    "C.3": REQUESTS,
    "C.4": REQUESTS,
    "C.5": RESPONSES,
    "C.6": RESPONSES,
}


@pytest.mark.parametrize("section", EXAMPLES)
def test_example_of_rfc_7541(section: str) -> None:
    decoder = HpackDecoder()
    if section in {"C.5", "C.6"}:
        decoder.decode(SMALL)
    for (block, size), fields in zip(EXAMPLES[section], MEANINGS[section], strict=True):
        assert pairs(decoder.decode(bytes.fromhex(block))) == fields
        assert decoder._size == size


def test_static_table_is_that_of_the_rfc() -> None:
    table = hpack.table.HeaderTable.STATIC_TABLE
    assert [(field.name.encode(), field.value.encode()) for field in STATIC] == [*table]


@given(st.lists(st.tuples(LISTS, st.booleans(), st.sampled_from([None, 0, 100, 4096]))))
def test_blocks_of_the_library_hpack_are_decoded(
    lists: list[tuple[list[tuple[str, str, bool]], bool, int | None]],
) -> None:
    encoder = hpack.Encoder()
    decoder = HpackDecoder()
    for fields, compressed, size in lists:
        if size is not None:
            encoder.header_table_size = size
        # As bytes, in latin-1: the library encodes text in UTF-8.
        block = encoder.encode(
            [
                (hpack.NeverIndexedHeaderTuple if secret else hpack.HeaderTuple)(
                    name.encode("latin-1"), value.encode("latin-1")
                )
                for name, value, secret in fields
            ],
            huffman=compressed,
        )
        expected = [(name, value) for name, value, _ in fields]
        assert pairs(decoder.decode(block)) == expected
        if block in decoder._blocks:
            assert pairs(decoder.decode(block)) == expected
        assert decoder._size == encoder.header_table._current_size
        assert [(field.name, field.value) for field in reversed(decoder._table)] == [
            (name.decode("latin-1"), value.decode("latin-1"))
            for name, value in encoder.header_table.dynamic_entries
        ]


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_are_decoded_or_are_a_compression_error(blocks: list[bytes]) -> None:
    decoder = HpackDecoder()
    for block in blocks:
        try:
            decoder.decode(block)
        except SessionError as fault:
            assert fault.code is ErrorCode.COMPRESSION_ERROR
        assert 0 <= decoder._size <= MAX_TABLE
        assert decoder._size == sum(field.size for field in decoder._table)


FAULTS = {
    "5.1, endless integer": b"\xff" + b"\x80" * 10,
    "5.1, integer of 35 bits": b"\xff" + b"\xff" * 5 + b"\x7f",
    "5.1, integer cut": b"\xff\x80",
    "5.2, no string": b"\x04",
    "5.2, string cut": b"\x04\x05/abc",
    "5.2, length cut": b"\x04\x7f",
    "5.2, name cut": b"\x00\x05abc",
    "5.2, value missing": b"\x00\x01a",
    "5.2, padding of eleven bits": b"\x04\x82\x07\xff",
    "5.2, padding with zeros": b"\x04\x81\x18",
    "5.2, end symbol": b"\x04\x84\xff\xff\xff\xff",
    "6.1, index 0": b"\x80",
    "6.1, index beyond the empty table": indexed(62),
    "6.1, index beyond the table": literal(b"a", b"b", kind=0x40) + indexed(63),
    "6.1, large index": indexed(1 << 25),
    "6.2, name index beyond the table": literal(62, b""),
    "6.2, large name index": literal(1 << 25, b""),
    "6.3, size above the agreed": resize(MAX_TABLE + 1),
    "6.3, size change within a block": indexed(2) + resize(0),
    "6.3, size change at the end": literal(b"a", b"") + resize(100),
}


@pytest.mark.parametrize("name", FAULTS)
def test_compression_error(name: str) -> None:
    with pytest.raises(SessionError) as caught:
        HpackDecoder().decode(FAULTS[name])
    assert caught.value.code is ErrorCode.COMPRESSION_ERROR


def test_sizes_of_the_table() -> None:
    entry = literal(b"a", b"b", kind=0x40)
    assert decoded(entry, resize(34) + indexed(62)) == [("a", "b")]
    for change in (resize(33), resize(0) + resize(4096), resize(33) + resize(100)):
        with pytest.raises(SessionError):
            decoded(entry, change + indexed(62))
    assert decoded(resize(4096), resize(0), resize(4096), entry, indexed(62)) == [("a", "b")]


def test_an_entry_larger_than_the_table_empties_it() -> None:
    large = literal(b"n", b"v" * 4096, kind=0x40)
    assert decoded(large) == [("n", "v" * 4096)]
    with pytest.raises(SessionError):
        decoded(literal(b"a", b"b", kind=0x40), large, indexed(62))


def test_the_name_of_an_entry_that_is_evicted_by_the_field() -> None:
    first = literal(b"n" * 100, b"v" * 3900, kind=0x40)
    second = literal(62, b"w" * 3900, kind=0x40)
    assert decoded(first, second) == [("n" * 100, "w" * 3900)]
    assert decoded(first, second, indexed(62)) == [("n" * 100, "w" * 3900)]


def test_a_block_is_remembered_until_the_table_changes() -> None:
    decoder = HpackDecoder()
    decoder.decode(literal(b"a", b"1", kind=0x40))
    block = indexed(2) + indexed(62)
    first = decoder.decode(block)
    assert decoder.decode(block) is first
    decoder.decode(literal(b"b", b"2", kind=0x40))
    assert pairs(decoder.decode(block)) == [GET, ("b", "2")]
    decoder.decode(resize(0))
    with pytest.raises(SessionError):
        decoder.decode(block)


def test_a_block_with_literals_is_remembered_when_it_comes_again() -> None:
    decoder = HpackDecoder()
    block = literal(b"a", b"b")
    first, second, third = (decoder.decode(block) for _ in range(3))
    assert first is not second
    assert second is third


def request(path: bytes, *rest: bytes) -> bytes:
    return indexed(2) + indexed(7) + literal(4, path) + literal(1, b"h") + b"".join(rest)


def read(decoder: HpackDecoder, block: bytes) -> RequestHead:
    """Return what a session makes of a block."""
    decoded = decoder.decode(block)
    if decoded.head is None:
        decoded.head = read_head(decoded.fields)
    return decoded.head


def test_what_is_around_a_path_is_remembered() -> None:
    decoder = HpackDecoder()
    for path in (b"/1", b"/2", b"/3"):
        assert read(decoder, request(path, literal(b"a", b"b"))).path == path.decode()
    head = read(decoder, request(b"/4?q=1", literal(b"a", b"b")))
    assert head.base is not None
    assert head.base.path == "/2"
    assert (head.method, head.scheme, head.authority, head.path) == ("GET", "https", "h", "/4?q=1")
    assert [(field.name, field.value) for field in head.fields] == [("a", "b")]
    assert read(decoder, request(b"/4?q=1", literal(b"a", b"b"))) is head
    assert pairs(decoder.decode(request(b"/5", literal(b"a", b"b")))) == [
        GET,
        HTTPS,
        (":path", "/5"),
        (":authority", "h"),
        ("a", "b"),
    ]
    assert read(decoder, request(b"/6", literal(b"a", b"c"))).base is None


@pytest.mark.parametrize("path", [b"", b"a", b"*", b"/a b", b"/\xe9", b"/\n", b"/" + b"a" * 200])
def test_an_unusual_path_is_not_taken_for_a_remembered_one(path: bytes) -> None:
    results = []
    for warm in (False, True):
        decoder = HpackDecoder()
        if warm:
            for number in range(3):
                read(decoder, request(b"/%d" % number))
        try:
            head = read(decoder, request(path))
        except StreamError as error:
            results.append(str(error))
        else:
            results.append(f"{head.path} {head.status}")
            assert head.base is None
    assert results[0] == results[1]


def test_what_is_around_a_path_is_forgotten_when_the_table_changes() -> None:
    decoder = HpackDecoder()
    decoder.decode(literal(b"a", b"1", kind=0x40))
    for path in (b"/1", b"/2", b"/3"):
        head = read(decoder, request(path, indexed(62)))
    assert head.base is not None
    decoder.decode(literal(b"b", b"2", kind=0x40))
    for path in (b"/3", b"/4"):
        head = read(decoder, request(path, indexed(62)))
        assert [(field.name, field.value) for field in head.fields] == [("b", "2")]


def test_a_secret_beside_a_path_is_not_remembered() -> None:
    decoder = HpackDecoder()
    for path in (b"/1", b"/2", b"/3"):
        assert read(decoder, request(path, literal(b"a", b"b", kind=0x10))).base is None
    assert not decoder._others


def test_a_block_with_a_secret_is_never_remembered() -> None:
    decoder = HpackDecoder()
    block = literal(b"cookie", b"a=1", kind=0x10)
    first, second, third = (decoder.decode(block) for _ in range(3))
    assert first is not second
    assert second is not third
    assert not decoder._blocks


def test_strings_are_remembered_but_not_secret_ones() -> None:
    value = bytes.fromhex("86a8eb10649cbf")  # no-cache, in Huffman code
    decoder = HpackDecoder()
    decoder.decode(b"\x1f\x09" + value)
    assert not decoder._strings
    assert pairs(decoder.decode(b"\x0f\x09" + value)) == [NO_CACHE]
    assert decoder._strings == {value[1:]: "no-cache"}
    assert not HpackDecoder()._strings


def test_memories_are_bounded() -> None:
    decoder = HpackDecoder()
    for number in range(5000):
        path = bytes([0x83, *(number % 250 * 7919 + number).to_bytes(3, "big")])
        for _ in range(2):
            for block in (b"\x04" + path, literal(4, b"/%d" % number), indexed(1 + number % 61)):
                try:
                    decoder.decode(block)
                except SessionError:
                    assert block[1] == 0x83  # not in Huffman code
    assert len(decoder._blocks) <= 16
    assert len(decoder._others) <= 16
    assert len(decoder._once) <= 16
    assert len(decoder._strings) <= 32


def test_limits_are_checked_while_decoding() -> None:
    decoder = HpackDecoder()
    decoder.decode(literal(b"a", b"v" * 4000, kind=0x40))
    assert decoder.decode(indexed(62) * 16).excess == ""
    assert decoder.decode(indexed(62) * 17).excess == TOO_LONG
    assert decoder.decode(indexed(2) * (MAX_FIELDS + 5)).excess == ""
    assert decoder.decode(indexed(2) * (MAX_FIELDS + 6)).excess == TOO_MANY
    assert decoder.decode(literal(b"a", b"v" * (MAX_FIELD - 3))).excess == ""
    assert decoder.decode(literal(b"a", b"v" * (MAX_FIELD - 2))).excess == FIELD_TOO_LONG


def test_a_bomb_takes_no_memory() -> None:
    decoder = HpackDecoder()
    decoder.decode(literal(b"a", b"v" * 4000, kind=0x40))
    too_long = indexed(62) * 20
    block = decoder.decode(too_long)
    assert block.excess == TOO_LONG
    assert len(block.fields) <= 5
    with pytest.raises(SessionError) as caught:
        decoder.decode(indexed(62) * MAX_LIST)
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM


def test_a_block_is_decoded_as_long_as_it_may_be_a_mistake() -> None:
    decoder = HpackDecoder()
    decoder.decode(literal(b"a", b"v" * 4000, kind=0x40))
    size = 4000 + 1 + 32
    most = MAX_DECODED // size
    assert decoder.decode(indexed(62) * most + literal(b"b", b"1", kind=0x40)).excess == TOO_LONG
    with pytest.raises(SessionError):
        decoder.decode(indexed(63) * (most + 1))


def test_the_table_follows_the_client_after_a_limit_was_exceeded() -> None:
    decoder = HpackDecoder()
    block = literal(b"a", b"v" * 17_000) + literal(b"b", b"2", kind=0x40)
    assert decoder.decode(block).excess == FIELD_TOO_LONG
    assert pairs(decoder.decode(indexed(62))) == [("b", "2")]
