from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from processes import refuse
from rocket_cli._sockets.port_user import port_user

pytestmark = pytest.mark.skipif(
    not Path("/proc/net/tcp").exists(), reason="only Linux tells who listens"
)


@pytest.mark.parametrize(("family", "host"), [("AF_INET", "127.0.0.1"), ("AF_INET6", "::1")])
def test_process_that_listens(family: str, host: str) -> None:
    try:
        sock = socket.create_server((host, 0), family=getattr(socket, family))
    except OSError:
        pytest.skip(f"this machine has no {host}")
    with sock:
        found = port_user(sock.getsockname()[1])
    assert found is not None
    assert found.endswith(f"(process {os.getpid()})")


def test_port_without_a_listener() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        assert port_user(sock.getsockname()[1]) is None


def test_error_names_the_process(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        line = refuse(tmp_path, "--bind", "127.0.0.1:{1}".format(*sock.getsockname()))
    assert f"(process {os.getpid()}) listens there: stop it, or choose another" in line
