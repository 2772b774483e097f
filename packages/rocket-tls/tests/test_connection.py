"""A connection by itself, its client at the other end of a socket pair."""

from __future__ import annotations

import os
import socket
import ssl
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from conftest import Files
from lines import pattern
from rocket_core import CloseReason, Connection, Peer, State
from rocket_tls import TLSConnection, TLSError, load_context

SOMEBODY = Peer("", 0)

Ends = tuple[TLSConnection, ssl.SSLSocket]


@pytest.fixture
def ends(files: Files, client_context: ssl.SSLContext) -> Iterator[Ends]:
    """A connection before its handshake, and its client, which does not block."""
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    connection = TLSConnection(ours, load_context(files.certificate, files.key), SOMEBODY, SOMEBODY)
    client = client_context.wrap_socket(
        theirs,
        server_hostname="localhost",
        do_handshake_on_connect=False,
        suppress_ragged_eofs=False,
    )
    with client:
        yield connection, client
        connection.close()


@pytest.fixture
def open_ends(ends: Ends) -> Ends:
    """The same after the handshake."""
    connection, client = ends
    while not connection.handshake():
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
    with pytest.raises(ssl.SSLWantReadError):
        client.recv(1)  # takes the session tickets
    return ends


def fill_up(connection: TLSConnection, data: bytes) -> int:
    """Send all of ``data`` over and over, until the client's buffers are full."""
    total = 0
    while (sent := connection.send_now(data)) is not None:
        total += sent
    return total


def read_now(client: ssl.SSLSocket) -> bytes:
    data = b""
    with suppress(ssl.SSLWantReadError):
        while piece := client.recv(1 << 16):
            data += piece
    return data


def test_it_begins_with_the_handshake(ends: Ends) -> None:
    connection, _ = ends
    assert isinstance(connection, Connection)
    assert connection.state is State.HANDSHAKE
    assert connection.secure
    assert not connection.handshake()


def test_a_receive_leaves_nothing_inside_the_tls_layer(open_ends: Ends) -> None:
    connection, client = open_ends
    client.send(b"x" * (1 << 14))
    assert connection.receive_now(100) == b"x" * (1 << 14)
    with pytest.raises(BlockingIOError):
        connection.receive_now(100)


def test_a_receive_too_early_does_not_ask_for_readiness_to_read(open_ends: Ends) -> None:
    # What is parked next may have output to send, and would wait for the wrong event.
    connection, _ = open_ends
    connection.wants = 0
    assert connection.fill() is None
    assert connection.wants == 0


def test_nothing_is_sent_for_nothing(open_ends: Ends) -> None:
    connection, client = open_ends
    assert connection.send_now(b"") == 0
    connection.write(b"")
    assert not connection.unsent
    assert read_now(client) == b""


def test_a_record_that_was_not_taken_is_sent_once(open_ends: Ends) -> None:
    connection, client = open_ends
    data = pattern(1 << 20)
    sent = connection.send_now(data)
    assert sent is not None
    assert 0 < sent < len(data)
    assert connection.send_now(data[sent:]) is None

    received = b""
    while sent < len(data):
        received += read_now(client)
        # Less than was offered before, elsewhere in memory, but no less than the record.
        sent += connection.send_now(bytearray(data[sent : sent + (1 << 14)])) or 0
    assert received + read_now(client) == data


def test_what_is_written_while_a_record_waits_comes_after_it(open_ends: Ends) -> None:
    connection, client = open_ends
    filler = fill_up(connection, b"-" * 1000)
    connection.write(b"-" * 1000)
    connection.write(memoryview(bytearray(b"second ")))
    connection.write(b"third")
    assert connection.unsent

    received = read_now(client)
    while not connection.flush():
        received += read_now(client)
    received += read_now(client)
    assert received[filler:] == b"-" * 1000 + b"second third"


def test_a_large_write_after_a_record_that_waits(open_ends: Ends) -> None:
    connection, client = open_ends
    data = pattern(250_000)  # all of it is kept when not one record is taken
    filler = fill_up(connection, data[: 1 << 14])
    connection.write(data)

    received = read_now(client)
    while not connection.flush():
        received += read_now(client)
    received += read_now(client)
    assert received[filler:] == data


