from __future__ import annotations

import pytest

from helpers import client_hello
from rocket_tls._connection.client_hello import offered_protocols, record_size


@pytest.mark.parametrize("protocols", [[], ["acme-tls/1"], ["h2", "http/1.1"]])
def test_the_protocols_that_a_client_offers(protocols: list[str]) -> None:
    assert offered_protocols(client_hello(protocols)) == [each.encode() for each in protocols]


def test_a_hello_without_extensions() -> None:
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x00\x2f" + b"\x01\x00"
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    record = b"\x16\x03\x01" + len(message).to_bytes(2, "big") + message
    assert offered_protocols(record) == []


def test_the_size_of_the_first_record_is_known_from_its_header() -> None:
    whole = client_hello(["acme-tls/1"])
    for size in range(5):
        assert record_size(whole[:size]) == 5
    for size in range(5, len(whole)):
        assert record_size(whole[:size]) == len(whole)
    assert record_size(whole + b"more") == len(whole)


def test_a_part_of_a_hello_offers_nothing() -> None:
    whole = client_hello(["acme-tls/1"])
    for size in range(len(whole)):
        assert offered_protocols(whole[:size]) in ([], [b"acme-tls/1"])
    assert offered_protocols(whole[:60]) == []


def test_no_damaged_byte_raises_an_error() -> None:
    whole = client_hello(["acme-tls/1"])
    for at in range(len(whole)):
        for value in (0, 0x7F, 0xFF):
            offered_protocols(whole[:at] + bytes([value]) + whole[at + 1 :])


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16", b"\x16\x03\x01\x00\x00"])
def test_other_data_offers_nothing(data: bytes) -> None:
    assert offered_protocols(data) == []
