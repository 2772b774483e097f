from __future__ import annotations

import socket
import sys

import pytest

from rocket_core._system.unsent_bytes import unsent_in_system

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


def test_what_the_client_has_not_taken() -> None:
    server, client = socket.socketpair()
    with server, client:
        assert unsent_in_system(server.fileno()) == 0
        server.sendall(b"x" * 1000)
        assert unsent_in_system(server.fileno()) >= 1000
        client.recv(1000)
        assert unsent_in_system(server.fileno()) == 0


def test_what_is_no_socket() -> None:
    assert unsent_in_system(-1) == 0
