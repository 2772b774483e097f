from __future__ import annotations

import socket
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rocket_core import Address, AddressError, Peer, TCPAddress, UnixAddress, parse_address
from rocket_core._network.address import address_of, peer_of


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("127.0.0.1:80", TCPAddress("127.0.0.1", 80)),
        ("[::1]:65535", TCPAddress("::1", 65535)),
        (":8000", TCPAddress("", 8000)),
        ("localhost:0", TCPAddress("localhost", 0)),
        ("unix:/run/rocket.sock", UnixAddress(Path("/run/rocket.sock"))),
    ],
)
def test_addresses_are_read_and_written(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        ("localhost", "has no port"),
        ("", "has no port"),
        ("::1:80", "an IPv6 address needs brackets"),
        ("localhost:http", "port 'http' is not a number from 0 to 65535"),
        ("localhost:", "port '' is not"),
        ("localhost:65536", "port '65536' is not"),
        ("localhost:-1", "port '-1' is not"),
        ("localhost:\u0661", "is not a number"),
        ("unix:", "has no path"),
    ],
)
def test_refusals_name_the_address_and_what_is_wrong(text: str, trouble: str) -> None:
    with pytest.raises(AddressError) as caught:
        parse_address(text)
    assert repr(text) in str(caught.value)
    assert trouble in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        address = parse_address(text)
    except AddressError:
        return
    assert isinstance(address, TCPAddress | UnixAddress)


def test_address_of_a_link_has_its_zone() -> None:
    number, name = socket.if_nameindex()[0]
    assert str(address_of(("fe80::7", 80, 0, number))) == f"[fe80::7%{name}]:80"
    assert str(address_of(("fe80::7", 80, 0, 1 << 30))) == f"[fe80::7%{1 << 30}]:80"
    assert str(address_of(("fe80::7", 80, 0, 0))) == "[fe80::7]:80"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("/run/x", "/run/x"),
        ("10.0.0.1", "10.0.0.1"),
        ("/run/\udcff", "/run/\udcff"),
        (b"\0name", "@name"),
    ],
)
def test_address_of_a_unix_socket_has_its_exact_path(name: str | bytes, path: str) -> None:
    assert address_of(name) == UnixAddress(Path(path))


@pytest.mark.parametrize(
    ("address", "peer", "text"),
    [
        (("127.0.0.1", 80), Peer("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80, 0, 0), Peer("::1", 80), "[::1]:80"),
        ("/run/x", Peer("/run/x", 0), "unix:/run/x"),
        ("", Peer("", 0), "unix:"),
        (b"\0name", Peer("@name", 0), "unix:@name"),
        ("10.0.0.1", Peer("./10.0.0.1", 0), "unix:./10.0.0.1"),
        ("fe80::1%eth0", Peer("./fe80::1%eth0", 0), "unix:./fe80::1%eth0"),
        ("/run/\u00fc", Peer("/run/\u00fc", 0), "unix:/run/\u00fc"),
        ("/run/x\n10.0.0.1", Peer("/run/x\\n10.0.0.1", 0), "unix:/run/x\\n10.0.0.1"),
        ("/run/\udcff", Peer("/run/\\udcff", 0), "unix:/run/\\udcff"),
        (b"\0a\x1b[2J", Peer("@a\\x1b[2J", 0), "unix:@a\\x1b[2J"),
    ],
)
def test_peers(address: object, peer: Peer, text: str) -> None:
    assert peer_of(address) == peer
    assert str(peer) == text


def test_peer_of_an_unnamed_unix_socket() -> None:
    left, right = socket.socketpair()
    with left, right:
        assert peer_of(left.getpeername()) == Peer("", 0)
