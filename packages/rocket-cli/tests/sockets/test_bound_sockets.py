from __future__ import annotations

import errno
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from ipaddress import ip_address
from pathlib import Path

import pytest

from choosing import choose
from privileges import needs_root, public_path, trap  # noqa: F401 - a fixture
from rocket_cli._errors import CommandError
from rocket_cli._processes.observer import observers
from rocket_cli._settings.bind import parse_bind
from rocket_cli._sockets import bound_sockets
from rocket_cli._sockets.bound_sockets import BoundSocket, close_sockets, is_loopback, open_sockets
from rocket_cli._sockets.systemd_sockets import inherited_socket
from rocket_core import BindError, TCPAddress

IPV6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")
LOOPBACK = "--bind=127.0.0.1:0"


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.0.1", True),
        ("::1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.1.2.3", False),
        ("fe80::1%eth0", False),
        ("", False),
    ],
)
def test_hosts_that_only_this_machine_reaches(host: str, *, loopback: bool) -> None:
    assert is_loopback(host) is loopback


def test_port_that_only_root_may_listen_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        error = PermissionError(errno.EACCES, "Permission denied")
        raise BindError("cannot listen on 127.0.0.1:80: Permission denied") from error

    monkeypatch.setattr(bound_sockets, "bind_socket", refuse)
    with pytest.raises(CommandError) as found:
        open_sockets(choose("--bind", "127.0.0.1:80"), [])
    assert "Permission denied; only root may listen on ports below 1024: " in str(found.value)


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def opened(
    stack: ExitStack, *arguments: str, present: Sequence[BoundSocket] = ()
) -> list[BoundSocket]:
    sockets = open_sockets(choose(*arguments), present)
    stack.callback(close_sockets, sockets)
    return sockets


def test_clients_can_connect_before_the_server_accepts(stack: ExitStack) -> None:
    (bound,) = opened(stack, LOOPBACK)
    assert isinstance(bound.address, TCPAddress)
    assert bound.address.port > 0
    socket.create_connection((bound.address.host, bound.address.port), 30).close()


def answers(bound: BoundSocket, host: str) -> bool:
    assert isinstance(bound.address, TCPAddress)
    try:
        socket.create_connection((host, bound.address.port), 30).close()
    except ConnectionRefusedError:
        return False
    return True


@IPV6
@pytest.mark.parametrize("address", [":0", "[::]:0"])
def test_both_families(stack: ExitStack, address: str) -> None:
    (bound,) = opened(stack, f"--bind={address}")
    assert answers(bound, "127.0.0.1")
    assert answers(bound, "::1")


def is_ipv6_only(bound: BoundSocket) -> bool:
    return bool(bound.socket.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY))


@IPV6
def test_ipv6_only(stack: ExitStack) -> None:
    (bound,) = opened(stack, "--bind=[::]:0", "--ipv6-only")
    assert is_ipv6_only(bound)
    assert answers(bound, "::1")


@IPV6
@pytest.mark.parametrize("other", ["0.0.0.0", "127.0.0.1"])
def test_address_of_each_family_with_the_same_port(stack: ExitStack, other: str) -> None:
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    six, four = opened(stack, f"--bind=[::]:{port}", f"--bind={other}:{port}")
    assert is_ipv6_only(six)
    assert answers(six, "::1")
    assert answers(four, "127.0.0.1")


def test_two_servers_listen_on_one_address_if_both_allow_it(stack: ExitStack) -> None:
    (bound,) = opened(stack, LOOPBACK, "--reuse-port")
    with pytest.raises(CommandError, match="Address already in use"):
        opened(stack, f"--bind={bound.address}")
    opened(stack, f"--bind={bound.address}", "--reuse-port")


def test_location(stack: ExitStack, tmp_path: Path) -> None:
    plain, secure, unix = opened(
        stack, LOOPBACK, "--bind=https://127.0.0.1:0", f"--bind=unix:{tmp_path}/a.sock"
    )
    assert plain.location(certificate=False) == f"http://{plain.address}"
    assert plain.location(certificate=True) == f"https://{plain.address}"
    assert secure.location(certificate=False) == f"https://{secure.address}"
    assert unix.location(certificate=True) == f"unix:{tmp_path}/a.sock"


def test_location_in_a_zone(stack: ExitStack) -> None:
    """The location of a link-local address works for clients, and for ``--bind``."""
    table = Path("/proc/net/if_inet6")
    rows = [line.split() for line in table.read_text().splitlines()] if table.exists() else []
    links = [row for row in rows if row[3] == "20" and not int(row[4], 16) & 0x48]
    if not links:
        pytest.skip("no interface has an address of its link")
    host = f"{ip_address(bytes.fromhex(links[0][0]))}%{links[0][5]}"
    (bound,) = opened(stack, f"--bind=[{host}]:0")
    port = bound.socket.getsockname()[1]
    assert bound.location(certificate=False) == f"http://[{host}]:{port}"
    assert parse_bind(str(bound.bind)) == bound.bind
    inherited = inherited_socket(os.dup(bound.socket.fileno()), None)
    with inherited.socket:
        assert str(inherited.address) == f"[{host}]:{port}"


