from __future__ import annotations

import ssl

import pytest

from helpers import MemoryClient, client_hello
from rocket_tls._context.client_hello import NO_OFFERS, Offers, offers_of, record_size


@pytest.mark.parametrize("protocols", [[], ["acme-tls/1"], ["h2", "http/1.1"]])
def test_the_protocols_that_a_client_offers(protocols: list[str]) -> None:
    offers = offers_of(client_hello(protocols))
    assert offers == Offers(tuple(each.encode() for each in protocols), tls_1_3=True)


def test_a_client_of_tls_1_2_does_not_offer_tls_1_3() -> None:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["h2"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    assert offers_of(MemoryClient(context).first_flight()) == Offers((b"h2",), tls_1_3=False)


def hello(extensions: bytes, *, split_at: int | None = None) -> bytes:
    """Return a ClientHello with ``extensions``, in one record or in two."""
    body = b"\x03\x03" + bytes(32) + b"\x00" + b"\x00\x02\x00\x2f" + b"\x01\x00" + extensions
    message = b"\x01" + len(body).to_bytes(3, "big") + body
    parts = [message] if split_at is None else [message[:split_at], message[split_at:]]
    return b"".join(b"\x16\x03\x01" + len(part).to_bytes(2, "big") + part for part in parts)


ALPN = b"\x00\x09" + b"\x00\x10\x00\x05" + b"\x00\x03\x02h2"


def test_a_hello_without_extensions() -> None:
    assert offers_of(hello(b"")) == NO_OFFERS


def test_a_hello_in_two_records_is_left_to_openssl() -> None:
    assert offers_of(hello(ALPN)) == Offers((b"h2",), tls_1_3=False)
    for size in (10, 50, 55):
        assert offers_of(hello(ALPN, split_at=size)) == NO_OFFERS


def test_what_follows_the_hello_is_not_a_part_of_it() -> None:
    assert offers_of(hello(b"") + ALPN) == NO_OFFERS
    assert offers_of(hello(ALPN) + ALPN) == Offers((b"h2",), tls_1_3=False)


def test_an_extension_that_is_longer_than_the_hello_offers_nothing() -> None:
    assert offers_of(hello(b"\x00\x06" + ALPN[2:8]) + ALPN[8:]) == NO_OFFERS


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
        assert offers_of(whole[:size]) == NO_OFFERS


def test_no_damaged_byte_raises_an_error() -> None:
    whole = client_hello(["acme-tls/1"])
    for at in range(len(whole)):
        for value in (0, 0x7F, 0xFF):
            offers_of(whole[:at] + bytes([value]) + whole[at + 1 :])


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16", b"\x16\x03\x01\x00\x00"])
def test_other_data_offers_nothing(data: bytes) -> None:
    assert offers_of(data) == NO_OFFERS
