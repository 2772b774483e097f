"""A listener reads the headers of the PROXY protocol from real sockets."""

from __future__ import annotations

import logging
import socket
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coresupport import connect, expect_closes, peeked, serving, states, worker
from proxyheaders import field, header, inet, paths
from rocket_core import Connection, Listener, State, Timeouts
from rocket_core._connection.proxy_preamble import ProxyPreamble
from rocket_core._errors import ProxyHeaderError
from rocket_core._system.rare_log import RareLog
from rocket_core.testing import eventually

LINE = b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
HEADER = header(0x21, 0x11, inet(("192.0.2.1", 56324), ("198.51.100.7", 443)))
LONG = header(0x21, 0x11, HEADER[16:] + field(4, b"\n" * 3000))
ANSWER = b"192.0.2.1:56324 198.51.100.7:443 False "


def describe(connection: Connection, line: bytes, body: bytes) -> State:
    del body
    text = f"{connection.peer} {connection.local} {connection.secure} {connection.proxy} "
    connection.write(text.encode() + line + b"\n")
    return State.IDLE


def listener(*networks: str) -> Listener:
    return Listener("127.0.0.1:0", proxy_protocol=networks or ["127.0.0.0/8"])


@pytest.mark.parametrize("preamble", [LINE, HEADER, LONG], ids=["line", "header", "long"])
def test_worker_sees_the_client_that_the_header_announces(preamble: bytes) -> None:
    with serving(worker(describe), listener()) as server, connect(server) as client:
        answer = ANSWER + client.name.encode()
        assert client.ask(preamble + b"one\n") == answer + b" one\n"
        assert client.ask(b"two\n") == answer + b" two\n"


@pytest.mark.parametrize("preamble", [LINE, HEADER], ids=["line", "header"])
def test_header_may_come_byte_by_byte(preamble: bytes) -> None:
    with serving(worker(describe), listener()) as server, connect(server) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        eventually(lambda: states(server) == {"handshake": 1})
        (connection,) = server._registry.snapshot()
        arriving = connection.preamble
        assert arriving is not None
        for at in range(len(preamble) - 1):
            client.send(preamble[at : at + 1])
            eventually(lambda end=at + 1: arriving._data == preamble[:end])  # type: ignore[misc]
            assert states(server) == {"handshake": 1}
        client.send(preamble[-1:])
        eventually(lambda: states(server) == {"idle": 1})
        assert client.ask(b"one\n").endswith(b" one\n")


@pytest.mark.parametrize("preamble", [LINE, HEADER, LONG], ids=["line", "header", "long"])
def test_bytes_behind_the_header_stay_in_the_socket(
    preamble: bytes, pair: tuple[Connection, socket.socket]
) -> None:
    connection, client = pair
    connection.expect(ProxyPreamble(RareLog(logging.getLogger("test"))))
    for piece in (preamble[:5], preamble[5:20], preamble[20:] + b"PROXY \n behind\n"):
        assert not connection.begin()
        client.sendall(piece)
        eventually(lambda: peeked(connection))
    eventually(connection.begin)
    assert connection.buffered == 0
    assert peeked(connection) == b"PROXY \n behind\n"


def test_received_part_of_a_header_is_taken_and_wakes_no_thread_again(
    pair: tuple[Connection, socket.socket],
) -> None:
    connection, client = pair
    connection.expect(ProxyPreamble(RareLog(logging.getLogger("test"))))
    client.sendall(LINE[:-1])
    eventually(lambda: peeked(connection))
    eventually(lambda: not connection.begin() and not peeked(connection))


def test_second_header_is_an_ordinary_request() -> None:
    with serving(worker(describe), listener()) as server, connect(server) as client:
        assert client.ask(LINE + b"one\n").startswith(ANSWER)
        second = LINE.replace(b"192", b"193")
        answer = client.ask(second)
        assert answer.startswith(ANSWER)
        assert answer.endswith(second)


@pytest.mark.parametrize(
    "preamble", [b"PROXY UNKNOWN\r\n", header(0x20, 0, b""), header(0x21, 0, b"")]
)
def test_header_without_addresses_leaves_the_address_of_the_proxy(preamble: bytes) -> None:
    with serving(worker(describe), listener()) as server, connect(server) as client:
        host, port = client.socket.getpeername()
        expected = f"{client.name} {host}:{port} False None one\n".encode()
        assert client.ask(preamble + b"one\n") == expected


def test_header_may_announce_unix_sockets(tmp_path: Path) -> None:
    path = tmp_path / "proxied"
    here = Listener(f"unix:{path}", proxy_protocol=["unix"])
    made = header(0x21, 0x31, paths(b"/run/client", b"/run/front"))
    with serving(worker(describe), here) as server, connect(server) as client:
        answer = client.ask(made + b"one\n")
        assert answer == b"unix:/run/client unix:/run/front False unix: one\n"


