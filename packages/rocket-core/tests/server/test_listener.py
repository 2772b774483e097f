from __future__ import annotations

import errno
import os
import socket
import stat
import sys
import threading
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import ip_address
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from coresupport import connect, expect_closes, port_of, serving, wait_for, worker
from rocket_core import (
    AddressError,
    BindError,
    Connection,
    Listener,
    Peer,
    Server,
    State,
    TCPAddress,
    Timeouts,
    UnixAddress,
)
from rocket_core._server import eviction
from rocket_core.testing import PATIENCE, Client, Script, eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

IPV6 = pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="no IPv6 here")


def describe(connection: Connection, line: bytes, body: bytes) -> State:
    del line, body
    connection.write(f"{connection.peer} {connection.local}\n".encode())
    return State.IDLE


def refusal(listener: Listener) -> str:
    with pytest.raises(BindError) as caught:
        listener.bind()
    assert "\n" not in str(caught.value)
    return str(caught.value)


# -- TCP -------------------------------------------------------------------------------------------


def test_tcp_listener_knows_its_addresses() -> None:
    listener = Listener("127.0.0.1:0")
    assert listener.address == TCPAddress("127.0.0.1", 0)
    assert listener.scheme == "http"
    with serving(worker(describe), listener) as server:
        assert port_of(listener) > 0
        with connect(server) as client:
            here, there = client.socket.getsockname(), client.socket.getpeername()
            assert client.ask(b"\n").decode().split() == [str(Peer(*here)), str(Peer(*there))]
    assert listener.address == TCPAddress("127.0.0.1", 0)


@IPV6
def test_ipv6_address_accepts_no_ipv4() -> None:
    with serving(worker(describe), Listener("[::1]:0")) as server:
        with connect(server) as client:
            assert client.ask(b"\n").startswith(b"[::1]:")
        sock = server.listeners[0]._socket  # whose port of IPv4 may be another process's
        assert sock is not None
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)


@IPV6
def test_wildcard_of_ipv6_alone() -> None:
    with serving(worker(describe), Listener("[::]:0", ipv6_only=True)) as server:
        sock = server.listeners[0]._socket  # whose port of IPv4 may be another process's
        assert sock is not None
        assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
        with socket.create_connection(("::1", port_of(server.listeners[0])), PATIENCE) as client:
            client.sendall(b"\n")
            assert client.recv(200).startswith(b"[::1]:")


def test_two_servers_listen_on_one_address_if_both_allow_it() -> None:
    with serving(worker(describe), Listener("127.0.0.1:0", reuse_port=True)) as server:
        address = server.listeners[0].address
        with pytest.raises(BindError, match="Address already in use"):
            Listener(address).bind()
        with serving(worker(describe), Listener(address, reuse_port=True)) as other:
            assert other.listeners[0].address == address


def link_local() -> str:
    """Return a link-local address with its zone (``/proc/net/if_inet6``, Linux)."""
    table = Path("/proc/net/if_inet6")
    for line in table.read_text().splitlines() if table.exists() else ():
        digits, _, _, scope, flags, name = line.split()
        if scope == "20" and not int(flags, 16) & 0x48:  # neither tentative nor a duplicate
            return f"{ip_address(bytes.fromhex(digits))}%{name}"
    pytest.skip("no interface has a link-local address")


@IPV6
def test_link_local_address_is_written_with_its_zone() -> None:
    """The address of the listener has its zone; the addresses of a connection have none."""
    host = link_local()
    with serving(worker(describe), Listener(f"[{host}]:0")) as server:
        port = port_of(server.listeners[0])
        assert str(server.listeners[0].address) == f"[{host}]:{port}"
        with socket.create_connection((host, port), PATIENCE) as client:
            client.sendall(b"\n")
            number = host.partition("%")[0]
            assert client.recv(200).decode().split() == [
                f"[{number}]:{client.getsockname()[1]}",
                f"[{number}]:{port}",
            ]


