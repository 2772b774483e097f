from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyheaders import SIGNATURE, field, header, inet, paths
from rocket_core import Peer
from rocket_core._errors import ProxyHeaderError
from rocket_core._network.proxy_header import (
    MAX_HEADER,
    Announcement,
    crc32c,
    header_size,
    parse_header,
    parse_line,
)

CLIENT, HERE = ("192.0.2.1", 56324), ("198.51.100.7", 443)
IPV4 = inet(CLIENT, HERE)
ANNOUNCED = Announcement(Peer(*CLIENT), Peer(*HERE), secure=False)

PORTS = st.integers(0, 65535)
IPV4S = st.ip_addresses(v=4).map(str)
IPV6S = st.ip_addresses(v=6).map(str).filter(lambda text: not text.startswith("::ffff:"))


# -- version 1 -------------------------------------------------------------------------------------


@given(PORTS, PORTS, st.one_of(st.tuples(IPV4S, IPV4S), st.tuples(IPV6S, IPV6S)))
def test_every_line_says_what_it_was_made_of(
    port: int, local_port: int, hosts: tuple[str, str]
) -> None:
    family = "TCP6" if ":" in hosts[0] else "TCP4"
    line = f"PROXY {family} {hosts[0]} {hosts[1]} {port} {local_port}\r\n".encode()
    assert parse_line(line) == Announcement(Peer(hosts[0], port), Peer(hosts[1], local_port), False)


def test_an_ipv6_address_has_one_form() -> None:
    long = "2001:0DB8:0000:0000:0000:0000:0000:0001"
    found = parse_line(f"PROXY TCP6 {long} ::ffff:192.0.2.1 1 2\r\n".encode())
    assert found == Announcement(Peer("2001:db8::1", 1), Peer("192.0.2.1", 2), False)


@pytest.mark.parametrize("rest", ["", " ", " ffff:f...f:ffff ffff:f...f:ffff 65535 65535"])
def test_a_proxy_that_does_not_know(rest: str) -> None:
    assert parse_line(f"PROXY UNKNOWN{rest}\r\n".encode()) is None


@pytest.mark.parametrize(
    "line",
    [
        "PROXY\r\n",
        "PROXY \r\n",
        "PROXY UNKNOWNS\r\n",
        "PROXY unknown\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 \r\n",
        "PROXY  TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY\tTCP4 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\r\n",
        "PROXY TCP4 192.0.2.01 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
        "PROXY TCP4 ::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP6 ::1%lo ::1 1 2\r\n",
        "PROXY TCP6 [::1] ::1 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 0x1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 \xb2\r\n",
        "PROXY UNKNOWN" + 93 * " " + "\r\n",
    ],
)
def test_a_line_with_anything_wrong(line: str) -> None:
    with pytest.raises(ProxyHeaderError):
        parse_line(line.encode("latin-1"))


def test_the_longest_line() -> None:
    assert parse_line(b"PROXY UNKNOWN" + 92 * b" " + b"\r\n") is None


# -- version 2 -------------------------------------------------------------------------------------


@given(
    PORTS,
    PORTS,
    st.one_of(st.tuples(IPV4S, IPV4S), st.tuples(IPV6S, IPV6S)),
    st.lists(st.tuples(st.integers(0, 255).filter(lambda n: n not in (3, 0x20)), st.binary())),
)
def test_every_header_says_what_it_was_made_of(
    port: int, local_port: int, hosts: tuple[str, str], fields: list[tuple[int, bytes]]
) -> None:
    peer, local = (hosts[0], port), (hosts[1], local_port)
    block = inet(peer, local) + b"".join(field(*each) for each in fields)
    made = header(0x21, 0x21 if ":" in hosts[0] else 0x11, block)
    assert header_size(made[:16]) == len(made)
    assert parse_header(made) == Announcement(Peer(*peer), Peer(*local), False)


def test_ipv4_in_ipv6_is_ipv4() -> None:
    made = header(0x21, 0x21, inet(("::ffff:192.0.2.1", 1), ("::1", 2)))
    assert parse_header(made) == Announcement(Peer("192.0.2.1", 1), Peer("::1", 2), False)


