"""Connections that an application takes over through TLS."""

from __future__ import annotations

import select
import ssl
import time
from contextlib import suppress

from helpers import PATIENCE, Serve, exchange, read_all, read_exactly
from lines import pattern
from rocket_core import CloseReason
from rocket_tls._connection.connection import RECORD


def test_the_descriptor_knows_what_is_decrypted_already(serve: Serve) -> None:
    """A record holds more than one read returns, when the socket has nothing left to report."""
    served = serve()
    client = served.connect()
    assert exchange(client, "echo 10") == b"taken\n"
    message = pattern(16_000)
    client.sendall(message)
    assert read_exactly(client, len(message)) == message
    client.sendall(b"again")
    assert read_exactly(client, 5) == b"again"


def test_both_directions_at_once(serve: Serve) -> None:
    served = serve()
    client = served.connect(buffer=4096)
    assert exchange(client, "echo 65536") == b"taken\n"
    message = pattern(5_000_000)
    client.setblocking(False)  # two threads must not use one SSLSocket
    received = bytearray()
    sent = 0
    until = time.monotonic() + PATIENCE
    while len(received) < len(message):
        assert time.monotonic() < until
        select.select([client], [client] if sent < len(message) else [], [], 1)
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            sent += client.send(message[sent : sent + RECORD])
        with suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
            while data := client.recv(RECORD):
                received += data
    assert received == message


def test_an_upgraded_connection_ends_with_close_notify(serve: Serve) -> None:
    served = serve()
    client = served.connect()
    assert exchange(client, "echo 100") == b"taken\n"
    client.sendall(b"last words")
    assert read_exactly(client, 10) == b"last words"
    served.server.drain()  # ends the incoming stream
    assert read_all(client) == b""  # with a close_notify, or reading would fail
    client.close()
    assert served.next_close() is None  # no other reason than served
    assert served.server.wait(PATIENCE)


def test_a_client_that_leaves_without_close_notify(serve: Serve) -> None:
    served = serve()
    client = served.connect()
    assert exchange(client, "echo 100") == b"taken\n"
    client.close()
    assert served.next_close() in (None, CloseReason.RESET)
    assert served.server.statistics().stalled == 0