@IPV6
@pytest.mark.parametrize("address", [":0", "[::]:0"])
def test_every_ipv4_and_ipv6_interface(address: str) -> None:
    with serving(worker(describe), Listener(address)) as server:
        port = port_of(server.listeners[0])
        for host in ("127.0.0.1", "::1"):
            with socket.create_connection((host, port), PATIENCE) as client:
                client.sendall(b"\n")
                peer, local = client.recv(200).decode().split()
                assert peer.endswith(f":{client.getsockname()[1]}")
                assert host in local


def test_listener_on_every_ipv4_interface_knows_the_local_address() -> None:
    with serving(worker(describe), Listener("0.0.0.0:0")) as server:
        port = port_of(server.listeners[0])
        with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
            client.sendall(b"\n")
            assert client.recv(200).split()[1] == b"127.0.0.1:%d" % port


def test_host_name_is_resolved() -> None:
    with serving(worker(), Listener("localhost:0")) as server, connect(server) as client:
        assert client.ask(b"hello\n") == b"HELLO\n"


@pytest.mark.parametrize("inherited", [False, True])
def test_responses_are_sent_without_delay(inherited: bool) -> None:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    listener = Listener(sock if inherited else "127.0.0.1:0")
    delays: list[int] = []

    def look(connection: Connection, line: bytes, body: bytes) -> State:
        del line, body
        delays.append(connection._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        connection.write(b"\n")
        return State.IDLE

    with sock, serving(worker(look), listener) as server, connect(server) as client:
        client.ask(b"\n")
    assert delays[0]


# -- refusals --------------------------------------------------------------------------------------


def test_port_in_use_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        assert refusal(Listener(address)) == f"cannot listen on {address}: Address already in use"


def test_address_of_another_machine_is_refused() -> None:
    text = refusal(Listener("192.0.2.1:0"))
    assert text == "cannot listen on 192.0.2.1:0: Cannot assign requested address"


def test_unknown_host_is_refused() -> None:
    assert refusal(Listener("host.invalid:80")).startswith("cannot listen on host.invalid:80: ")
    assert refusal(Listener("a..b:80")).startswith("cannot listen on a..b:80: ")


def test_malformed_address_is_refused() -> None:
    with pytest.raises(AddressError, match="'nowhere' has no port"):
        Listener("nowhere")


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Run without the rights of root."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_directory_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o511)
    path = tmp_path / "socket"
    with ordinary_user():
        text = refusal(Listener(f"unix:{path}"))
    assert text == f"cannot listen on unix:{path}: Permission denied"


def test_bind_error_of_a_server_names_the_address_and_leaves_nothing_bound() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        first = Listener("127.0.0.1:0")
        server = Server(worker(), [first, Listener(taken)])
        with pytest.raises(BindError, match=taken):
            server.start()
        assert port_of(first) == 0
    # Now that the port is free, the same server starts.
    with server, Client(server.listeners[1].address) as client:
        assert client.ask(b"x\n") == b"X\n"


# -- Unix sockets ----------------------------------------------------------------------------------


def test_unix_socket_has_a_file_while_the_server_runs(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    listener = Listener(f"unix:{path}")
    with serving(worker(describe), listener) as server:
        assert listener.address == UnixAddress(path)
        assert stat.S_ISSOCK(path.stat().st_mode)
        with connect(server) as client:
            assert client.ask(b"\n") == f"unix: unix:{path}\n".encode()
    assert not path.exists()


def test_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    assert path.exists()
    with serving(worker(), Listener(f"unix:{path}")) as server, connect(server) as client:
        assert client.ask(b"x\n") == b"X\n"


def test_relative_file_is_removed_after_a_change_of_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    with serving(worker(), Listener("unix:socket")):
        assert (tmp_path / "socket").is_socket()
        monkeypatch.chdir("elsewhere")
    assert not (tmp_path / "socket").exists()


def test_live_unix_socket_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with serving(worker(), Listener(f"unix:{path}")) as server:
        text = refusal(Listener(f"unix:{path}"))
        assert text == f"cannot listen on unix:{path}: Address already in use"
        with connect(server) as client:
            assert client.ask(b"x\n") == b"X\n"


def test_live_unix_socket_with_a_full_backlog_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with ExitStack() as opened:
        other = opened.enter_context(socket.socket(socket.AF_UNIX))
        other.bind(str(path))
        other.listen(0)
        while True:
            waiting = opened.enter_context(socket.socket(socket.AF_UNIX))
            waiting.setblocking(False)
            if waiting.connect_ex(str(path)) == errno.EAGAIN:
                break
        assert "already in use" in refusal(Listener(f"unix:{path}"))
        assert path.exists()


def test_live_datagram_socket_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(path))
        assert "already in use" in refusal(Listener(f"unix:{path}"))
        assert path.exists()


def test_file_that_is_no_socket_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("precious")
    text = refusal(Listener(f"unix:{path}"))
    assert text == f"cannot listen on unix:{path}: the file is not a socket"
    assert path.read_text() == "precious"


def test_symbolic_link_is_refused_and_kept(tmp_path: Path) -> None:
    """The link is refused although it leads to a stale socket."""
    path, left = tmp_path / "link", tmp_path / "socket"
    path.symlink_to(left)
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(left))
    text = refusal(Listener(f"unix:{path}"))
    assert text == f"cannot listen on unix:{path}: the file is not a socket"
    assert path.is_symlink()
    assert left.is_socket()