@pytest.mark.parametrize(
    ("name", "host"),
    [
        (b"/run/client.sock", "/run/client.sock"),
        (b"/run/\xff", "/run/\\udcff"),
        (b"\0hidden", "@hidden"),
        (b"", ""),
        (b"x" * 108, "x" * 108),
        (b"10.0.0.1", "./10.0.0.1"),
    ],
)
def test_unix_sockets(name: bytes, host: str) -> None:
    found = parse_header(header(0x21, 0x31, paths(name, b"/run/here")))
    assert found == Announcement(Peer(host, 0), Peer("/run/here", 0), False)
    assert found.peer.is_unix


@pytest.mark.parametrize(
    ("command", "family", "block"),
    [
        (0x20, 0x00, b""),
        (0x20, 0x11, IPV4),
        (0x20, 0xFF, b"anything"),
        (0x21, 0x00, b""),
        (0x21, 0x00, field(4, b"padding")),
        (0x21, 0x01, b""),
        (0x21, 0x10, IPV4),
        (0x21, 0x12, IPV4),
        (0x21, 0x32, paths(b"a", b"b")),
    ],
)
def test_connections_that_keep_their_own_addresses(command: int, family: int, block: bytes) -> None:
    assert parse_header(header(command, family, block)) is None


@pytest.mark.parametrize(
    ("command", "family", "block"),
    [
        (0x11, 0x11, IPV4),
        (0x31, 0x11, IPV4),
        (0x22, 0x11, IPV4),
        (0x21, 0x41, IPV4),
        (0x21, 0x13, IPV4),
        (0x21, 0x11, IPV4[:-1]),
        (0x21, 0x21, IPV4),
        (0x21, 0x31, IPV4),
        (0x21, 0x11, IPV4 + b"\4"),
        (0x21, 0x11, IPV4 + b"\4\0"),
        (0x21, 0x11, IPV4 + b"\4\0\1"),
        (0x21, 0x00, b"\4\1\0\0"),
        (0x21, 0x11, IPV4 + field(3, b"abc")),
        (0x21, 0x11, IPV4 + field(3, b"abcd")),
        (0x21, 0x11, IPV4 + field(0x20, b"\1\0\0\0")),
    ],
)
def test_a_header_with_anything_wrong(command: int, family: int, block: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        parse_header(header(command, family, block))


@pytest.mark.parametrize(("client", "secure"), [(0, False), (1, True), (7, True), (6, False)])
def test_tls_between_the_client_and_the_proxy(client: int, secure: bool) -> None:
    about = struct.pack("!BI", client, 0) + field(0x21, b"TLSv1.3") + field(0x22, b"somebody")
    found = parse_header(header(0x21, 0x11, IPV4 + field(4, b"") + field(0x20, about)))
    assert found == ANNOUNCED._replace(secure=secure)


def test_the_checksum() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C
    block = IPV4 + field(4, b"xyz") + field(3, bytes(4)) + field(1, b"h2")
    blank = header(0x21, 0x11, block)
    value = crc32c(blank).to_bytes(4)
    good = blank.replace(field(3, bytes(4)), field(3, value))
    assert parse_header(good) == ANNOUNCED
    assert good != blank
    for at in set(range(16, len(good))) - {good.index(field(3, value))}:
        bad = good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :]
        with pytest.raises(ProxyHeaderError):
            parse_header(bad)


def test_the_longest_header() -> None:
    fixed = SIGNATURE + b"\x21\x11"
    assert header_size(fixed + (MAX_HEADER - 16).to_bytes(2)) == MAX_HEADER
    with pytest.raises(ProxyHeaderError, match="4097 bytes"):
        header_size(fixed + (MAX_HEADER - 15).to_bytes(2))


@given(st.one_of(st.binary(max_size=120), st.binary(max_size=100).map(lambda b: b"PROXY " + b)))
def test_any_line_is_read_or_refused(line: bytes) -> None:
    try:
        found = parse_line(line + b"\r\n")
    except ProxyHeaderError:
        return
    if found is not None:
        ipaddress.ip_address(found.peer.host)


@given(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=300))
def test_any_header_is_read_or_refused(command: int, family: int, block: bytes) -> None:
    try:
        found = parse_header(header(command, family, block))
    except ProxyHeaderError:
        return
    assert found is None or command == 0x21
