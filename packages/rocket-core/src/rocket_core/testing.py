"""Tools for the tests of servers: a client, slow connections, a server in another process.

They need the standard library only, and no particular test runner. A condition that is not met
raises `AssertionError`. A test that the system does not allow raises `unittest.SkipTest`, which
unittest and pytest report as skipped.
"""

from __future__ import annotations

import json
import os
import random
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from unittest import SkipTest

from rocket_core._connection.connection import Connection
from rocket_core._connection.timeouts import Timeouts
from rocket_core._network.address import Address, Peer, TCPAddress, UnixAddress, parse_address
from rocket_core._server.listener import Listener
from rocket_core._server.server import Server

__all__ = [
    "NARROW",
    "PATIENCE",
    "Answer",
    "Client",
    "Load",
    "NarrowListener",
    "Report",
    "Script",
    "ServerProcess",
    "TooSlow",
    "at_growing_scales",
    "descriptors",
    "eventually",
    "listening",
    "many_descriptors",
    "report_to_parent",
    "resident",
    "unused_port",
    "within",
]

PATIENCE: Final = 60.0
"""Seconds after which an operation that waits for an event fails.

A test that passes never waits for so long, however busy the machine is.
"""

NARROW: Final = 16 * 1024
"""Bytes of the socket buffers of a connection that takes little at once."""

_SCALES: Final = (1.0, 3.0, 9.0)
_PIECE: Final = 64 * 1024
_BODILESS: Final = frozenset({204, 304})
_LISTENS: Final = 10  # TCP_LISTEN in Linux's net/tcp_states.h


def eventually(condition: Callable[[], object], what: str = "") -> None:
    """Return as soon as ``condition`` returns something true.

    Raises `AssertionError`, which says ``what`` was awaited, after `PATIENCE` seconds.
    """
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"waited in vain {what or 'for a condition'}")
        time.sleep(0.002)


