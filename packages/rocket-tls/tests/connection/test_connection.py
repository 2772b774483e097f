"""A connection alone, with its client at the other end of a socket pair."""

from __future__ import annotations

import itertools
import os
import select
import shutil
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

from helpers import Files, MemoryClient, load_context
from lines import pattern
from rocket_core import CloseReason, Connection, Peer, State
from rocket_core._connection.budget import Budget
from rocket_core._connection.server_state import ServerState
from rocket_core.extending import WRITE
from rocket_core.testing import PATIENCE
from rocket_tls import TLSError
from rocket_tls._connection import connection as connection_module
from rocket_tls._connection import memory_wire
from rocket_tls._connection.connection import TLSConnection
from rocket_tls._faults import TLSFaults

SOMEBODY = Peer("", 0)
OPENSSL = shutil.which("openssl") or ""

needs_openssl = pytest.mark.skipif(not OPENSSL, reason="openssl is not installed")

Ends = tuple[TLSConnection, ssl.SSLSocket]


def connect(
    files: Files, client_context: ssl.SSLContext, ours: socket.socket, theirs: socket.socket
) -> Ends:
    """Return a connection before its handshake, and its client, which does not block."""
    theirs.setblocking(False)
    connection = TLSConnection(ours, load_context(files.certificate, files.key), SOMEBODY, SOMEBODY)
    client = client_context.wrap_socket(
        theirs,
        server_hostname="localhost",
        do_handshake_on_connect=False,
        suppress_ragged_eofs=False,
    )
    return connection, client


def shake_hands(connection: TLSConnection, client: ssl.SSLSocket) -> None:
    while not connection.handshake():
        with suppress(ssl.SSLWantReadError):
            client.do_handshake()
    with pytest.raises(ssl.SSLWantReadError):
        client.recv(1)  # takes the session tickets


@pytest.fixture
def ends(files: Files, client_context: ssl.SSLContext) -> Iterator[Ends]:
    """The ends of a socket pair."""
    connection, client = connect(files, client_context, *socket.socketpair())
    with client:
        yield connection, client
        connection.close()


@pytest.fixture
def narrow_ends(files: Files, client_context: ssl.SSLContext) -> Iterator[Ends]:
    """The ends of a socket pair between which less than a record fits, after the handshake.

    It is no pair of TCP sockets: with buffers of this size, TCP takes turns with the timer of its
    delayed acknowledgements, now and then for minutes.
    """
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    connection, client = connect(files, client_context, ours, theirs)
    with client:
        shake_hands(connection, client)
        yield connection, client
        connection.close()


@pytest.fixture
def open_ends(ends: Ends) -> Ends:
    """The ends of a socket pair after the handshake."""
    shake_hands(*ends)
    return ends


@dataclass
class Middle:
    """Carries bytes between a connection and the command ``openssl s_client``.

    Attributes:
        near: the other end of the connection's socket.
        far: leads to the command.
    """

    near: socket.socket
    far: socket.socket
    commands: IO[bytes]

    def ask(self, letter: bytes) -> None:
        """Give the command an order, and carry what it sends."""
        self.commands.write(letter + b"\n")
        self.commands.flush()
        self.near.sendall(self.far.recv(1 << 16))

    def arrived(self) -> bytes:
        """Return what the connection has sent."""
        data = b""
        while select.select([self.near], [], [], 0)[0]:
            data += self.near.recv(1 << 16)
        return data


Carried = Callable[[str], tuple[TLSConnection, Middle, IO[bytes]]]


