from __future__ import annotations

import socket

from rocket_core._system.unread_bytes import has_arrived
from rocket_core.testing import eventually


def test_bytes_that_have_arrived() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        client = socket.create_connection(listening.getsockname())
        server, _ = listening.accept()
    with client, server:
        assert not has_arrived(server.fileno())
        client.send(b"x" * 256)  # the lowest byte of the number is zero
        eventually(lambda: has_arrived(server.fileno()))
        assert server.recv(256) == b"x" * 256
        assert not has_arrived(server.fileno())
        client.close()
        assert server.recv(1) == b""
        assert not has_arrived(server.fileno())


def test_a_closed_descriptor_fails_when_it_is_read() -> None:
    with socket.socket() as sock:
        descriptor = sock.fileno()
    assert has_arrived(-1)
    assert has_arrived(descriptor)
