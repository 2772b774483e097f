from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import httpx
import pytest

from conftest import VERSION, Write
from processes import COMMAND, Served
from rocket_cli._errors import CommandError
from rocket_cli._sockets.systemd_sockets import activated_sockets, inherited_socket
from rocket_core.testing import PATIENCE, unused_port


def activate() -> str:
    found = shutil.which("systemd-socket-activate")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("systemd-socket-activate is not installed")
        pytest.skip("systemd-socket-activate is not installed")
    return found


def test_sockets_of_systemd(
    tmp_path: Path, write: Write, certificate: Path, key: Path, client: httpx.Client
) -> None:
    """The sockets replace the addresses of the settings; their names choose the protocols."""
    write("versioned.py", VERSION.format("one"))
    plain, secure = unused_port(), unused_port()
    activated = [
        *(activate(), "--fdname=http:https"),
        *(f"--listen=127.0.0.1:{plain}", f"--listen=127.0.0.1:{secure}"),
        *COMMAND,
    ]
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    arguments = ["--bind", "127.0.0.1:1", *tls, "versioned"]
    with Served(tmp_path, *arguments, command=activated) as served:
        served.wait_for("Listening on 127")
        # The first client has the command started, and is served by it.
        with socket.create_connection(("127.0.0.1", plain), PATIENCE) as first:
            first.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            served.wait_for(f"^Listening on http://127.0.0.1:{plain}$")
            served.wait_for(f"^Listening on https://127.0.0.1:{secure}$")
            assert b"one" in b"".join(iter(lambda: first.recv(4096), b""))
        assert client.get(f"http://127.0.0.1:{plain}").text.startswith("one")
        url = f"https://127.0.0.1:{secure}"
        assert httpx.get(url, verify=False, trust_env=False).text.startswith("one")
        served.stop()


def test_variables_that_are_not_for_this_process() -> None:
    environ = {"LISTEN_FDS": "1", "LISTEN_PID": "1", "LISTEN_FDNAMES": "http"}
    assert activated_sockets(environ) is None
    assert environ == {}
    assert activated_sockets({}) is None


def test_descriptor_that_is_not_a_listening_socket(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        descriptor = os.dup(datagrams.fileno())
        with pytest.raises(CommandError, match="not a listening stream socket: use ListenStream="):
            inherited_socket(descriptor, None)
    with (tmp_path / "file").open("w") as file:
        descriptor = os.dup(file.fileno())
        with pytest.raises(CommandError, match="is not a socket"):
            inherited_socket(descriptor, None)
        os.close(descriptor)
