"""TLS over loopback, through a whole server, mostly with a single thread."""

from __future__ import annotations

import hashlib
import logging
import queue
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
import trustme

from helpers import (
    Files,
    MemoryClient,
    Serve,
    Served,
    chain_of,
    data_of,
    der_of,
    exchange,
    read_all,
    read_exactly,
    read_line,
    replace_file,
)
from lines import Closes, Lines, pattern
from rocket_core import AddressError, CloseReason, Server, Timeouts
from rocket_core.testing import (
    PATIENCE,
    at_growing_scales,
    eventually,
    many_descriptors,
    resident,
    within,
)
from rocket_tls import CertificateError, CertificateStore, TLSListener

MIB = 1 << 20

CROWD = 300
HANDSHAKE = 2.0
"""Seconds in which the whole crowd must have connected; more on a busy machine."""

HANDSHAKE_MEMORY = 96 * 1024
"""Bytes for each connection: OpenSSL, the objects of the server, and the client in this process."""


class Dripping:
    """A client that sends one byte at a time."""

    def __init__(self, context: ssl.SSLContext, sock: socket.socket) -> None:
        self._sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client = MemoryClient(context)

    def _drip(self) -> Iterator[None]:
        while byte := self._client.outgoing.read(1):
            yield
            self._sock.sendall(byte)

    def shake_hands(self) -> Iterator[None]:
        """Shake hands, and yield before each byte."""
        while not self._client.shake_hands():
            yield from self._drip()
            self._client.receive(self._sock)
        yield from self._drip()

    def exchange(self, line: bytes) -> bytes:
        self._client.tls.write(line)
        for _ in self._drip():
            pass
        return self._client.read(self._sock)


