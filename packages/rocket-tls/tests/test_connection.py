"""A connection by itself, its client at the other end of a socket pair."""

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

from conftest import PATIENCE, Files
from lines import pattern
from rocket_core import CloseReason, Connection, Peer, State
from rocket_core._connection.budget import Budget
from rocket_core._connection.server_state import ServerState
from rocket_core.extending import WRITE
from rocket_tls import TLSConnection, TLSError, _connection, _wire, load_context
from rocket_tls._fault import TLSFaults

SOMEBODY = Peer("", 0)
OPENSSL = shutil.which("openssl") or ""

needs_openssl = pytest.mark.skipif(not OPENSSL, reason="openssl is not installed")

Ends = tuple[TLSConnection, ssl.SSLSocket]


def connect(
    files: Files, client_context: ssl.SSLContext, ours: socket.socket, theirs: socket.socket
) -> Ends:
    """A connection before its handshake, and its client, which does not block."""
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
    """The same after the handshake."""
    shake_hands(*ends)
    return ends


class MemoryClient:
    """A client whose bytes the test carries."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def shake_hands(self) -> bool:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True


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
        """Have the command do something in TLS, and carry what it says."""
        self.commands.write(letter + b"\n")
        self.commands.flush()
        self.near.sendall(self.far.recv(1 << 16))

    def arrived(self) -> bytes:
        """What the connection has sent."""
        data = b""
        while select.select([self.near], [], [], 0)[0]:
            data += self.near.recv(1 << 16)
        return data


Carried = Callable[[str], tuple[TLSConnection, Middle, IO[bytes]]]


@pytest.fixture
def carried(files: Files) -> Iterator[Carried]:
    """Makes an open connection, the middle, and what the command puts out."""
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
    """Send all of ``data`` over and over, until the client's buffers are full."""
    total = 0
    while (sent := connection.send_now(data)) is not None:
        total += sent
    return total


def fill_raw(connection: TLSConnection) -> int:
    """Leave no room between a connection and its client; how many bytes that takes."""
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


def test_a_receive_decrypts_all_records_that_it_has_got(open_ends: Ends) -> None:
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
        # The first request comes with the end of the handshake: no poller tells of it.
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


def test_the_end_behind_data_is_seen_by_whoever_waits(open_ends: Ends) -> None:
    connection, client = open_ends
    client.send(b"the last words")
    with pytest.raises(ssl.SSLWantReadError):
        client.unwrap()
    assert connection.receive_now(100) == b"the last words"
    assert select.select([connection.descriptor], [], [], 0)[0]
    assert connection.receive_now(100) == b""
    assert connection.receive_now(100) == b""
    assert connection.send_now(b"heard") == 5


def test_connections_that_share_memory_do_not_notice(
    files: Files, client_context: ssl.SSLContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_wire, "_wires", [_wire.Wire()] * len(_wire._wires))
    context = load_context(files.certificate, files.key)
    with ExitStack() as stack:
        connections, clients = [], []
        for _ in range(4):
            ours, theirs = socket.socketpair()
            connections.append(TLSConnection(ours, context, SOMEBODY, SOMEBODY))
            stack.callback(connections[-1].close)
            clients.append((stack.enter_context(theirs), MemoryClient(client_context)))
        # Each a step in turn, and two of the four only a part of what they have.
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


@pytest.mark.parametrize("size", [1000, 1 << 14, 70_000, 1 << 20])
def test_what_is_taken_in_part_is_encrypted_once(narrow_ends: Ends, size: int) -> None:
    connection, client = narrow_ends
    data = pattern(1 << 20)
    # More, less, and the same again, wherever it is in memory.
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
def test_what_openssl_answers_waits_for_a_client_that_does_not_read(carried: Carried) -> None:
    """A refusal of what the client asks for in TLS is sent though nothing else is."""
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
    """While the answer waits, nothing of the client is received, so that there is no second one."""
    connection, middle, _ = carried("-tls1_3")
    connection.host = host = ServerState(output=Budget(1000))
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
def test_a_client_that_asks_again_and_again_without_reading_is_cut(carried: Carried) -> None:
    """All that it asks for arrives at once, so that it is answered before the socket is tried."""
    connection, middle, _ = carried("-tls1_3")
    connection.host = host = ServerState()
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
def test_new_keys_are_used_as_soon_as_the_client_asks(carried: Carried) -> None:
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


def test_what_is_encrypted_and_waits_counts_as_held(open_ends: Ends) -> None:
    connection, client = open_ends
    connection.host = host = ServerState()
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


def test_while_much_is_held_a_record_at_most_is_encrypted_ahead(open_ends: Ends) -> None:
    connection, _ = open_ends
    connection.host = host = ServerState()
    taken = host.output.take(1 << 40)
    assert connection.send_now(bytes(1 << 20))
    assert host.output.held - taken <= 2 * (_connection.RECORD + 256)


@pytest.mark.parametrize("size", [100, 100_000])
def test_failures_of_other_kinds_leave_nothing_to_those_who_share_the_memory(
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


def test_failure_to_receive_leaves_nothing_either(
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


def test_what_somebody_left_in_shared_memory_reaches_nobody(open_ends: Ends) -> None:
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
