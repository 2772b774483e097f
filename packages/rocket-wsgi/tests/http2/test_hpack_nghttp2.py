from __future__ import annotations

import ngh2
from field_lists import LISTS
from hpacksupport import pairs
from hypothesis import given
from hypothesis import strategies as st

from rocket_wsgi._http2.frames import CONTINUATION, HEADERS
from rocket_wsgi._http2.hpack_decoder import HpackDecoder

HEAD = [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/"), (b":authority", b"h")]


def field_block(data: bytes) -> bytes:
    """Return the block in the frames that a client has sent."""
    block = b""
    while data:
        size = int.from_bytes(data[:3], "big")
        if data[3] in {HEADERS, CONTINUATION}:
            block += data[9 : 9 + size]
        data = data[9 + size :]
    return block


@given(st.lists(LISTS, min_size=1, max_size=6))
def test_blocks_of_libnghttp2_are_decoded(lists: list[list[tuple[str, str, bool]]]) -> None:
    client = ngh2.Connection(ngh2.Role.CLIENT)
    client.initiate_connection()
    client.data_to_send()
    decoder = HpackDecoder()
    for fields in lists:
        sound = [  # the library checks what it sends
            (name.encode(), "".join(each for each in value if " " < each < "~").encode(), secret)
            for name, value, secret in fields
            if not name.startswith(":")
        ]
        client.send_request(
            [
                *HEAD,
                *(
                    ngh2.NeverIndexedHeader(name, value) if secret else (name, value)
                    for name, value, secret in sound
                ),
            ],
            end_stream=True,
        )
        expected = [*HEAD, *((name, value) for name, value, _ in sound)]
        assert pairs(decoder.decode(field_block(client.data_to_send()))) == [
            (name.decode(), value.decode()) for name, value in expected
        ]