# -- the handshake -----------------------------------------------------------------------------


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_that_verifies_is_served(
    serve: Serve, client_context: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    client_context.minimum_version = client_context.maximum_version = version
    client_context.set_alpn_protocols(["h2", "http/1.1"])

    with serve().connect() as client:
        assert exchange(client, "shout hello") == b"HELLO\n"
        assert client.selected_alpn_protocol() == "http/1.1"
        assert client.compression() is None


def test_the_connection_is_secure_and_knows_its_peer(serve: Serve) -> None:
    served = serve()
    with served.connect() as client:
        host, port = client.getsockname()
        assert exchange(client, "tell secure peer") == f"True {host}:{port}\n".encode()
        assert served.server.listeners[0].scheme == "https"


def test_a_key_may_be_in_the_file_of_its_certificate(
    serve: Serve, tmp_path: Path, leaf: trustme.LeafCert
) -> None:
    both = tmp_path / "both.pem"
    leaf.private_key_and_cert_chain_pem.write_to_path(both)

    assert serve(both, None).certificate() == der_of(leaf)


def test_a_client_that_does_not_know_the_authority_refuses_the_certificate(serve: Serve) -> None:
    served = serve()
    with pytest.raises(ssl.SSLCertVerificationError):
        served.connect(ssl.create_default_context())
    assert served.next_close() is CloseReason.TLS
    assert served.server.statistics().closes == {"TLS error": 1}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_tls_1_1_is_refused(serve: Serve, client_context: ssl.SSLContext) -> None:
    client_context.set_ciphers("ALL:@SECLEVEL=0")
    client_context.minimum_version = ssl.TLSVersion.TLSv1_1
    client_context.maximum_version = ssl.TLSVersion.TLSv1_1
    served = serve()

    with pytest.raises(ssl.SSLError) as raised:
        served.connect(client_context)

    assert raised.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"
    assert served.next_close() is CloseReason.TLS


def test_a_session_is_resumed(serve: Serve, client_context: ssl.SSLContext) -> None:
    client_context.maximum_version = ssl.TLSVersion.TLSv1_2
    served = serve()
    with served.connect() as first:
        session = first.session
    sock = served.connect_plain()
    with client_context.wrap_socket(sock, server_hostname="localhost", session=session) as second:
        assert second.session_reused


@pytest.mark.parametrize(
    "opening", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half"], ids=["silent", "half"]
)
def test_stalled_handshakes_hold_no_thread_and_little_memory(serve: Serve, opening: bytes) -> None:
    with many_descriptors(8 * CROWD):
        at_growing_scales(partial(stall_handshakes, serve, opening))


def stall_handshakes(serve: Serve, opening: bytes, scale: float) -> None:
    limit = HANDSHAKE * scale
    served = serve(timeouts=Timeouts(handshake=limit), threads=4)
    with served.connect() as client, ExitStack() as clients:
        assert exchange(client, "shout hello") == b"HELLO\n"
        before = resident()

        with within(limit):
            stalled = [clients.enter_context(served.connect_plain()) for _ in range(CROWD)]
            for sock in stalled:
                sock.sendall(opening)
            eventually(lambda: served.server.statistics().connections.get("handshake") == CROWD)
            for number in range(100):
                assert exchange(client, f"shout again {number}") == f"AGAIN {number}\n".encode()
            eventually(lambda: all(each.peer is None for each in served.server.activities()))
            statistics = served.server.statistics()
            assert statistics.connections == {"handshake": CROWD, "idle": 1}
            assert (statistics.threads, statistics.stalled, statistics.closes) == (4, 0, {})
            assert resident() - before <= CROWD * HANDSHAKE_MEMORY

        assert [read_all(sock) for sock in stalled] == [b""] * CROWD
        closes = {"handshake timed out": CROWD}
        eventually(lambda: served.server.statistics().closes == closes)
        assert exchange(client, "shout at last") == b"AT LAST\n"


def test_a_handshake_that_takes_too_long_is_ended(serve: Serve) -> None:
    served = serve(timeouts=Timeouts(handshake=0.2))
    sock = served.connect_plain()

    assert read_all(sock) == b""
    assert served.next_close() is CloseReason.HANDSHAKE_TIMEOUT
    assert served.server.statistics().closes == {"handshake timed out": 1}


def test_a_handshake_byte_by_byte_lets_others_be_served(
    serve: Serve, client_context: ssl.SSLContext
) -> None:
    served = serve()
    dripping = Dripping(client_context, served.connect_plain())
    with served.connect() as other:
        for count, _ in enumerate(dripping.shake_hands()):
            if count % 50 == 0:
                assert exchange(other, f"shout {count}") == f"{count}\n".encode()
        assert count > 300
    assert dripping.exchange(b"shout at last\n") == b"AT LAST\n"


def test_a_client_that_leaves_within_the_handshake_is_no_error_of_tls(serve: Serve) -> None:
    served = serve()
    served.connect_plain().close()
    assert served.next_close() is CloseReason.CLIENT


@pytest.mark.parametrize("method", [b"GET", b"POST", b"HEAD"])
def test_plain_http_gets_a_readable_response(serve: Serve, method: bytes) -> None:
    served = serve()
    sock = served.connect_plain()
    sock.sendall(method + b" / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4\r\n\r\nbody")

    answer = read_all(sock)

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"Content-Length: %d" % len(body) in head
    assert body == b"This port speaks TLS; use https://\n"
    assert served.next_close() is CloseReason.TLS
    # No reset, because that makes some systems drop data that has arrived before.
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def test_data_that_is_neither_tls_nor_http_ends_the_connection(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve()
    sock = served.connect_plain()
    sock.sendall(b"HELO\n")  # the server needs this many bytes

    assert b"HTTP" not in read_all(sock)
    assert served.next_close() is CloseReason.TLS
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert str(sock.getsockname()[1]) in caplog.text


# -- what follows it ---------------------------------------------------------------------------


def test_lines_of_one_record_are_all_served(serve: Serve) -> None:
    with serve().connect() as client:
        client.sendall(b"shout a\n" * 2048)  # one record, full
        assert read_exactly(client, 2 * 2048) == b"A\n" * 2048


def test_a_line_over_several_records_is_put_together(serve: Serve) -> None:
    with serve().connect() as client:
        for part in (b"sho", b"ut ", b"a" * 20000, b"b" * 20000):
            client.sendall(part)
        client.sendall(b"\n")
        assert read_line(client) == b"A" * 20000 + b"B" * 20000 + b"\n"


def test_a_body_larger_than_any_buffer_arrives(serve: Serve) -> None:
    body = pattern(5 * MIB)
    with serve().connect() as client:
        client.sendall(b"digest %d\n" % len(body) + body)
        assert read_exactly(client, 32) == hashlib.sha256(body).digest()


@pytest.mark.parametrize("step", [1000, 1 << 20])
def test_a_slow_reader_gets_all_and_holds_no_thread(serve: Serve, step: int) -> None:
    served = serve()
    with served.connect(buffer=4096) as slow, served.connect() as other:
        slow.sendall(b"pattern %d\n" % (5 * MIB))
        assert exchange(other, "shout meanwhile") == b"MEANWHILE\n"
        assert read_exactly(slow, 5 * MIB, step=step) == pattern(5 * MIB)
        assert exchange(slow, "shout again") == b"AGAIN\n"


def test_a_response_below_the_bound_waits_in_the_monitor(serve: Serve) -> None:
    served = serve()
    size = 256 * 1024
    with served.connect(buffer=4096) as slow, served.connect() as other:
        # A second request within the same record, behind a response that is not taken.
        slow.sendall(b"pattern %d\npattern %d\nshout last\n" % (size, size))
        assert exchange(other, "shout meanwhile") == b"MEANWHILE\n"
        assert served.server.statistics().stalled == 0
        assert read_exactly(slow, 2 * size, step=1000) == pattern(size) * 2
        assert read_line(slow) == b"LAST\n"


def test_a_file_is_sent_between_bytes(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(pattern(5 * MIB + 1))
    served = serve()
    with served.connect(buffer=4096) as slow, served.connect() as other:
        slow.sendall(f"file {path}\n".encode())
        assert exchange(other, "shout meanwhile") == b"MEANWHILE\n"
        assert served.server.statistics().stalled == 0
        sent = read_exactly(slow, 5 * MIB + 1 + 13, step=1 << 18)
        assert sent == b"before " + pattern(5 * MIB + 1) + b" after"


# -- the end -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [b"close", b"linger"])
def test_the_end_is_announced_by_close_notify(serve: Serve, command: bytes) -> None:
    with serve().connect() as client:
        client.sendall(command + b"\n")
        # Without a close_notify, this client's last recv raises an error.
        assert read_all(client) == b"closed"


def test_an_idle_connection_that_times_out_ends_with_close_notify(serve: Serve) -> None:
    served = serve(timeouts=Timeouts(keep_alive=0.2))
    with served.connect() as client:
        assert read_all(client) == b""
        assert served.next_close() is CloseReason.KEEP_ALIVE_TIMEOUT


def test_a_response_that_is_cut_short_ends_without_close_notify(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    with serve().connect() as client:
        client.sendall(b"fail\n")
        assert read_exactly(client, 11) == b"half an ans"
        with pytest.raises(ssl.SSLError, match=r"(?i)eof"):
            client.recv(1)
    assert "asked to" in caplog.text


def test_the_last_response_survives_data_that_the_client_still_sends(serve: Serve) -> None:
    served = serve()
    with served.connect() as client:
        client.sendall(b"linger\n" + pattern(200 * 1024))
        assert read_all(client) == b"closed"
        client.sendall(pattern(200 * 1024))
        assert client.unwrap() is not None
    assert served.next_close() is None


def test_a_close_notify_is_answered(serve: Serve) -> None:
    served = serve()
    with served.connect() as client:
        assert exchange(client, "shout hello") == b"HELLO\n"
        client.unwrap()  # waits for the server's close_notify
    assert served.next_close() is CloseReason.CLIENT


def test_a_damaged_record_ends_the_connection(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve()
    with served.connect() as client:
        assert exchange(client, "shout hello") == b"HELLO\n"
        socket.socket.sendall(client, b"\x17\x03\x03\x00\x20" + bytes(32))
        with pytest.raises(ssl.SSLError, match=r"(?i)bad.record.mac"):
            client.recv(1)
        assert served.next_close() is CloseReason.TLS
    assert [record.levelno for record in caplog.records] == [logging.WARNING]


# -- addresses and certificates ----------------------------------------------------------------


def test_a_malformed_address_is_refused(files: Files) -> None:
    with pytest.raises(AddressError):
        TLSListener("localhost", files.certificate, files.key)


def test_a_certificate_that_cannot_be_loaded_is_refused_at_once(files: Files) -> None:
    files.key.unlink()
    with pytest.raises(CertificateError, match="server-key"):
        TLSListener("localhost:0", files.certificate, files.key)


def test_a_unix_socket_speaks_tls_too(
    tmp_path: Path, files: Files, client_context: ssl.SSLContext
) -> None:
    listener = TLSListener(f"unix:{tmp_path / 'socket'}", files.certificate, files.key)
    closes: Closes = queue.SimpleQueue()
    with Server(lambda: Lines(closes), [listener]), socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(str(tmp_path / "socket"))
        with client_context.wrap_socket(sock, server_hostname="localhost") as client:
            assert exchange(client, "shout hello") == b"HELLO\n"


def test_a_store_and_a_key_exclude_each_other(files: Files, leaf: trustme.LeafCert) -> None:
    with pytest.raises(ValueError, match="leave out key"):
        TLSListener("127.0.0.1:0", CertificateStore([data_of(leaf)]), files.key)


# -- certificates replaced on disk --------------------------------------------------------------


def certificates(served: Served, count: int) -> set[bytes]:
    return {served.certificate() for _ in range(count)}


def test_a_replaced_pair_is_served_once_it_belongs_together(
    serve: Serve,
    files: Files,
    ca: trustme.CA,
    leaf: trustme.LeafCert,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "rocket_tls")
    served = serve()
    new = ca.issue_cert("localhost")
    with served.connect() as before:
        replace_file(files.certificate, chain_of(new))
        assert certificates(served, 3) == {der_of(leaf)}
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        assert "does not belong" in caplog.text

        replace_file(files.key, new.private_key_pem.bytes())
        assert certificates(served, 3) == {der_of(new)}
        assert [record.levelno for record in caplog.records] == [logging.ERROR, logging.INFO]
        assert exchange(before, "shout still here") == b"STILL HERE\n"


def test_a_swapped_link_is_noticed(
    serve: Serve, tmp_path: Path, ca: trustme.CA, leaf: trustme.LeafCert
) -> None:
    new = ca.issue_cert("localhost")
    for name, each in (("1", leaf), ("2", new)):
        (tmp_path / name).mkdir()
        each.private_key_and_cert_chain_pem.write_to_path(tmp_path / name / "both.pem")
    live = tmp_path / "live"
    live.symlink_to("1")
    served = serve(live / "both.pem", None)
    assert served.certificate() == der_of(leaf)

    (tmp_path / "next").symlink_to("2")
    (tmp_path / "next").replace(live)

    assert served.certificate() == der_of(new)


def test_a_half_written_file_leaves_the_old_in_service(
    serve: Serve, files: Files, ca: trustme.CA, leaf: trustme.LeafCert
) -> None:
    new = ca.create_child_ca().issue_cert("localhost")
    whole = new.private_key_pem.bytes() + chain_of(new)
    assert whole.count(b"BEGIN CERTIFICATE") == 2
    both = files.certificate
    both.write_bytes(leaf.private_key_pem.bytes() + chain_of(leaf))
    served = serve(both, None)
    # Within the key, the first certificate, and the second, up to its last line.
    second = whole.rindex(b"-----BEGIN CERTIFICATE")
    for size in (0, 100, second - 100, second + 20, len(whole) - 30):
        both.write_bytes(whole[:size])
        assert served.certificate() == der_of(leaf)

    both.write_bytes(whole)
    assert served.certificate() == der_of(new)


def test_a_missing_file_leaves_the_old_in_service(
    serve: Serve, files: Files, leaf: trustme.LeafCert, caplog: pytest.LogCaptureFixture
) -> None:
    served = serve()
    away = files.key.rename(files.key.with_suffix(".away"))
    assert certificates(served, 3) == {der_of(leaf)}
    assert len(caplog.records) == 1
    assert f"{files.key} cannot be read (No such file or directory)" in caplog.text

    away.rename(files.key)
    assert certificates(served, 3) == {der_of(leaf)}
    assert len(caplog.records) == 1


def test_reload_raises_an_error_for_an_invalid_pair(
    serve: Serve, files: Files, ca: trustme.CA, leaf: trustme.LeafCert
) -> None:
    served = serve()
    new = ca.issue_cert("localhost")

    files.certificate.write_bytes(chain_of(new))
    with pytest.raises(CertificateError, match="does not belong"):
        served.listener.reload()
    assert served.certificate() == der_of(leaf)

    files.write(new)
    served.listener.reload()
    assert served.certificate() == der_of(new)


def test_requests_in_records_of_their_own_that_arrive_together(serve: Serve) -> None:
    # A connection that read only one record would find no event for the others.
    served = serve()
    sock = served.connect_plain()
    client = MemoryClient(served.context)
    client.shake_hands_over(sock)
    for _ in range(3):
        for line in (b"shout one\n", b"shout two\n", b"shout three\n"):
            client.tls.write(line)
        sock.sendall(client.outgoing.read())
        response = b""
        while len(response) < 14:
            response += client.read(sock)
        assert response == b"ONE\nTWO\nTHREE\n"