@pytest.fixture
def carried(files: Files) -> Iterator[Carried]:
    """Returns a function that makes an open connection, the middle, and the command's output."""
    with ExitStack() as stack:

        def start(version: str) -> tuple[TLSConnection, Middle, IO[bytes]]:
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            port = listening.getsockname()[1]
            process = stack.enter_context(
                subprocess.Popen(
                    [OPENSSL, "s_client", version, "-connect", f"127.0.0.1:{port}"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                )
            )
            stack.callback(process.kill)
            assert process.stdin
            assert process.stdout
            ours, near = socket.socketpair()
            stack.enter_context(near)
            far = stack.enter_context(listening.accept()[0])
            far.settimeout(PATIENCE)
            context = load_context(files.certificate, files.key)
            connection = TLSConnection(ours, context, SOMEBODY, SOMEBODY)
            stack.callback(connection.close)
            middle = Middle(near, far, process.stdin)
            while not connection.handshake():
                far.sendall(middle.arrived())
                near.sendall(far.recv(1 << 16))
            far.sendall(middle.arrived())
            return connection, middle, process.stdout

        yield start


def fill_up(connection: TLSConnection, data: bytes) -> int:
    """Send ``data`` again and again until no more fits; return the number of bytes."""
    total = 0
    while (sent := connection.send_now(data)) is not None:
        total += sent
    return total


def fill_raw(connection: TLSConnection) -> int:
    """Fill the buffers between a connection and its client; return the number of bytes."""
    total = 0
    with suppress(BlockingIOError):
        while True:
            total += connection._socket.send(b"-")
    return total


def discard_raw(sock: socket.socket, size: int) -> None:
    while size:
        size -= len(socket.socket.recv(sock, size))


def read_now(client: ssl.SSLSocket) -> bytes:
    data = b""
    with suppress(ssl.SSLWantReadError):
        while piece := client.recv(1 << 16):
            data += piece
    return data


def test_a_connection_begins_with_the_handshake(ends: Ends) -> None:
    connection, _ = ends
    assert isinstance(connection, Connection)
    assert connection.state is State.HANDSHAKE
    assert connection.secure
    assert not connection.handshake()


def complete_handshake(connection: TLSConnection, client: ssl.SSLSocket) -> None:
    """Have the client complete its part of the handshake, and not yet the connection."""
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    assert not connection.handshake()
    client.do_handshake()


def arrived_raw(client: ssl.SSLSocket) -> int:
    """Return how many encrypted bytes have arrived, and leave them there."""
    try:
        return len(socket.socket.recv(client, 1 << 16, socket.MSG_PEEK))
    except BlockingIOError:
        return 0


def test_tickets_go_with_the_response_to_a_request_that_is_there(ends: Ends) -> None:
    connection, client = ends
    complete_handshake(connection, client)
    client.send(b"request")
    assert connection.handshake()
    assert arrived_raw(client) == 0
    assert connection.fill() == 7
    assert connection.send_now(b"response") == 8
    assert client.recv(100) == b"response"
    assert client.session
    assert client.session.has_ticket


@pytest.mark.parametrize("size", [1, 40_000])
def test_tickets_and_a_response_that_is_not_taken_are_sent_once(ends: Ends, size: int) -> None:
    connection, client = ends
    complete_handshake(connection, client)
    client.send(b"request")
    assert connection.handshake()
    assert connection.fill() == 7
    junk = fill_raw(connection)
    response = pattern(size)
    sent = connection.send_now(response) or 0
    assert sent == 0
    discard_raw(client, junk)
    received = b""
    while sent < size:
        sent += connection.send_now(response[sent:]) or 0
        received += read_now(client)
    assert received == response
    assert client.session
    assert client.session.has_ticket


def test_tickets_go_at_once_while_there_is_no_request(ends: Ends) -> None:
    connection, client = ends
    complete_handshake(connection, client)
    assert connection.handshake()
    assert arrived_raw(client) > 0
    assert connection.wants == 0


def test_tickets_go_with_the_close_notify(ends: Ends) -> None:
    connection, client = ends
    complete_handshake(connection, client)
    client.send(b"request")
    assert connection.handshake()
    connection.close_reason = CloseReason.SERVED
    connection.close()
    assert client.recv(100) == b""
    assert client.session
    assert client.session.has_ticket


def test_a_part_of_a_record_behind_the_handshake_keeps_no_ticket_back(
    files: Files, client_context: ssl.SSLContext
) -> None:
    ours, theirs = socket.socketpair()
    context = load_context(files.certificate, files.key)
    client = MemoryClient(client_context)
    with ours, theirs:
        theirs.settimeout(PATIENCE)
        connection = TLSConnection(ours, context, SOMEBODY, SOMEBODY)
        theirs.sendall(client.first_flight())
        assert not connection.handshake()
        client.receive(theirs)
        assert client.shake_hands()
        client.tls.write(b"request")
        flight = client.outgoing.read()
        theirs.sendall(flight[:-9])
        assert connection.handshake()
        client.receive(theirs)
        with pytest.raises(ssl.SSLWantReadError):
            client.tls.read()
        assert client.tls.session
        assert client.tls.session.has_ticket
        theirs.sendall(flight[-9:])
        assert connection.receive_now(100) == b"request"
        connection.close()


def test_in_tls_1_2_the_end_of_the_handshake_is_sent_at_once(
    files: Files, client_context: ssl.SSLContext
) -> None:
    """The client waits for it, although its request may follow without that (false start)."""
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2
    connection, client = connect(files, client_context, *socket.socketpair())
    with client:
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        assert not connection.handshake()
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        assert connection.handshake()
        client.do_handshake()
        connection.close()


def test_receiving_leaves_no_data_inside_the_tls_layer(open_ends: Ends) -> None:
    connection, client = open_ends
    client.send(b"x" * (1 << 14))
    assert connection.receive_now(100) == b"x" * (1 << 14)
    with pytest.raises(BlockingIOError):
        connection.receive_now(100)


def test_receiving_decrypts_every_record_that_has_arrived(open_ends: Ends) -> None:
    connection, client = open_ends
    for number in range(20):
        client.send(b"%d " % number)
    assert connection.receive_now(100) == b"".join(b"%d " % number for number in range(20))
    assert connection.drained
    with pytest.raises(BlockingIOError):
        connection.receive_now(100)


@pytest.mark.parametrize("size", [1, 4, 5, 6, 30, 1000])
def test_a_record_may_come_in_pieces(
    files: Files, client_context: ssl.SSLContext, size: int
) -> None:
    ours, theirs = socket.socketpair()
    connection = TLSConnection(ours, load_context(files.certificate, files.key), SOMEBODY, SOMEBODY)
    theirs.settimeout(PATIENCE)
    client = MemoryClient(client_context)
    with theirs:
        # The first request arrives with the end of the handshake: no event announces it.
        while not connection.handshake():
            if client.shake_hands():
                client.tls.write(b"with the handshake")
            theirs.sendall(client.outgoing.read())
            if connection.handshake():
                break
            client.incoming.write(theirs.recv(1 << 16))
        assert connection.receive_now(100) == b"with the handshake"

        data = pattern(5000)
        client.tls.write(data[:3000])
        client.tls.write(data[3000:])
        ciphertext = client.outgoing.read()
        received = b""
        for at in range(0, len(ciphertext), size):
            theirs.sendall(ciphertext[at : at + size])
            with suppress(BlockingIOError):
                received += connection.receive_now(100)
        assert received == data
        connection.close()


def test_a_close_notify_behind_data_wakes_the_poller(open_ends: Ends) -> None:
    connection, client = open_ends
    client.send(b"the last words")
    with pytest.raises(ssl.SSLWantReadError):
        client.unwrap()
    assert connection.receive_now(100) == b"the last words"
    assert select.select([connection.descriptor], [], [], 0)[0]
    assert connection.receive_now(100) == b""
    assert connection.receive_now(100) == b""
    assert connection.send_now(b"heard") == 5


def test_connections_that_share_memory_do_not_mix(
    files: Files, client_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory_wire, "_wires", [memory_wire.MemoryWire()] * len(memory_wire._wires))
    context = load_context(files.certificate, files.key)
    with ExitStack() as stack:
        connections, clients = [], []
        for _ in range(4):
            ours, theirs = socket.socketpair()
            connections.append(TLSConnection(ours, context, SOMEBODY, SOMEBODY))
            stack.callback(connections[-1].close)
            clients.append((stack.enter_context(theirs), MemoryClient(client_context)))
        # Each client takes a step in turn; it sends its message in two parts.
        waiting = set(range(4))
        while waiting:
            for number in sorted(waiting):
                sock, client = clients[number]
                client.shake_hands()
                data = client.outgoing.read()
                sock.sendall(data[:100])
                done = connections[number].handshake()
                if data[100:]:
                    sock.sendall(data[100:])
                    done = connections[number].handshake()
                if done:
                    waiting.remove(number)
                if select.select([sock], [], [], 0)[0]:
                    client.incoming.write(sock.recv(1 << 16))

        for number, (sock, client) in enumerate(clients):
            client.tls.write(b"from %d" % number * 1000)
            sock.sendall(client.outgoing.read(3000))
            assert connections[number].fill() is None
        damaged, _ = clients[0]
        damaged.sendall(b"-" * 10_000)
        with pytest.raises(TLSError, match=r"(?i)bad.record.mac"):
            connections[0].receive_now(100)
        for number, (sock, client) in list(enumerate(clients))[:0:-1]:
            sock.sendall(client.outgoing.read())
            assert connections[number].receive_now(100) == b"from %d" % number * 1000
            assert connections[number].send_now(b"to %d" % number) == 4
            client.incoming.write(sock.recv(1 << 16))
            assert client.tls.read() == b"to %d" % number


def test_receiving_too_early_does_not_ask_for_readiness_to_read(open_ends: Ends) -> None:
    # What is parked next may have output to send, and would wait for the wrong event.
    connection, _ = open_ends
    connection.wants = 0
    assert connection.fill() is None
    assert connection.wants == 0


def test_sending_no_bytes_sends_no_record(open_ends: Ends) -> None:
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
        # Less data than before, elsewhere in memory, but at least the record.
        sent += connection.send_now(bytearray(data[sent : sent + (1 << 14)])) or 0
    assert received + read_now(client) == data


@pytest.mark.parametrize("size", [1000, 1 << 14, 70_000, 1 << 20])
def test_data_that_is_taken_in_part_is_encrypted_once(narrow_ends: Ends, size: int) -> None:
    connection, client = narrow_ends
    data = pattern(1 << 20)
    # More, less and the same data, at any place in memory.
    offers = itertools.cycle((size, size // 3, 1, size))
    sent, received = 0, b""
    while len(received) < len(data):
        while sent < len(data):
            taken = connection.send_now(bytearray(data[sent : sent + next(offers)]))
            if taken is None:
                break
            sent += taken
        select.select([client], [], [], PATIENCE)
        received += read_now(client)
    assert received == data


def test_a_record_that_waits_does_not_keep_from_receiving(narrow_ends: Ends) -> None:
    connection, client = narrow_ends
    data = pattern(1 << 18)
    sent = connection.send_now(data) or 0
    assert sent < len(data)
    client.send(b"meanwhile")
    select.select([connection.descriptor], [], [], PATIENCE)
    assert connection.receive_now(100) == b"meanwhile"
    assert not connection.wants
    received = b""
    while len(received) < len(data):
        sent += connection.send_now(data[sent:]) or 0
        select.select([client], [], [], PATIENCE)
        received += read_now(client)
    assert received == data


def test_data_written_while_a_record_waits_comes_after_it(open_ends: Ends) -> None:
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


def test_a_handshake_waits_for_a_client_that_does_not_read(ends: Ends) -> None:
    connection, client = ends
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    junk = fill_raw(connection)
    assert not connection.handshake()
    assert connection.wants == WRITE
    connection.wants = 0
    assert not connection.handshake()
    assert connection.wants == WRITE
    discard_raw(client, junk)
    shake_hands(connection, client)
    client.send(b"hello")
    assert connection.receive_now(100) == b"hello"


@needs_openssl
def test_an_alert_waits_for_a_client_that_does_not_read(carried: Carried) -> None:
    """OpenSSL refuses a request of the client, and the alert is sent although no data is."""
    connection, middle, _ = carried("-tls1_2")
    junk = fill_raw(connection)
    middle.ask(b"R")  # renegotiation
    for _ in range(2):
        assert connection.fill() is None
        assert connection.wants == WRITE
    connection.wants = 0
    discard_raw(middle.near, junk)
    assert connection.fill() is None
    assert connection.wants == 0
    assert middle.arrived()[:3] == b"\x15\x03\x03"  # an alert


@needs_openssl
def test_one_answer_is_enough_for_a_client_that_does_not_read(carried: Carried) -> None:
    """While an answer waits, nothing is received from the client, so there is no second answer."""
    connection, middle, _ = carried("-tls1_3")
    connection.server = host = ServerState(output=Budget(1000))
    junk = fill_raw(connection)
    for _ in range(2):  # OpenSSL answers the first when it has read the second
        middle.ask(b"K")
    assert connection.fill() is None
    assert connection.wants == WRITE
    held = host.output.held
    assert 0 < held < 100
    for _ in range(50):
        middle.ask(b"K")
        assert connection.fill() is None
        assert connection.wants == WRITE
    assert host.output.held == held
    assert host.output.ample
    discard_raw(middle.near, junk)
    connection.wants = 0
    assert connection.fill() is None
    assert host.output.held == connection.wants == 0


@needs_openssl
def test_a_client_that_keeps_asking_without_reading_is_disconnected(carried: Carried) -> None:
    """All requests arrive at once, so OpenSSL answers them before the socket is tried."""
    connection, middle, _ = carried("-tls1_3")
    connection.server = host = ServerState()
    connection._faults = faults = TLSFaults()
    fill_raw(connection)
    for _ in range(100):
        middle.ask(b"K")
    with pytest.raises(TLSError, match="takes no answer"):
        connection.fill()
    assert connection.close_reason is CloseReason.TLS
    assert faults.counts() == {"answers not taken": 1}
    connection.close()
    assert host.output.held == 0


@needs_openssl
def test_new_keys_are_used_once_the_client_asks(carried: Carried) -> None:
    connection, middle, output = carried("-tls1_3")
    middle.ask(b"K")
    assert connection.fill() is None
    assert connection.send_now(b"with the new keys\n") == 18
    middle.far.sendall(middle.arrived())
    assert any(line.endswith(b"with the new keys\n") for line in output)


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


def test_a_file_that_becomes_shorter_ends_while_a_part_of_it_waits(
    open_ends: Ends, tmp_path: Path
) -> None:
    connection, _ = open_ends
    path = tmp_path / "file"
    path.write_bytes(bytes(1 << 20))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        sent = 0
        while taken := connection.send_file_now(descriptor, sent, 1 << 20):
            sent += taken
        assert taken is None
        os.truncate(path, sent)
        assert connection.send_file_now(descriptor, sent, (1 << 20) - sent) == 0
    finally:
        os.close(descriptor)


def test_encrypted_output_that_waits_counts_toward_the_budget(open_ends: Ends) -> None:
    connection, client = open_ends
    connection.server = host = ServerState()
    data = bytes(1 << 20)
    sent = connection.send_now(data) or 0
    waiting = host.output.held
    assert waiting > 0
    read_now(client)
    connection.send_now(data[sent : sent + (1 << 14)])
    assert host.output.held != waiting
    fill_up(connection, data)
    assert host.output.held > 0
    connection.close()
    assert host.output.held == 0


def test_over_the_budget_one_record_at_most_is_encrypted_ahead(open_ends: Ends) -> None:
    connection, _ = open_ends
    connection.server = host = ServerState()
    taken = host.output.take(1 << 40)
    assert connection.send_now(bytes(1 << 20))
    assert host.output.held - taken <= 2 * (connection_module.RECORD + 256)


@pytest.mark.parametrize("size", [100, 100_000])
def test_an_error_while_sending_leaves_nothing_in_shared_memory(
    open_ends: Ends, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    connection, client = open_ends
    wire, tls = connection._wire, connection._tls

    def fail(*_: object) -> int:
        raise MemoryError

    monkeypatch.setattr(tls, "write", fail)
    with pytest.raises(MemoryError):
        connection.send_now(bytes(size))
    assert not wire.lock.locked()
    assert wire.incoming.pending + wire.outgoing.pending == 0
    with pytest.raises(TLSError, match="has ended"):
        connection.send_now(b"no record may be missing before this")
    assert read_now(client) == b""


def test_an_error_while_receiving_leaves_nothing_in_shared_memory(
    open_ends: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, client = open_ends
    client.send(b"hello")

    def fail(*_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(connection._tls, "read", fail)
    with pytest.raises(MemoryError):
        connection.receive_now(100)
    assert not connection._wire.lock.locked()
    assert not connection._wire.incoming.pending
    with pytest.raises(TLSError, match="has ended"):
        connection.receive_now(100)


def test_data_left_in_shared_memory_reaches_no_other_client(open_ends: Ends) -> None:
    connection, client = open_ends
    wire = connection._wire
    for data in (b"short", pattern(40_000)):
        for memory in (wire.incoming, wire.outgoing):
            memory.write(b"foreign" * 1000)
        assert connection.send_now(data) == len(data)
        assert read_now(client) == data
        client.send(data[:1000])
        wire.incoming.write(b"foreign")
        assert connection.receive_now(1000) == data[:1000]


def test_the_end_of_tcp_is_the_end_of_the_stream(open_ends: Ends) -> None:
    connection, client = open_ends
    client.send(b"the last words")
    socket.socket.shutdown(client, socket.SHUT_WR)
    assert connection.receive_now(100) == b"the last words"
    assert connection.receive_now(100) == b""


def test_after_a_damaged_record_the_connection_is_unusable(open_ends: Ends) -> None:
    connection, client = open_ends
    socket.socket.send(client, b"\x17\x03\x03\x00\x20" + bytes(32) + b"in the clear")
    with pytest.raises(TLSError, match=r"(?i)bad.record.mac"):
        connection.receive_now(100)
    assert connection.close_reason is CloseReason.TLS
    with pytest.raises(TLSError, match="has ended"):
        connection.receive_now(100)
    with pytest.raises(TLSError, match="has ended"):
        connection.send_now(b"secret")


def test_after_shutting_down_nothing_is_sent_or_received_unencrypted(open_ends: Ends) -> None:
    connection, client = open_ends
    with pytest.raises(ssl.SSLWantReadError):
        client.unwrap()  # after the close_notify of the server, both sides have sent one
    connection.shut_down()
    socket.socket.send(client, b"in the clear")
    with pytest.raises(TLSError, match="has ended"):
        connection.send_now(b"secret")
    with pytest.raises(TLSError, match="has ended"):
        connection.receive_now(100)


def test_shutting_down_sends_close_notify_and_fin(open_ends: Ends) -> None:
    connection, client = open_ends
    connection.shut_down()
    assert client.recv(1) == b""
    assert socket.socket.recv(client, 1) == b""


def test_after_shutting_down_incoming_data_is_discarded(open_ends: Ends) -> None:
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
def test_closing_sends_close_notify_unless_output_is_missing(
    open_ends: Ends, *, unsent: bool
) -> None:
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


def test_a_client_that_has_left_before_raises_an_oserror(files: Files) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()  # with a reset
        accepted, _ = listening.accept()
        with accepted, pytest.raises(OSError, match="not connected"):
            TLSConnection(accepted, load_context(files.certificate, files.key))