def test_symbolic_link_to_the_moved_socket_is_kept(tmp_path: Path) -> None:
    path, moved = tmp_path / "socket", tmp_path / "moved"
    with serving(worker(), Listener(f"unix:{path}")):
        path.rename(moved)
        path.symlink_to(moved)
    assert path.is_symlink()
    assert moved.is_socket()


def test_path_that_is_too_long_is_refused(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 200)
    assert refusal(Listener(f"unix:{path}")) == (
        f"cannot listen on unix:{path}: AF_UNIX path too long"
    )


def test_missing_directory_is_refused(tmp_path: Path) -> None:
    text = refusal(Listener(f"unix:{tmp_path}/none/socket"))
    assert text.endswith("/none/socket: No such file or directory")


def test_file_of_a_successor_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with serving(worker(), Listener(f"unix:{path}")):
        path.unlink()
        path.write_text("another's")
    assert path.read_text() == "another's"


# -- inherited sockets -----------------------------------------------------------------------------


def test_inherited_tcp_socket_is_served() -> None:
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    address = TCPAddress(*sock.getsockname())
    with serving(worker(), Listener(sock)) as server, connect(server) as client:
        assert server.listeners[0].address == address
        assert client.ask(b"x\n") == b"X\n"


def test_inherited_unix_socket_keeps_its_file(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    with serving(worker(), Listener(sock)) as server, connect(server) as client:
        assert server.listeners[0].address == UnixAddress(path)
        assert client.ask(b"x\n") == b"X\n"
    assert path.exists()  # it belongs to the process that bound it


# -- accepting -------------------------------------------------------------------------------------


@pytest.fixture
def patient_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Close no idle client to make room for others."""
    monkeypatch.setattr(eviction, "MIN_IDLE", inf)


@pytest.mark.usefixtures("patient_room")
def test_no_client_is_accepted_beyond_max_connections_until_another_leaves() -> None:
    with serving(worker(), max_connections=2) as server, ExitStack() as clients:
        first, second = (clients.enter_context(connect(server)) for _ in range(2))
        assert first.ask(b"a\n") == b"A\n"
        assert second.ask(b"b\n") == b"B\n"
        third = clients.enter_context(connect(server))
        third.send(b"c\n")
        for _ in range(100):
            assert first.ask(b"a\n") == b"A\n"
        assert server.statistics().accepted == 2
        second.close()
        assert third.read_line() == b"C\n"
        assert server.statistics().accepted == 3
        # The server is full again, and there is room again.
        fourth = clients.enter_context(connect(server))
        third.close()
        assert fourth.ask(b"d\n") == b"D\n"
        first.close()
        eventually(lambda: sum(server.statistics().connections.values()) == 1)


@pytest.mark.usefixtures("patient_room")
def test_all_listeners_resume_when_there_is_room() -> None:
    listeners = [Listener("127.0.0.1:0"), Listener("127.0.0.1:0")]
    with Server(worker(), listeners, max_connections=1) as server, ExitStack() as clients:
        first = clients.enter_context(Client(listeners[0].address))
        assert first.ask(b"a\n") == b"A\n"
        others = [clients.enter_context(Client(listener.address)) for listener in listeners]
        for other in others:
            other.send(b"b\n")
        first.close()
        # Either client may come first; each leaves, so that the other gets its turn.
        done: list[bytes] = []

        def finish(other: Client) -> None:
            done.append(other.read_line())
            other.close()

        threads = [threading.Thread(target=finish, args=(other,)) for other in others]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert done == [b"B\n", b"B\n"]
        assert server.statistics().accepted == 3


class Overtaken(Listener):
    """Gets the order to drain before it has looked at its socket for the first time."""

    def _run(self) -> None:
        self.drain()
        super()._run()


def test_backlog_is_accepted_even_if_the_drain_is_noticed_first() -> None:
    listener = Overtaken("127.0.0.1:0")
    listener.bind()
    accepted: list[Connection] = []
    with ExitStack() as clients:
        for _ in range(3):
            clients.enter_context(Client(listener.address))
        listener.start(accepted.append, lambda: False, Timeouts())
        listener.join()
        assert len(accepted) == 3
        for connection in accepted:
            connection.close()


def test_clients_that_keep_coming_do_not_prolong_a_drain() -> None:
    listener = Overtaken("127.0.0.1:0", backlog=3)
    listener.bind()
    with ExitStack() as clients:
        accepted: list[Connection] = []

        def accept(connection: Connection) -> None:
            accepted.append(connection)
            with suppress(OSError):
                clients.enter_context(Client(listener.address))

        clients.enter_context(Client(listener.address))
        listener.start(accept, lambda: len(accepted) > 100, Timeouts())
        listener.join()
        assert len(accepted) == 3
        for connection in accepted:
            connection.close()


def test_clients_that_keep_coming_do_not_delay_a_stop() -> None:
    listener = Listener("127.0.0.1:0")
    listener.bind()
    with ExitStack() as clients:
        accepted: list[Connection] = []

        def accept(connection: Connection) -> None:
            accepted.append(connection)
            clients.enter_context(Client(listener.address))
            if len(accepted) == 2:
                listener.stop()

        clients.enter_context(Client(listener.address))
        ended = threading.Event()
        listener.start(accept, lambda: len(accepted) > 100, Timeouts(), ended=ended.set)
        wait_for(ended)
        listener.join()
        assert len(accepted) == 2
        assert not listener.listening
        for connection in accepted:
            connection.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such a socket reports nothing")
def test_socket_that_accepts_no_more_is_logged_and_tried_again_after_a_pause(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Pausing(Listener):
        def _pause_after(self) -> float:
            if pause := super()._pause_after():
                pauses.append((pause, self.accept_errors))
            return pause

    monkeypatch.setattr("rocket_core._server.listener._BACK_OFF", 0.01)
    pauses: list[tuple[float, int]] = []
    with socket.create_server(("127.0.0.1", 0)) as sock:
        shared = socket.socket(fileno=os.dup(sock.fileno()))  # as another process could have it
        with serving(worker(), Pausing(sock)), shared:
            shared.shutdown(socket.SHUT_RD)
            eventually(lambda: len(pauses) >= 3)
            assert pauses[:3] == [(0.01, 1), (0.01, 2), (0.01, 3)]  # one for each error
            assert "cannot accept on 127.0.0.1:" in caplog.text
            assert "Invalid argument" in caplog.text


class Picky(Listener):
    """Refuses the first clients."""

    refusals: list[Exception]

    def connect(self, sock: socket.socket, peer: Peer, timeouts: Timeouts) -> Connection:
        if self.refusals:
            raise self.refusals.pop(0)
        return super().connect(sock, peer, timeouts)


def test_client_that_cannot_be_connected_is_dropped(caplog: pytest.LogCaptureFixture) -> None:
    listener = Picky("127.0.0.1:0")
    listener.refusals = [ConnectionResetError("gone already"), ValueError("a mistake")]
    with serving(worker(), listener) as server:
        for _ in range(2):
            with connect(server) as client:
                assert client.closed_by_server()
        with connect(server) as client:
            assert client.ask(b"x\n") == b"X\n"
        assert server.statistics().accept_errors == 2
    logged = [record for record in caplog.records if record.exc_info]
    assert len(logged) == 1
    assert "ValueError: a mistake" in caplog.text


class Greeted(Connection):
    """The handshake is complete when the client has sent the line ``hello``."""

    __slots__ = ()

    def handshake(self) -> bool:
        self.fill()
        return self.take_through(b"hello\n") is not None


class GreetedListener(Listener):
    scheme = "greeted"

    def connect(self, sock: socket.socket, peer: Peer, timeouts: Timeouts) -> Connection:
        connection = Greeted(sock, peer, timeouts=timeouts)
        connection.state = State.HANDSHAKE
        return connection


def test_listener_may_make_connections_with_a_handshake() -> None:
    with serving(worker(), GreetedListener("127.0.0.1:0")) as server, connect(server) as client:
        eventually(lambda: server.statistics().connections == {"handshake": 1})
        client.send(b"hel")
        client.send(b"lo\n")
        eventually(lambda: server.statistics().connections == {"idle": 1})
        assert client.ask(b"x\n") == b"X\n"


def test_handshake_that_takes_too_long_is_timed_out() -> None:
    timeouts = Timeouts(handshake=0.05)
    with serving(worker(), GreetedListener("127.0.0.1:0"), timeouts=timeouts) as server:
        with connect(server) as client:
            client.send(b"hel")
            assert client.closed_by_server()
        expect_closes(server, {"handshake timed out": 1})


def test_request_sent_with_the_handshake_is_served() -> None:
    with serving(worker(), GreetedListener("127.0.0.1:0")) as server, connect(server) as client:
        assert client.ask(b"hello\nx\n") == b"X\n"


# -- when descriptors run out ----------------------------------------------------------------------

EXHAUSTED = """
import resource, sys, threading
from coresupport import LineWorker, serving
from rocket_core import State

def answer(connection, line, body):
    connection.write(b"%d\\n" % server.statistics().accept_errors)
    return State.IDLE

resource.setrlimit(resource.RLIMIT_NOFILE, (50, 50))
with serving(lambda: LineWorker(answer), max_connections=1000) as server:
    print(server.listeners[0].address.port, flush=True)
    sys.stdin.readline()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_server_without_descriptors_turns_clients_away_and_recovers() -> None:
    with Script(EXHAUSTED) as script, ExitStack() as clients:
        listener = Listener(f"127.0.0.1:{int(script.read_line())}")
        first = clients.enter_context(Client(listener.address))
        assert first.ask(b"\n") == b"0\n"
        crowd = [clients.enter_context(Client(listener.address)) for _ in range(80)]
        # The server goes on serving its clients, and a new client is turned away.
        eventually(lambda: int(first.ask(b"\n")) > 0, "for accepting to fail")
        told = threading.Event()

        def watch(client: Client) -> None:
            if client.closed_by_server():
                told.set()

        threads = [threading.Thread(target=watch, args=(each,), daemon=True) for each in crowd]
        for thread in threads:
            thread.start()
        wait_for(told)
        for each in crowd:
            each.socket.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(PATIENCE)
        for each in crowd:
            each.close()

        def served_again() -> bool:
            answer = b"0\n"
            with suppress(ConnectionError), Client(listener.address) as late:
                answer = late.ask(b"\n")
            return answer > b"0\n"

        eventually(served_again)
        assert "cannot accept on 127.0.0.1:" in script.finish("stop\n")