def test_file_of_a_unix_socket_is_removed(tmp_path: Path) -> None:
    sockets = open_sockets(choose(f"--bind=unix:{tmp_path}/a.sock"))
    assert (tmp_path / "a.sock").is_socket()
    close_sockets(sockets)
    assert not (tmp_path / "a.sock").exists()


def test_present_sockets_are_taken_over(stack: ExitStack, tmp_path: Path) -> None:
    """Of several sockets with the same address, each is taken over once."""
    unix = f"--bind=unix:{tmp_path}/a.sock"
    before = opened(stack, LOOPBACK, LOOPBACK, unix)
    after = opened(stack, unix, LOOPBACK, LOOPBACK, LOOPBACK, present=before)
    assert [each.socket for each in after[:3]] == [
        before[2].socket,
        before[0].socket,
        before[1].socket,
    ]
    assert after[3].socket not in [each.socket for each in before]


def test_scheme_of_a_present_socket_may_change(stack: ExitStack) -> None:
    before = opened(stack, "--bind=http://127.0.0.1:0")
    (bound,) = opened(stack, "--bind=https://127.0.0.1:0", present=before)
    assert bound.socket is before[0].socket
    assert bound.location(certificate=True) == f"https://{bound.address}"


def test_nothing_is_left_open_after_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        name = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(CommandError) as caught:
            open_sockets(choose(f"--bind=unix:{tmp_path}/a.sock", f"--bind={name}"))
    assert name in str(caught.value)
    assert "in use" in str(caught.value)
    assert "another with --bind" in str(caught.value)
    assert not (tmp_path / "a.sock").exists()


def test_unix_socket_in_a_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(CommandError) as caught:
        open_sockets(choose(f"--bind=unix:{tmp_path}/missing/a.sock"))
    assert f"{tmp_path}/missing/a.sock" in str(caught.value)
    assert "a directory that exists" in str(caught.value)


def test_unix_socket_where_a_file_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("keep me")
    with pytest.raises(CommandError, match="not a socket"):
        open_sockets(choose(f"--bind=unix:{path}"))
    assert path.read_text() == "keep me"


@needs_root
@pytest.mark.parametrize("option", ["--bind=", "--admin=", "--metrics="])
def test_file_of_a_socket_that_is_swapped(
    tmp_path: Path, option: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user of the directory replaces the socket by a link as soon as it is bound."""
    directory, secret = trap(tmp_path)
    path = directory / "a.sock"

    class Swapped(socket.socket):
        def listen(self, backlog: int = 0, /) -> None:
            path.unlink()
            path.symlink_to(secret)
            super().listen(backlog)

    monkeypatch.setattr(socket, "socket", Swapped)
    address = str(path) if option == "--admin=" else f"unix:{path}"
    chosen = choose(f"{option}{address}", "--user=nobody")
    if option == "--bind=":
        found = open_sockets(chosen)
    else:
        (task,) = observers(chosen, [])
        found = list(task.sockets)
    close_sockets(found)
    assert (secret.owner(), secret.read_text()) == ("root", "secret")
    assert os.geteuid() == 0


@needs_root
def test_race_for_the_file_of_a_socket(tmp_path: Path) -> None:
    directory, secret = trap(tmp_path)
    path = directory / "a.sock"
    racer = subprocess.Popen([sys.executable, "-c", RACER, str(path), str(secret)])
    chosen = choose(f"--bind=unix:{path}", "--user=nobody")
    try:
        for _ in range(1000):
            with suppress(CommandError):  # the racer was there first
                close_sockets(open_sockets(chosen))
            assert secret.stat().st_uid == 0
    finally:
        racer.kill()
        racer.wait()


RACER = """
import os, pwd, sys
path, secret = sys.argv[1:]
nobody = pwd.getpwnam("nobody")
os.setgroups([])
os.setgid(nobody.pw_gid)
os.setuid(nobody.pw_uid)
while True:
    try:
        os.unlink(path)
        os.symlink(secret, path)
    except OSError:
        pass
    try:
        if os.path.islink(path):
            os.unlink(path)
    except OSError:
        pass
"""


@needs_root
def test_socket_where_only_root_can_make_one(tmp_path: Path) -> None:
    trap(tmp_path)
    for option in ("--bind=unix:", "--admin="):
        chosen = choose(f"{option}{tmp_path}/a.sock", "--user=nobody")
        found = open_sockets(chosen) if "bind" in option else observers(chosen, [])[0].sockets
        assert (tmp_path / "a.sock").owner() == "nobody"
        close_sockets(found)
        assert not (tmp_path / "a.sock").exists()