class TooSlow(Exception):  # noqa: N818 - names what the machine is
    """The machine was too slow for the times of a test, which has therefore shown nothing."""


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raise `TooSlow` if the block takes more than ``seconds``, whatever else it raises then."""
    began = time.monotonic()
    try:
        yield
    except Exception as error:
        if time.monotonic() - began > seconds:
            raise TooSlow from error
        raise
    if time.monotonic() - began > seconds:
        raise TooSlow


def at_growing_scales(test: Callable[[float], None]) -> None:
    """Call ``test`` with a scale for all its times, which grows as long as it raises `TooSlow`.

    So a test may assert what happens before a time-out of the server, which a busy machine delays:
    the assertions count if the machine has kept the times. Raises `AssertionError` if it has kept
    none of them.
    """
    for scale in _SCALES:
        try:
            return test(scale)
        except TooSlow:
            continue
    raise AssertionError(
        f"the machine is too slow, even for times that are {scale:g} times as long"
    )


# -- what the system knows of this process ---------------------------------------------------------


@contextmanager
def many_descriptors(count: int) -> Iterator[None]:
    """Let this process, and those that it starts, open ``count`` descriptors meanwhile.

    Raises `unittest.SkipTest` where the system allows fewer.
    """
    import resource  # noqa: PLC0415 - not on every platform

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        raise SkipTest(f"the system allows {hard} open files, and this takes {count}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def descriptors() -> int:
    """The number of descriptors that this process has open (Linux: proc_pid_fd(5))."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def resident() -> int:
    """The bytes of memory that this process occupies (Linux: proc_pid_statm(5)), elsewhere 0."""
    try:
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    except FileNotFoundError:
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def unused_port() -> int:
    """A port of 127.0.0.1 on which nothing listens, for a program that must be told its port.

    The port is below those that the system gives to connections and to sockets bound to port 0
    (Linux: ip_local_port_range in ip(7)), so that no other program gets it by chance before this
    one uses it. Bind a server of the test's own to port 0 instead.
    """
    try:
        limits = Path("/proc/sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii")
        first = int(limits.split()[0])
    except FileNotFoundError:
        first = 32768
    while True:
        port = random.randrange(first // 2, first)  # noqa: S311 - no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def listening(port: int) -> set[int]:
    """The sockets that listen on ``port`` of any address now, in any process (Linux).

    Each is told by its inode, from proc_net_tcp(5). A port that a server has left may be another
    program's soon, so that an attempt to connect or to bind tells nothing of the server. The inode
    is that of no other socket. So a server has left if none of its sockets is here any more::

        sockets = listening(port)
        server.stop()
        assert not sockets & listening(port)
    """
    found = set()
    for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")):
        lines = table.read_text(encoding="ascii").splitlines() if table.exists() else []
        for line in lines[1:]:
            _, local, _, state, _, _, _, _, _, inode, *_ = line.split()
            if int(state, 16) == _LISTENS and int(local.rpartition(":")[2], 16) == port:
                found.add(int(inode))
    return found


def _spooled() -> list[int]:
    """The sizes in bytes of the open files that have no name (Linux)."""
    sizes = []
    for link in Path("/proc/self/fd").iterdir():
        try:
            if link.readlink().name.endswith(" (deleted)"):
                sizes.append(link.stat().st_size)
        except FileNotFoundError:
            continue  # closed since the directory was listed
    return sizes


# -- clients ---------------------------------------------------------------------------------------


@dataclass
class Answer:
    """A response of HTTP/1.

    Attributes:
        version: ``HTTP/1.1`` or ``HTTP/1.0``.
        fields: the header fields in their order, with names in lower case.
        body: the decoded content, empty until it has been read.
    """

    version: str
    status: int
    reason: str
    fields: list[tuple[str, str]]
    body: bytes = b""

    def __getitem__(self, name: str) -> str:
        """The value of a field that occurs once. Raises `AssertionError` if it does not."""
        values = [value for key, value in self.fields if key == name.lower()]
        if len(values) != 1:
            raise AssertionError(f"{name}: {values}")
        return values[0]

    def __contains__(self, name: str) -> bool:
        return any(key == name.lower() for key, _ in self.fields)


class Client:
    """A connection to a server that sends exactly the bytes it is given.

    Every operation raises `TimeoutError` after `PATIENCE` seconds. As a context manager, the client
    is closed at the end.

    Attributes:
        socket: the client's socket.
    """

    def __init__(
        self,
        address: Address | str | socket.socket,
        *,
        receive_buffer: int | None = None,
        source: str | None = None,
    ) -> None:
        """Connect to ``address``, or take a socket that is connected already, such as one of TLS.

        ``address``: that of a listener, or its text, such as ``127.0.0.1:7000``.
        ``receive_buffer``: the size in bytes of the system's buffer (`NARROW`: the client takes
        little at once). ``source``: the IP address to connect from. Raises `OSError`, and
        `AddressError` for a text that is no address.
        """
        self._received = bytearray()
        if isinstance(address, socket.socket):
            self.socket = address
            self.socket.settimeout(PATIENCE)
            return
        if isinstance(address, str):
            address = parse_address(address)
        target: Any
        if isinstance(address, UnixAddress):
            family, target = socket.AF_UNIX, str(address.path)
        else:
            family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
            target = address.host, address.port
        self.socket = socket.socket(family)
        try:
            if receive_buffer is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            self.socket.settimeout(PATIENCE)
            if source is not None:
                self.socket.bind((source, 0))
            self.socket.connect(target)
        except BaseException:
            self.socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def name(self) -> str:
        """The client's address, as the log of the server writes it."""
        host, port = self.socket.getsockname()[:2]
        return f"{host}:{port}"

    def send(self, data: bytes) -> None:
        """Send all of ``data``."""
        self.socket.sendall(data)

    def read(self, size: int) -> bytes:
        """Read ``size`` bytes, or fewer at the end of the stream."""
        while len(self._received) < size and self._receive():
            pass
        return self._take(size)

    def read_line(self) -> bytes:
        """Read a line with its line feed, or what there is at the end of the stream."""
        start = 0
        while (at := self._received.find(b"\n", start)) < 0:
            start = len(self._received)
            if not self._receive():
                return self._take(start)
        return self._take(at + 1)

    def read_all(self) -> bytes:
        """Read everything up to the end of the stream."""
        while self._receive():
            pass
        return self._take(len(self._received))

    def _receive(self) -> bool:
        piece = self.socket.recv(_PIECE)
        self._received += piece
        return bool(piece)

    def _take(self, size: int) -> bytes:
        data = bytes(self._received[:size])
        del self._received[:size]
        return data

    def ask(self, line: bytes) -> bytes:
        """Send ``line`` and read the line that answers it."""
        self.send(line)
        return self.read_line()

    def head(self) -> Answer:
        """Read the head of a response (RFC 9112, section 4). Its body is still to be read."""
        version, status, reason = self._head_line().split(" ", 2)
        fields = []
        while line := self._head_line():
            name, _, value = line.partition(": ")
            fields.append((name.lower(), value))
        return Answer(version, int(status), reason, fields)

    def answer(self, method: str = "GET") -> Answer:
        """Read a response to ``method`` with its whole body (RFC 9112, section 6.3).

        Raises `AssertionError` if the response is not framed as the RFC demands.
        """
        answer = self.head()
        if method == "HEAD" or answer.status < 200 or answer.status in _BODILESS:
            return answer
        if "Transfer-Encoding" in answer:
            if answer["Transfer-Encoding"] != "chunked" or "Content-Length" in answer:
                raise AssertionError(f"ambiguous framing: {answer.fields}")
            answer.body = b"".join(iter(self.chunk, b""))
        elif "Content-Length" in answer:
            answer.body = self.read(int(answer["Content-Length"]))
        else:
            answer.body = self.read_all()
        return answer

    def chunk(self) -> bytes:
        """Read a chunk of a body (RFC 9112, section 7.1), which is empty at its end."""
        data = self.read(int(self._head_line(), 16))
        end = self.read(2)
        if end != b"\r\n":
            raise AssertionError(f"a chunk ends in {end!r}")
        return data

    def _head_line(self) -> str:
        line = self.read_line()
        if not line.endswith(b"\r\n"):
            raise AssertionError(f"a line ends without CR LF: {line!r}")
        return line[:-2].decode("latin-1")

    def closed_by_server(self) -> bool:
        """Wait until the server has closed the connection; the result is always true."""
        with suppress(ConnectionError):
            self.read_all()
        return True

    def half_close(self) -> None:
        """Send nothing more. Raises `ConnectionError` if the server has closed the connection."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError as error:
            raise ConnectionError(*error.args) from error

    def reset(self) -> None:
        """Close the connection by a reset (RST)."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()


class NarrowListener(Listener):
    """A listener whose connections take little at once from clients that do not read."""

    def __init__(self, address: str = "127.0.0.1:0") -> None:
        """Listen on ``address``, by default on a free port of this machine."""
        super().__init__(address)

    def connect(self, sock: socket.socket, peer: Peer, timeouts: Timeouts) -> Connection:
        """Make a connection whose send buffer has `NARROW` bytes."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, NARROW)
        return super().connect(sock, peer, timeouts)


# -- other processes -------------------------------------------------------------------------------


class Script:
    """A Python program that runs in a process of its own, with this process' import path.

    As a context manager, it is killed at the end unless it has ended.
    """

    def __init__(self, program: str) -> None:
        """Run ``program``, which is source code."""
        self._process = subprocess.Popen(  # noqa: S603 - the test's own program
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()

    def read_line(self) -> str:
        """The next line that the program prints.

        Raises `AssertionError`, with what the program has written to standard error, at its end.
        """
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise AssertionError(self._process.stderr and self._process.stderr.read())
        return line

    def ask(self, line: str) -> str:
        """Send ``line`` and return the line that the program prints then."""
        if self._process.stdin:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
        return self.read_line()

    def signal(self, number: int) -> None:
        """Send the program a signal."""
        self._process.send_signal(number)

    def finish(self, line: str = "") -> str:
        """Send ``line`` and the end of input; return what the program writes to standard error.

        Raises `AssertionError` if the program does not end with exit code 0, and
        `subprocess.TimeoutExpired` if it does not end.
        """
        _, errors = self._process.communicate(line, timeout=PATIENCE)
        if self._process.returncode:
            raise AssertionError(errors)
        return errors


_LOAD: Final = """
import selectors, socket, sys, threading

host, port, request, count = {}
selector = selectors.DefaultSelector()
answers = 0

def connect():
    try:
        client = socket.create_connection((host, port))
        client.sendall(request)
    except OSError:
        return
    selector.register(client, selectors.EVENT_READ)

def ask(client):
    global answers
    try:
        if client.recv(1 << 16):
            answers += 1
            client.sendall(request)
            return
    except OSError:
        pass
    selector.unregister(client)
    client.close()
    connect()

def run():
    while selector.get_map():
        for key, _ in selector.select():
            ask(key.fileobj)

for _ in range(count):
    connect()
threading.Thread(target=run, daemon=True).start()
for _ in sys.stdin:
    print(answers, flush=True)
"""


class Load(Script):
    """Clients in a process of their own, each of which asks again as soon as it is answered.

    A client whose connection has ended connects again, as long as the server listens. As a context
    manager, the clients leave at the end.
    """

    def __init__(self, address: TCPAddress, request: bytes, *, clients: int = 8) -> None:
        """Have clients of ``address`` send ``request``, whose answer is small."""
        super().__init__(_LOAD.format((address.host, address.port, request, clients)))

    def answers(self) -> int:
        """The number of answers that all clients have received so far."""
        return int(self.ask("answers"))

    def go_on(self, count: int = 20) -> None:
        """Return when the clients have received ``count`` more answers.

        Raises `AssertionError` after `PATIENCE` seconds.
        """
        enough = self.answers() + count
        eventually(lambda: self.answers() >= enough, "for answers to the load")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a server in a process of its own says about itself.

    Attributes:
        connections: the number of connections in each state.
        closes: the number of closed connections for each reason.
        threads: the number of threads of the pool.
        stalled: the number of threads that are away, as in `Statistics`.
        held: the bytes that are held for all clients.
        busy: the number of threads that serve a client, with those that wait for it.
        resident: the bytes of memory that the process occupies.
        descriptors: the number of open descriptors.
        spooled: the sizes in bytes of the open files that have no name.
    """

    connections: dict[str, int]
    closes: dict[str, int]
    threads: int
    stalled: int
    held: int
    busy: int
    resident: int
    descriptors: int
    spooled: list[int]


class ServerProcess:
    """A server in a process of its own, so that its memory is counted without that of its clients.

    The program makes a server and passes it to `report_to_parent`::

        with ServerProcess("import myserver; myserver.main()") as server:
            client = server.connect()
            server.until(lambda report: report.connections == {"idle": 1})

    At the end of the block the clients are closed, and the server is stopped. It must not have
    written anything to standard error.
    """

    def __init__(self, program: str) -> None:
        """Run ``program``, which is Python's source code."""
        self._script = Script(program)
        self._clients = ExitStack()

    def __enter__(self) -> Self:
        self._script.__enter__()
        try:
            self.address = parse_address(self._script.read_line().rstrip("\n"))
        except BaseException:
            self._script.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._script, self._clients:
            if error is None and (errors := self._script.finish()):
                raise AssertionError(errors)

    def connect(self, source: str | None = None) -> Client:
        """Make a client that takes little at once; it is closed together with the server."""
        client = Client(self.address, receive_buffer=NARROW, source=source)
        return self._clients.enter_context(client)

    def report(self) -> Report:
        """Ask the server for its report."""
        return Report(**json.loads(self._script.ask("report")))

    def until(self, condition: Callable[[Report], bool]) -> Report:
        """Wait for a report that meets ``condition``, and return it.

        Raises `AssertionError`, which shows the last report, after `PATIENCE` seconds.
        """
        until = time.monotonic() + PATIENCE
        while not condition(report := self.report()):
            if time.monotonic() > until:
                raise AssertionError(f"waited in vain for a report; the last one is {report}")
        return report


def report_to_parent(server: Server) -> None:
    """Serve until standard input ends, in the process of a `ServerProcess`.

    ``server`` has been started. Its first listener has an address of TCP or a Unix socket.
    """
    _say(str(server.listeners[0].address))
    for _ in sys.stdin:
        _say(json.dumps(asdict(_report(server))))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _report(server: Server) -> Report:
    statistics = server.statistics()
    return Report(
        connections=statistics.connections,
        closes=statistics.closes,
        threads=statistics.threads,
        stalled=statistics.stalled,
        held=statistics.held,
        busy=sum(each.peer is not None for each in server.activities()),
        resident=resident(),
        descriptors=descriptors(),
        spooled=_spooled(),
    )
