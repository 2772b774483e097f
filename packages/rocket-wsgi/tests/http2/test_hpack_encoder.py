from __future__ import annotations

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_wsgi._http2 import hpack_encoder
from rocket_wsgi._http2.hpack_encoder import NO_TABLE, encode_fields, encode_response

LATIN = st.text(st.characters(max_codepoint=255), max_size=400)
NAMES = st.one_of(st.sampled_from(["Content-Type", "ETag", "Set-Cookie", "X-One"]), LATIN)


def decoded(block: bytes) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in hpack.Decoder().decode(block, raw=True)]


@given(st.integers(100, 999), st.lists(st.tuples(NAMES, LATIN)))
def test_the_library_hpack_decodes_responses(status: int, fields: list[tuple[str, str]]) -> None:
    block = encode_response(status, fields)
    kept = [
        (name.lower().encode("latin-1", "replace"), value.strip(" \t").encode("latin-1"))
        for name, value in fields
        if name.lower() not in hpack_encoder._CONNECTION
    ]
    assert decoded(block) == [(b":status", str(status).encode()), *kept]


def test_fields_of_the_connection_are_left_out() -> None:
    fields = [("Connection", "close"), ("Keep-Alive", "5"), ("Transfer-Encoding", "chunked")]
    fields += [("Upgrade", "h2c"), ("Proxy-Connection", "x"), ("a", "b")]
    assert decoded(encode_fields(fields)) == [(b"a", b"b")]


def test_what_the_static_table_has_takes_a_byte() -> None:
    assert encode_response(200, []) == b"\x88"
    assert encode_fields([("accept-encoding", "gzip, deflate")]) == b"\x90"


@pytest.mark.parametrize("name", ["set-cookie", "Set-Cookie", "authorization"])
def test_secrets_are_never_indexed_and_not_remembered(name: str) -> None:
    for _ in range(3):
        block = encode_fields([(name, "secret-1")])
    assert block[0] & 0xF0 == 0x10
    (field,) = hpack.Decoder().decode(block)
    assert not field.indexable
    assert (name, "secret-1") not in hpack_encoder._encoded


def test_fields_that_come_again_are_remembered() -> None:
    field = ("X-Again", "often")
    for _ in range(2):
        assert field not in hpack_encoder._encoded
        encode_fields([field])
    assert field in hpack_encoder._encoded
    for _ in range(3):
        encode_fields([("X-Large", "v" * 300)])
    assert ("X-Large", "v" * 300) not in hpack_encoder._encoded
    for number in range(2000):
        for _ in range(2):
            encode_fields([("X-Many", str(number))])
    assert len(hpack_encoder._encoded) <= 256


def test_only_latin_1_can_be_encoded() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode_fields([("a", "€")])


def test_a_client_with_no_table_can_decode() -> None:
    decoder = hpack.Decoder()
    decoder.max_allowed_table_size = 0
    assert decoder.decode(NO_TABLE + encode_response(200, [("a", "b")]))
    assert decoder.decode(encode_response(200, [("a", "b")]))