def test_a_file_is_sent_from_its_middle(open_ends: Ends, tmp_path: Path) -> None:
    connection, client = open_ends
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    descriptor = os.open(path, os.O_RDONLY)
    try:
        assert connection.send_file_now(descriptor, 2, 5) == 5
        assert connection.send_file_now(descriptor, 10, 5) == 0
    finally:
        os.close(descriptor)
    assert read_now(client) == b"23456"


def test_a_stream_that_just_ends_has_ended(open_ends: Ends) -> None:
    connection, client = open_ends
    client.send(b"the last words")
    socket.socket.shutdown(client, socket.SHUT_WR)
    assert connection.receive_now(100) == b"the last words"
    assert connection.receive_now(100) == b""


def test_after_a_damaged_record_nothing_more_is_believed(open_ends: Ends) -> None:
    connection, client = open_ends
    socket.socket.send(client, b"\x17\x03\x03\x00\x20" + bytes(32) + b"in the clear")
    with pytest.raises(TLSError, match=r"(?i)bad.record.mac"):
        connection.receive_now(100)
    assert connection.close_reason is CloseReason.TLS
    with pytest.raises(TLSError, match="has ended"):
        connection.receive_now(100)
    with pytest.raises(TLSError, match="has ended"):
        connection.send_now(b"secret")


def test_after_shutting_down_nothing_goes_in_the_clear(open_ends: Ends) -> None:
    connection, client = open_ends
    with pytest.raises(ssl.SSLWantReadError):
        client.unwrap()  # both sides have said goodbye once the server does
    connection.shut_down()
    socket.socket.send(client, b"in the clear")
    with pytest.raises(TLSError, match="has ended"):
        connection.send_now(b"secret")
    with pytest.raises(TLSError, match="has ended"):
        connection.receive_now(100)


def test_shutting_down_is_told_in_tls_and_in_tcp(open_ends: Ends) -> None:
    connection, client = open_ends
    connection.shut_down()
    assert client.recv(1) == b""
    assert socket.socket.recv(client, 1) == b""


def test_after_shutting_down_what_comes_is_discarded(open_ends: Ends) -> None:
    connection, client = open_ends
    connection.shut_down()
    client.send(b"x" * 5000)
    assert not connection.discard()
    client.send(b"x" * 5000)
    socket.socket.shutdown(client, socket.SHUT_WR)
    assert connection.discard()


def test_discarding_while_open_goes_through_tls(open_ends: Ends) -> None:
    connection, client = open_ends
    client.send(b"x" * 5000)
    assert not connection.discard()
    client.send(b"still in step")
    assert connection.receive_now(100) == b"still in step"


def test_aborting_leaves_the_tls_layer_to_its_owner(open_ends: Ends) -> None:
    connection, client = open_ends
    client.send(b"received before")
    connection.abort()
    connection.abort()
    with suppress(OSError):
        connection.receive_now(100)
        assert connection.receive_now(100) == b""
    with pytest.raises(OSError, match=r".+"):
        connection.send_now(b"x")


def test_aborting_what_is_closed_does_nothing(open_ends: Ends) -> None:
    connection, _ = open_ends
    connection.close()
    connection.abort()


@pytest.mark.parametrize("unsent", [False, True])
def test_closing_says_goodbye_unless_something_is_missing(open_ends: Ends, *, unsent: bool) -> None:
    connection, client = open_ends
    if unsent:
        fill_up(connection, b"-" * 1000)
        connection.write(b"-" * 1000)
        read_now(client)  # there is room for a close_notify
    connection.close()
    if unsent:
        with pytest.raises(ssl.SSLError, match=r"(?i)eof"):
            read_now(client)
    else:
        assert client.recv(1) == b""


def test_a_client_that_is_gone_before_is_an_error_of_the_system(files: Files) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()  # with a reset
        accepted, _ = listening.accept()
        with accepted, pytest.raises(OSError, match="not connected"):
            TLSConnection(accepted, load_context(files.certificate, files.key))
