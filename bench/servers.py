"""The servers that are measured: how each is started, awaited and ended.

All are given the same application, the same numbers of processes and threads, a keep-alive time
that outlasts the measurement, and room for the connections; else each is as it comes.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from getpass import getuser
from importlib import metadata
from pathlib import Path
from typing import IO, Final

from bench import tools
from bench.data import Data
from bench.errors import ServerError, UnavailableError
from bench.paths import KEY_VALUE as KEY_VALUE_EXAMPLE
from bench.paths import ROOT

KEEP_ALIVE: Final = 300
"""Seconds, more than a sample takes, where a server can be told."""

CONNECTIONS: Final = 12_000
"""Connections at a time, where a server must be told."""

BACKLOG: Final = 4096
"""Connections that wait to be accepted, where a server must be told."""

COMPILED: Final = "compiled"
"""What the compiled build has behind its name; the other one is pure."""

COMPILED_PYTHON: Final = "BENCH_COMPILED_PYTHON"
"""Variable with the path of a Python that has the compiled build of Rocket installed."""

COMPILED_MISSING: Final = "BENCH_COMPILED_MISSING"
"""Variable that says instead why there is none."""

_START_PATIENCE: Final = 20.0
_END_PATIENCE: Final = 5.0


@dataclass(frozen=True)
class Site:
    """What a server is told to do.

    Attributes:
        port: where to listen, on 127.0.0.1.
        processes: how many there are.
        threads: how many run the application in each process.
        application: MODULE:NAME.
        tls: whether to speak TLS, with the certificate of ``data``.
        data: files to serve.
        python: the Python that runs it.
    """

    port: int
    processes: int
    threads: int
    application: str
    tls: bool
    data: Data
    python: str

    @property
    def address(self) -> str:
        """HOST:PORT."""
        return f"127.0.0.1:{self.port}"

    def certificate(self, *options: str) -> list[str]:
        """With TLS, the files of the certificate and its key, each after its option if any."""
        if not self.tls:
            return []
        paths = map(str, self.data.certificate)
        if not options:
            return list(paths)
        return [
            word for option, path in zip(options, paths, strict=True) for word in (option, path)
        ]


@dataclass(frozen=True)
class Server:
    """A server under measurement.

    Attributes:
        name: what it is called in the results.
        command: makes the command that runs it in the foreground.
        distribution: the Python distribution it comes from, whose version is recorded; "": none.
        tool: the command it comes from instead.
        threads: whether the number of threads means anything to it.
        http: whether it answers HTTP; else it is ready when it accepts.
        python: the Python that it is installed for. Raises `UnavailableError` without one.
    """

    name: str
    command: Callable[[Site], list[str]]
    distribution: str = ""
    tool: str = ""
    threads: bool = True
    http: bool = True
    python: Callable[[], str] = lambda: sys.executable

    def version(self) -> str:
        """The version that is installed. Raises `UnavailableError` when none is."""
        self.python()
        if self.tool:
            # One says it on standard output, another on standard error.
            done = subprocess.run(
                [tools.find(self.tool), "-v"],
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            return done.stdout.strip().splitlines()[0]
        if not self.distribution:
            return ""
        try:
            return metadata.version(self.distribution)
        except metadata.PackageNotFoundError:
            raise UnavailableError(
                f"{self.distribution} is not installed: pip install {self.distribution}"
            ) from None

    def compiled(self) -> Server:
        """The same server, of the compiled build."""
        return replace(self, name=f"{self.name}, {COMPILED}", python=_compiled_python)


def _compiled_python() -> str:
    """The Python of the compiled build. Raises `UnavailableError` without one."""
    path = os.environ.get(COMPILED_PYTHON)
    if path is None:
        reason = os.environ.get(COMPILED_MISSING, f"the variable {COMPILED_PYTHON} is not set")
        raise UnavailableError(f"not available: {reason}")
    return path


@dataclass(frozen=True)
class Running:
    """A server that runs, or has ended."""

    server: Server
    site: Site
    process: subprocess.Popen[bytes]
    log: IO[bytes]

    @property
    def pid(self) -> int:
        """The number of its first process."""
        return self.process.pid

    def check(self) -> None:
        """Raise `ServerError`, with the last line it wrote, when it has ended."""
        if self.process.poll() is None:
            return
        self.log.seek(0)
        lines = self.log.read().decode("utf-8", "replace").strip().splitlines() or [
            "it said nothing"
        ]
        raise ServerError(f"it has ended with status {self.process.returncode}: {lines[-1]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    server: Server, *, processes: int, threads: int, application: str, tls: bool, data: Data
) -> Iterator[Running]:
    """Start a server, wait until it answers, and end it.

    Raises `ServerError`, with the last line it wrote, when it does not start.
    """
    site = Site(_free_port(), processes, threads, application, tls, data, server.python())
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            server.command(site),
            cwd=ROOT,
            env=data.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        target = Running(server, site, process, log)
        try:
            _await(target)
            yield target
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


def _await(target: Running) -> None:
    until = time.monotonic() + _START_PATIENCE
    while not _answers(target):
        target.check()
        if time.monotonic() > until:
            raise ServerError(f"it does not answer after {_START_PATIENCE:g} s")
        time.sleep(0.05)


def _answers(target: Running) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", target.site.port), 1) as plain:
            if not target.server.http:
                return True
            if not target.site.tls:
                return _is_good(plain)
            context = ssl.create_default_context(cafile=str(target.site.data.authority))
            with context.wrap_socket(plain, server_hostname="localhost") as client:
                return _is_good(client)
    except OSError:
        return False


def _is_good(client: socket.socket) -> bool:
    client.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
    return client.recv(12)[8:] == b" 200"


# -- how each is started -------------------------------------------------------------------------


def module(site: Site, name: str, *arguments: object) -> list[str]:
    """A program of `bench.applications`, in the Python of the site."""
    return [site.python, "-m", f"bench.applications.{name}", *map(str, arguments)]


def script(site: Site, name: str) -> str:
    """A command that a distribution has installed beside its Python."""
    return str(Path(site.python).with_name(name))


def _core(name: str, kind: str, *options: str) -> Server:
    return Server(
        name,
        lambda site: module(site, "core_worker", site.port, site.threads, kind, *options),
        distribution="rocket-core",
    )


def _rocket(site: Site) -> list[str]:
    scheme = "https" if site.tls else "http"
    processes = ["--processes", str(site.processes)] if site.processes > 1 else []
    return [
        *(
            script(site, "rocket-cli"),
            "serve",
            site.application,
            "--bind",
            f"{scheme}://{site.address}",
        ),
        *processes,
        *("--threads", str(site.threads), "--log-level", "warning"),
        *site.certificate("--tls-cert", "--tls-key"),
    ]


def _gunicorn(site: Site) -> list[str]:
    return [
        *(script(site, "gunicorn"), site.application, "--bind", site.address),
        *("--worker-class", "gthread", "--workers", str(site.processes)),
        *("--threads", str(site.threads)),
        *("--keep-alive", str(KEEP_ALIVE), "--worker-connections", str(CONNECTIONS)),
        *("--backlog", str(BACKLOG), "--log-level", "warning"),
        *site.certificate("--certfile", "--keyfile"),
    ]


def _waitress(site: Site) -> list[str]:
    return [
        *(
            script(site, "waitress-serve"),
            "--listen",
            site.address,
            "--threads",
            str(site.threads),
        ),
        *("--connection-limit", str(CONNECTIONS), "--backlog", str(BACKLOG)),
        *("--channel-timeout", str(KEEP_ALIVE), "--asyncore-use-poll", site.application),
    ]


def _cheroot(site: Site) -> list[str]:
    arguments = (site.application, site.port, site.threads, *site.certificate())
    return module(site, "cheroot_server", *arguments)


def _granian(site: Site) -> list[str]:
    return [
        *(script(site, "granian"), site.application, "--interface", "wsgi"),
        *("--workers", str(site.processes), "--http", "1", "--no-ws"),
        *("--host", "127.0.0.1", "--port", str(site.port)),
        *("--blocking-threads", str(site.threads), "--backlog", str(BACKLOG)),
        *("--backpressure", str(CONNECTIONS), "--log-level", "warning"),
        *site.certificate("--ssl-certificate", "--ssl-keyfile"),
    ]


def _granian_with(*options: str) -> Server:
    """One with options that may be faster."""
    name = " ".join(word.removeprefix("--") for word in options)
    return Server(f"granian, {name}", lambda site: [*_granian(site), *options], "granian")


def _granian_static(site: Site) -> list[str]:
    mount = ("--static-path-route", "/static", "--static-path-mount", str(site.data.static))
    return [*_granian(site), *mount]


def _uwsgi(site: Site) -> list[str]:
    # Its own HTTP sockets keep a thread for each connection; the router is what faces clients.
    return [
        *(script(site, "uwsgi"), "--http", site.address, "--http-keepalive=1"),
        *(f"--http-timeout={KEEP_ALIVE}", "--http-auto-chunked", "--listen", str(BACKLOG)),
        *("--master", "--die-on-term", "--need-app", "--disable-logging", "--single-interpreter"),
        *(
            "--processes",
            str(site.processes),
            "--threads",
            str(site.threads),
            "--module",
            site.application,
        ),
    ]


def _uwsgi_static(site: Site) -> list[str]:
    return [*_uwsgi(site), "--static-map", f"/static={site.data.static}"]


_NGINX: Final = """\
daemon off;
user {user};
worker_processes 1;
pid {data}/nginx-{port}.pid;
error_log stderr warn;
events {{ worker_connections {connections}; }}
http {{
    access_log off;
    sendfile on;
    keepalive_timeout {keep_alive};
    keepalive_requests 100000000;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        location / {{ return 200 "Hello, world!"; }}
        location /static/ {{ root {data}; }}
    }}
}}
"""


def _nginx(site: Site) -> list[str]:
    path = site.data.directory / f"nginx-{site.port}.conf"
    path.write_text(
        _NGINX.format(
            user=getuser(),
            data=site.data.directory,
            port=site.port,
            connections=CONNECTIONS,
            keep_alive=KEEP_ALIVE,
        ),
        "utf-8",
    )
    return [tools.find("nginx"), "-c", str(path), "-e", "stderr"]


def _redis(site: Site) -> list[str]:
    return [
        *(tools.find("redis-server"), "--bind", "127.0.0.1", "--port", str(site.port)),
        *("--save", "", "--appendonly", "no", "--dir", str(site.data.directory)),
    ]


CORE: Final = _core("rocket-core", "fixed")
CORE_COMPILED: Final = CORE.compiled()
CORE_UNCOUNTED: Final = _core("rocket-core without histograms", "fixed", "--without-histograms")
CORE_CLOSING: Final = _core("rocket-core", "closing")
CORE_CLOSING_COMPILED: Final = CORE_CLOSING.compiled()
CORE_SLEEPING: Final = _core("rocket-core", "sleeping")
CORE_MIXED: Final = _core("rocket-core", "mixed")
BARE_LOOP: Final = Server(
    "bare loop", lambda site: module(site, "bare_loop", site.port), threads=False
)
BARE_LOOP_CLOSING: Final = Server(
    "bare loop", lambda site: module(site, "bare_loop", site.port, "--closing"), threads=False
)
KEY_VALUE: Final = Server(
    "key-value example",
    lambda site: [site.python, str(KEY_VALUE_EXAMPLE), site.address],
    distribution="rocket-core",
    threads=False,
    http=False,
)
REDIS: Final = Server("redis-server", _redis, tool="redis-server", threads=False, http=False)

ROCKET: Final = Server("rocket", _rocket, distribution="rocket-cli")
ROCKET_COMPILED: Final = ROCKET.compiled()
GUNICORN: Final = Server("gunicorn gthread", _gunicorn, distribution="gunicorn")
WAITRESS: Final = Server("waitress", _waitress, distribution="waitress")
CHEROOT: Final = Server("cheroot", _cheroot, distribution="cheroot")
GRANIAN: Final = Server("granian", _granian, distribution="granian")
GRANIAN_ST: Final = _granian_with("--runtime-mode", "st")
GRANIAN_VARIANTS: Final = (
    GRANIAN_ST,
    _granian_with("--runtime-threads", "2"),
    _granian_with("--http1-pipeline-flush"),
)
GRANIAN_STATIC: Final = Server("granian, mount", _granian_static, distribution="granian")
UWSGI: Final = Server("uWSGI", _uwsgi, distribution="pyuwsgi")
UWSGI_STATIC: Final = Server("uWSGI, mount", _uwsgi_static, distribution="pyuwsgi")
FASTPYSGI: Final = Server(
    "fastpysgi",
    lambda site: module(site, "fastpysgi_server", site.application, site.port, *site.certificate()),
    distribution="fastpysgi",
    threads=False,
)
PYRUVATE: Final = Server(
    "pyruvate",
    lambda site: module(site, "pyruvate_server", site.application, site.port, site.threads),
    distribution="pyruvate",
)
BJOERN: Final = Server(
    "bjoern",
    lambda site: module(site, "bjoern_server", site.application, site.port),
    distribution="bjoern",
    threads=False,
)
ROCKET3: Final = Server(
    "rocket3",
    lambda site: module(
        site, "rocket3_server", site.application, site.port, site.threads, *site.certificate()
    ),
    distribution="rocket3",
)
WSGI_LOOP: Final = Server(
    "WSGI loop",
    lambda site: module(site, "wsgi_loop", site.application, site.port),
    threads=False,
)
TLS_LOOP: Final = Server(
    "TLS loop",
    lambda site: module(site, "tls_loop", site.port, site.threads, *site.certificate()),
)
NGINX: Final = Server("nginx", _nginx, tool="nginx", threads=False)
