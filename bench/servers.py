"""The servers that are measured: how each is started, awaited and ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Final

from bench import tools
from bench.errors import ServerError, UnavailableError

ROOT: Final = Path(__file__).parents[1]
_START_PATIENCE: Final = 20.0
_END_PATIENCE: Final = 5.0


@dataclass(frozen=True)
class Site:
    """What a server is told to do."""

    port: int
    threads: int


@dataclass(frozen=True)
class Server:
    """A server under measurement.

    Attributes:
        name: what it is called on the command line and in the results.
        command: makes the command that runs it in the foreground.
        distribution: the Python distribution it comes from, whose version is recorded; "": none.
        tool: the command it comes from instead.
        threads: whether the number of threads means anything to it.
        http: whether it answers HTTP; else it is ready when it accepts.
    """

    name: str
    command: Callable[[Site], list[str]]
    distribution: str = ""
    tool: str = ""
    threads: bool = True
    http: bool = True

    def version(self) -> str:
        """The version that is installed. Raises `UnavailableError` when none is."""
        if self.tool:
            tools.find(self.tool)
            text = subprocess.run(
                [self.tool, "--version"], capture_output=True, text=True, check=False
            )
            return (text.stdout or text.stderr).strip().splitlines()[0]
        if not self.distribution:
            return ""
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            raise UnavailableError(f"{self.distribution} is not installed") from None


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    server: Server
    site: Site
    pid: int


def free_port() -> int:
    """A port nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(server: Server, threads: int) -> Iterator[Running]:
    """Start a server, wait until it answers, and end it.

    Raises `ServerError`, with the last line it wrote, when it does not start.
    """
    server.version()
    site = Site(free_port(), threads)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            server.command(site),
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _await(server, site, process)
            yield Running(server, site, process.pid)
            if process.poll() is not None:
                raise ServerError(f"{server.name} ended with status {process.returncode}")
        except ServerError as error:
            log.seek(0)
            lines = log.read().decode("utf-8", "replace").strip().splitlines()
            raise ServerError(f"{error}: {lines[-1] if lines else 'it wrote nothing'}") from None
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and all of its session, which nobody else belongs to."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_PATIENCE)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _await(server: Server, site: Site, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_PATIENCE
    while not _answers(server, site):
        if process.poll() is not None:
            raise ServerError(f"{server.name} ended with status {process.returncode}")
        if time.monotonic() > until:
            raise ServerError(f"{server.name} does not answer after {_START_PATIENCE:g} s")
        time.sleep(0.05)


def _answers(server: Server, site: Site) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", site.port), 1) as client:
            if not server.http:
                return True
            client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return client.recv(12)[8:] == b" 200"
    except OSError:
        return False


def _module(name: str, *arguments: object) -> list[str]:
    return [sys.executable, "-m", f"bench.applications.{name}", *map(str, arguments)]


def _core(name: str, kind: str, *options: str) -> Server:
    return Server(
        name,
        lambda site: _module("core_worker", site.port, site.threads, kind, *options),
        distribution="rocket-core",
    )


CORE: Final = _core("rocket-core", "fixed")
CORE_UNCOUNTED: Final = _core("rocket-core without counters", "fixed", "--without-counters")
CORE_CLOSING: Final = _core("rocket-core", "closing")
CORE_SLEEPING: Final = _core("rocket-core", "sleeping")
CORE_MIXED: Final = _core("rocket-core", "mixed")
BARE_LOOP: Final = Server("bare loop", lambda site: _module("bare_loop", site.port), threads=False)
BARE_LOOP_CLOSING: Final = Server(
    "bare loop", lambda site: _module("bare_loop", site.port, "--closing"), threads=False
)
KEY_VALUE: Final = Server(
    "key-value example",
    lambda site: [
        sys.executable,
        str(ROOT / "examples/keyvalue/server.py"),
        f"127.0.0.1:{site.port}",
    ],
    distribution="rocket-core",
    http=False,
)
REDIS: Final = Server(
    "redis-server",
    lambda site: [
        tools.find("redis-server"),
        *("--bind", "127.0.0.1", "--port", str(site.port)),
        *("--save", "", "--appendonly", "no", "--dir", tempfile.gettempdir()),
    ],
    tool="redis-server",
    threads=False,
    http=False,
)