def test_tls_at_the_proxy_makes_a_connection_secure() -> None:
    about = field(0x20, b"\1\0\0\0\0")
    made = header(0x21, 0x11, HEADER[16:] + about)
    with serving(worker(describe), listener()) as server, connect(server) as client:
        assert client.ask(made + b"one\n").startswith(ANSWER.replace(b"False", b"True"))


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"G",
        b"\x16\x03\x01",
        b"PROXX",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\n",
        b"PROXY UNKNOWN" + b" " * 94,
        b"PROXY UNKNOWN" + b" " * 93 + b"\r\n",
        HEADER[:11] + b"x",
        HEADER[:12] + b"\x31\x11\0\0",
        HEADER[:14] + b"\xff\xff",
        HEADER[:15] + b"\0" + HEADER[16:],
    ],
)
def test_connection_without_a_valid_header_is_closed(
    data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with serving(worker(describe), listener()) as server, connect(server) as client:
        name = client.name
        client.send(data)
        assert client.closed_by_server()
        expect_closes(server, {"PROXY header error": 1})
    assert [each.levelname for each in caplog.records] == ["WARNING"]
    assert f"closed {name}: no PROXY protocol header: " in caplog.text


def test_scanner_does_not_fill_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    with serving(worker(describe), listener()) as server:
        for _ in range(5):
            with connect(server) as client:
                client.send(b"GET / HTTP/1.1\r\n")
                assert client.closed_by_server()
        expect_closes(server, {"PROXY header error": 5})
    assert len(caplog.records) == 1


def test_only_a_header_that_is_cut_short_counts_as_an_error() -> None:
    with serving(worker(describe), listener()) as server:
        for data, counted in ((b"", {"client closed": 1}), (LINE[:-1], {"PROXY header error": 1})):
            before = server.statistics().closes
            with connect(server) as client:
                client.send(data)
                client.half_close()
                assert client.closed_by_server()
            expect_closes(server, {**before, **counted})


@pytest.mark.parametrize("data", [b"", LINE[:8], LINE[:-1], HEADER[:20]])
def test_header_that_takes_too_long_is_timed_out(data: bytes) -> None:
    timeouts = Timeouts(handshake=0.05)
    with serving(worker(describe), listener(), timeouts=timeouts) as server:
        with connect(server) as client:
            client.send(data)
            assert client.closed_by_server()
        expect_closes(server, {"handshake timed out": 1})


def test_clients_without_a_header_hold_no_thread() -> None:
    with serving(worker(describe), listener(), threads=1) as server:
        slow = [connect(server) for _ in range(20)]
        for each in slow:
            each.send(LINE[:20])
        with connect(server) as client:
            assert client.ask(LINE + b"one\n").startswith(ANSWER)
        for each in slow:
            assert each.ask(LINE[20:] + b"two\n").startswith(ANSWER)
            each.close()


def test_only_proxies_may_connect(caplog: pytest.LogCaptureFixture) -> None:
    with serving(worker(describe), listener("10.0.0.0/8", "unix")) as server:
        for _ in range(3):
            with connect(server) as client:
                assert client.closed_by_server()
        assert server.statistics().refused == 3
        assert server.statistics().accepted == 0
    assert [each.levelname for each in caplog.records] == ["WARNING"]
    assert "its address is not in the networks of proxy_protocol" in caplog.text


def test_listener_needs_valid_networks_of_proxies() -> None:
    with pytest.raises(ValueError, match="needs the network of a proxy"):
        Listener("127.0.0.1:0", proxy_protocol=[])
    with pytest.raises(ValueError, match="'here' is not a network"):
        Listener("127.0.0.1:0", proxy_protocol=["here"])


def test_without_the_option_a_header_is_a_request_like_any_other() -> None:
    with serving(worker(describe)) as server, connect(server) as client:
        assert client.ask(LINE).startswith(client.name.encode())


@given(
    st.sampled_from([LINE, HEADER, b"PROXY UNKNOWN\r\n", header(0x20, 0, b"")]),
    st.lists(st.integers(0, 80)),
    st.binary(max_size=40),
)
def test_header_in_any_pieces_is_complete_at_its_last_byte(
    preamble: bytes, cuts: list[int], rest: bytes
) -> None:
    here, there = socket.socketpair()
    with there:
        connection = Connection(here)
        connection.expect(ProxyPreamble(RareLog(logging.getLogger("test"))))
        data = preamble + rest
        bounds = [0, *sorted(min(each, len(data)) for each in cuts), len(data)]
        done = False
        for start, end in pairwise(bounds):
            there.sendall(data[start:end])
            done = done or connection.begin()
            assert done == (end >= len(preamble))
        assert peeked(connection) == rest
        connection.close()


@given(st.binary(min_size=1, max_size=200))
def test_bytes_without_a_signature_are_never_a_header(data: bytes) -> None:
    here, there = socket.socketpair()
    with there:
        connection = Connection(here)
        connection.expect(ProxyPreamble(RareLog(logging.getLogger("test"))))
        there.sendall(data)
        try:
            complete = connection.begin()
        except ProxyHeaderError:
            complete = False
        assert not complete or data.startswith((b"PROXY ", HEADER[:12]))
        connection.close()
