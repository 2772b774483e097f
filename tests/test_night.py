"""The page on incidents: each is brought about, and what the page shows of it is what is seen."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import sysconfig
import threading
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

import httpx
import psycopg
import pytest
import trustme
from prometheus_client.parser import text_string_to_metric_families

from rocket_cli._commands.admin import WAITING
from rocket_core.testing import eventually
from systemtests.postgresql import Database
from systemtests.processes import (
    APPLICATIONS,
    PATIENCE,
    PLAIN,
    ROOT,
    Process,
    Server,
    environment,
    rocket_cli,
    serve,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

PAGE = ROOT / "docs" / "night.md"

DIRECTORY = "/srv/mysite"
"""Where the page has the application, the admin socket and what else there is."""

SITE = "http://127.0.0.1:8000"
SECURE = "https://127.0.0.1:8443"
METRICS = "http://127.0.0.1:9100/metrics"
"""Where the page has the server."""


def parts(pattern: str, text: str) -> list[str]:
    return re.findall(pattern, text, re.MULTILINE | re.DOTALL)


def section_of(title: str) -> str:
    found = parts(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", PAGE.read_text(encoding="utf-8"))
    (section,) = found
    return section


def shape_of(line: str) -> str:
    """``line`` without what differs from one time to the next: numbers, units and spaces."""
    line = re.sub(r"\d+(\.\d+)?(e[+-]?\d+)?", "0", line)
    line = re.sub(r"\b0 (µs|ms|s|B|KiB|MiB|GiB)(?!\w)", "0 UNIT", line)
    return " ".join(line.split())


class Incident:
    """What the page says of an incident, and what was seen of it."""

    def __init__(self, title: str, directory: Path) -> None:
        self.section = section_of(title)
        self.directory = directory
        self._seen: set[str] = set()
        self._ran: list[str] = []
        self.server: Server | None = None

    @property
    def running(self) -> Server:
        assert self.server is not None
        return self.server

    @property
    def address(self) -> str:
        return self.running.address

    @property
    def metrics_address(self) -> str:
        eventually(lambda: "metrics are at " in self.running.log)
        (found,) = re.findall(r"metrics are at (\S+)", self.running.log)
        return str(found)

    def see(self, output: str) -> None:
        """Note what was printed or logged."""
        for old, new in {str(APPLICATIONS): DIRECTORY, str(self.directory): DIRECTORY}.items():
            output = output.replace(old, new)
        self._seen |= {shape_of(line) for line in output.splitlines()}

    def run(
        self, command: str, *, code: int = 0, variables: Mapping[str, str] | None = None
    ) -> str:
        """Run a command of the page in a shell, and return what it prints."""
        shown = command
        for number, text in (variables or {}).items():
            shown = shown.replace(text, number)
        assert f"$ {shown}\n" in self.section, f"the page does not have {shown}"
        self._ran.append(shown)
        if self.server is not None:
            command = command.replace(SITE, self.address).replace(SECURE, self.address)
        if METRICS in command:
            command = command.replace(METRICS, self.metrics_address)
        done = subprocess.run(
            ["sh", "-c", command.replace(DIRECTORY, str(self.directory))],
            cwd=self.directory,
            env=environment(
                PATH=f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}",
                ROCKET_ADMIN=str(self.directory / "admin.sock"),
            ),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == code, done.stdout
        self.see(done.stdout)
        return done.stdout

    def metric(self, name: str, **labels: str) -> float:
        """Return the sum of a metric that the page names, over all labels that are not given."""
        assert name in self.section, f"the page does not name {name}"
        text = httpx.get(self.metrics_address, timeout=PATIENCE, trust_env=False).text
        self.see(text)
        samples = [
            each for family in text_string_to_metric_families(text) for each in family.samples
        ]
        values = [
            each.value
            for each in samples
            if each.name == name and labels.items() <= each.labels.items()
        ]
        assert values, f"there is no {name} with {labels}"
        return sum(values)

    def processes(self) -> dict[int, float]:
        """Return for how many seconds each worker process has served."""
        done = subprocess.run(
            [rocket_cli(), "stats", "--json", "--admin", self.directory / "admin.sock"],
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        )
        answers: list[dict[str, Any]] = json.loads(done.stdout)["answers"]
        return {each["process"]: each["uptime"] for each in answers}

    def check(self) -> None:
        """Fail unless everything that the page shows of the incident was seen."""
        shown = [
            line
            for block in parts(r"^```text\n(.*?)^```$", self.section)
            for line in block.splitlines()
            if line.strip() not in {"", "..."} and not line.startswith("$ ")
        ]
        assert shown
        assert set(parts(r"^\$ (.*?)$", self.section)) == set(self._ran)
        missing = [line for line in shown if shape_of(line) not in self._seen]
        assert not missing, "\n".join(["not seen:", *missing, "seen:", *sorted(self._seen)])


@contextmanager
def incident(
    title: str,
    directory: Path,
    *command: str,
    cwd: Path = APPLICATIONS,
    variables: Mapping[str, str] | None = None,
) -> Iterator[Incident]:
    """Serve an application that an incident befalls; at the end the page must be right."""
    found = Incident(title, directory)
    options = ["--admin", str(directory / "admin.sock"), "--metrics", "127.0.0.1:0"]
    binding = [] if "--bind" in command else PLAIN
    with serve(*command, *options, *binding, cwd=cwd, variables=variables) as server:
        found.server = server
        yield found
    found.see(server.log)
    found.check()


class Gates:
    """The requests that run in ``gated``, which wait for leave to go on."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.settimeout(PATIENCE)
        self._stack = ExitStack()
        self._opener = threading.Thread(target=self._let_pass)
        self.variables = {"GATE_PORT": str(self._listener.getsockname()[1])}

    def wait_for(self, count: int) -> None:
        """Wait until so many more requests run."""
        for _ in range(count):
            self._stack.enter_context(self._listener.accept()[0])

    def open(self) -> None:
        """Let all requests go on, those of later on as well."""
        self._stack.close()
        self._opener.start()

    def _let_pass(self) -> None:
        with suppress(OSError):  # the listener is shut down
            while True:
                self._listener.accept()[0].close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        if self._opener.is_alive():
            self._opener.join(PATIENCE)
        self._listener.close()
        self._stack.close()


def ask(address: str, stack: ExitStack, path: str, source: str = "127.0.0.1") -> socket.socket:
    """Send a request, and leave its connection open."""
    host, port = address.removeprefix("http://").split(":")
    sock = socket.create_connection((host, int(port)), PATIENCE, (source, 0))
    stack.enter_context(sock)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    return sock


def test_stuck_database(tmp_path: Path) -> None:
    with Database(max_connections=20) as database:

        def connect() -> psycopg.Connection[Any]:
            where = database.variables
            return psycopg.connect(
                host=where["PGHOST"],
                user=where["PGUSER"],
                dbname=where["PGDATABASE"],
                client_encoding="utf8",
            )

        with connect() as setup:
            setup.execute("CREATE TABLE orders AS SELECT 1 AS number")
        options = ["orders:application", "--threads", "4", "--watchdog", "1"]
        with (
            incident("A stuck database", tmp_path, *options, variables=database.variables) as night,
            ExitStack() as stack,
            connect() as operator,
        ):
            blocking = connect()
            blocking.execute("UPDATE orders SET number = 7")
            waiting = ask(night.address, stack, "/orders")
            night.running.wait_for("longer than watchdog")
            assert night.metric("rocket_threads_busy") == 1
            night.run("rocket-cli threads")
            find, end = parts(r"^```sql\n(.*?)^```$", night.section)
            rows = operator.execute(find.encode()).fetchall()
            ((pid, state, *_),) = rows
            assert state == "idle in transaction"
            assert (pid,) == (blocking.info.backend_pid,)
            operator.execute(end.replace("4720", str(pid)).encode())
            assert waiting.recv(15) == b"HTTP/1.1 200 OK"
            blocking.close()


def test_time_limit_of_the_database(tmp_path: Path) -> None:
    """The setting of libpq on the page ends a request that waits for a lock."""
    (assignment,) = parts(r"`(PGOPTIONS=[^`]*)`", section_of("A stuck database"))
    name, _, value = assignment.partition("=")
    assert value == "'-c lock_timeout=5s'"
    with Database(max_connections=20) as database:
        where = database.variables
        with psycopg.connect(
            host=where["PGHOST"], user=where["PGUSER"], dbname=where["PGDATABASE"]
        ) as blocking:
            blocking.execute("CREATE TABLE orders AS SELECT 1 AS number")
            blocking.commit()
            blocking.execute("UPDATE orders SET number = 7")
            variables = {**where, name: value.strip("'").replace("5s", "10ms")}
            with serve(
                "orders:application", *PLAIN, cwd=APPLICATIONS, variables=variables
            ) as server:
                answer = httpx.get(server.address, timeout=PATIENCE, trust_env=False)
                assert answer.status_code == 500
            assert "LockNotAvailable" in server.log
            assert "LockNotAvailable" in section_of("A stuck database")


def test_memory_leak(tmp_path: Path) -> None:
    with incident("A memory leak", tmp_path, "hoard:application", "--max-rss", "200M") as night:
        (first,) = night.processes()
        before = night.metric("rocket_resident_memory_bytes")
        for _ in range(3):
            httpx.get(night.address, timeout=PATIENCE, trust_env=False)
        night.running.wait_for("more than --max-rss")
        night.running.wait_for("serves")
        eventually(lambda: [*night.processes()] != [first])
        eventually(lambda: len(night.processes()) == 1)
        assert night.metric("rocket_resident_memory_bytes") < before + (64 << 20)


def test_killed_worker(tmp_path: Path) -> None:
    with incident(
        "A killed worker process", tmp_path, "seen:application", "--processes", "2"
    ) as night:
        first, second = night.processes()
        os.kill(first, signal.SIGKILL)
        night.running.wait_for("was killed by SIGKILL.*of serving: replacing it in")
        eventually(lambda: night.metric("rocket_process_restarts_total") == 1)
        eventually(lambda: night.processes()[second] > 12)
        os.kill(second, signal.SIGKILL)
        night.running.wait_for("was killed by SIGKILL.*: replacing it$")
        night.running.wait_for("serves")
        eventually(lambda: night.metric("rocket_process_restarts_total") == 2)
        eventually(lambda: night.metric("rocket_processes") == 2)
        assert night.metric("rocket_processes_wanted") == 2
        night.run(f"curl -s {METRICS} | grep ^rocket_process")


# -- bad deploys -----------------------------------------------------------------------------------

GOOD = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"good"]
"""
DIES = """\
import os

def application(environ, start_response):
    os._exit(1)
"""
HANGS = """\
import socket

database = socket.socketpair()
database[0].recv(1)
"""

FAULTS = {
    "A bad deploy: a syntax error": "def application(environ, start_response:\n    pass\n",
    "A bad deploy: an exception at import": 'import os\n\nKEY = os.environ["SHOP_KEY"]\n',
    "A bad deploy: the wrong directory, or no application": None,
}


@pytest.mark.parametrize("title", FAULTS)
def test_deploy_that_cannot_be_imported(tmp_path: Path, title: str) -> None:
    module = tmp_path / "shop.py"
    module.write_text(GOOD)
    with incident(title, tmp_path, "shop", cwd=tmp_path) as night:
        fault = FAULTS[title]
        if fault is None:
            module.unlink()
            night.run("rocket-cli check shop", code=2)
            night.run("rocket-cli check", code=2)
            module.write_text("application_of_the_shop = None\n")
        else:
            module.write_text(fault)
        night.run("rocket-cli check shop", code=2)
        night.run("rocket-cli reload", code=1)
        assert httpx.get(night.address, timeout=PATIENCE, trust_env=False).text == "good"
        assert night.metric("rocket_reloads_failed_total") == 1
        module.write_text(GOOD.replace("good", "better"))
        night.run("rocket-cli reload")
        assert httpx.get(night.address, timeout=PATIENCE, trust_env=False).text == "better"


def test_start_without_an_application_ends(tmp_path: Path) -> None:
    """With exit code 2, and the line that the check prints."""
    line = f"no module 'shop' in {DIRECTORY} or among the installed packages"
    assert line in section_of("A bad deploy: the wrong directory, or no application")
    start = Process([rocket_cli(), "serve", "shop", *PLAIN], tmp_path)
    assert start.wait() == 2
    assert line.replace(DIRECTORY, str(tmp_path)) in start.log


def test_deploy_that_dies(tmp_path: Path) -> None:
    module = tmp_path / "shop.py"
    module.write_text(GOOD)
    title = "A bad deploy: an application that dies seconds after its start"
    with incident(title, tmp_path, "shop", cwd=tmp_path) as night:
        module.write_text(DIES)
        night.run("rocket-cli reload")

        def dies() -> bool:
            with suppress(httpx.TransportError):
                httpx.get(night.address, timeout=PATIENCE, trust_env=False)
            return "of serving: replacing it in 0.5 s" in night.running.log

        eventually(dies)
        eventually(lambda: night.metric("rocket_process_restarts_total") >= 3)
        module.write_text(GOOD)
        night.run("rocket-cli reload")
        assert httpx.get(night.address, timeout=PATIENCE, trust_env=False).text == "good"


def test_deploy_that_hangs(tmp_path: Path) -> None:
    module = tmp_path / "shop.py"
    module.write_text(GOOD)
    title = "A bad deploy: an application that hangs at import"
    pid = tmp_path / "rocket.pid"
    with incident(title, tmp_path, "shop", "--pid", str(pid), cwd=tmp_path) as night:
        before = set(children_of(night.running.pid))
        module.write_text(HANGS + GOOD)
        reload = threading.Thread(target=lambda: night.run("rocket-cli reload", code=1))
        reload.start()
        night.running.wait_for("reloading")
        eventually(lambda: len(children_of(night.running.pid)) == len(before) + 1)
        listed = night.run(
            f"ps -o pid,etime,args --sort start_time --ppid $(cat {DIRECTORY}/rocket.pid)"
        )
        newest = int(listed.splitlines()[-1].split()[0])
        assert newest not in before
        assert httpx.get(night.address, timeout=PATIENCE, trust_env=False).text == "good"
        night.see(f"rocket-cli: {WAITING}")  # it comes after 10 s, and the warning after 30 s
        night.see(warning_about(module))
        night.run(f"kill -KILL {newest}", variables={"4744": str(newest)})
        reload.join(PATIENCE)
        assert not reload.is_alive()
        assert night.metric("rocket_reloads_failed_total") == 1
        module.write_text(GOOD)
        night.run("rocket-cli reload")


def warning_about(module: Path) -> str:
    """What a worker process logs after a while if ``module``, which it imports, hangs."""
    program = """
import logging, sys
from pathlib import Path
from rocket_cli._application.load_watch import LoadWatch
from rocket_cli._logging.formatting import TextLines
handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(TextLines())
logging.getLogger("rocket_cli").addHandler(handler)
sys.path.insert(0, str(Path.cwd()))
with LoadWatch(patience=0.1):
    __import__(sys.argv[1])
"""
    command = [sys.executable, "-u", "-c", program, module.stem]
    process = subprocess.Popen(command, cwd=module.parent, stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        lines = list(itertools.takewhile(lambda line: "recv" not in line, process.stdout))
        process.kill()
    return "".join([*lines, "database[0].recv(1)"])


def children_of(pid: int) -> list[int]:
    done = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=True
    )
    return [int(each) for each in done.stdout.split()]


# -- the disk --------------------------------------------------------------------------------------


def test_full_disk_for_uploads(tmp_path: Path) -> None:
    """What the server leaves free is more than there is."""
    options = ["seen:application", "--spool-free", "1000T"]
    with incident("A full disk: uploads", tmp_path, *options) as night:
        (tmp_path / "upload").write_bytes(bytes(3 << 20))
        night.run("curl -s -w '%{http_code}\\n' --data-binary @upload http://127.0.0.1:8000/")
        assert httpx.post(night.address, content=b"small", trust_env=False).status_code == 200
        assert night.metric("rocket_connections_closed_total", reason="overloaded") >= 1


def test_full_disk_for_logs(tmp_path: Path) -> None:
    options = ["seen:application", "--access-log", "/dev/full"]
    with incident("A full disk: logs", tmp_path, *options) as night:
        assert httpx.get(night.address, timeout=PATIENCE, trust_env=False).status_code == 200
        night.running.wait_for("lines of the access log were lost")
        assert night.metric("rocket_log_lines_lost_total", log="access") >= 1


def test_full_disk_for_the_error_log(tmp_path: Path) -> None:
    """The messages that are lost are counted."""
    section = section_of("A full disk: logs")
    night = Incident("A full disk: logs", tmp_path)
    options = ["--metrics", f"unix:{tmp_path}/metrics.sock", "--error-log", "/dev/full"]
    fault = ["--spool-free", "1000T"]
    with serve("seen:application", *options, *fault, *PLAIN, cwd=APPLICATIONS) as server:
        night.server = server
        answer = httpx.post(server.address, content=bytes(3 << 20), trust_env=False)
        assert answer.status_code == 503
        transport = httpx.HTTPTransport(uds=f"{tmp_path}/metrics.sock")
        with httpx.Client(transport=transport, timeout=PATIENCE) as client:

            def lost() -> bool:
                text = client.get("http://metrics/metrics").text
                return 'rocket_log_lines_lost_total{log="server"} 0.0' not in text

            eventually((tmp_path / "metrics.sock").exists)
            eventually(lost)
            assert 'log="server"}' in client.get("http://metrics/metrics").text
    assert "rocket_log_lines_lost_total" in section


# -- certificates ----------------------------------------------------------------------------------


class Site:
    """The certificate and key of a site, which are replaced while it serves."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(directory / "ca.pem")
        self.options = ["--bind", "https://127.0.0.1:0", "--tls-cert", "site.crt"]
        self.options += ["--tls-key", "site.key"]

    def certify(self, name: str, days: float, *, key: bool = True) -> None:
        """Store a certificate for ``name`` that ends in so many days; its key only with ``key``."""
        now = datetime.now(UTC)
        begin, end = now - timedelta(days=80), now + timedelta(days=days)
        leaf = self._authority.issue_cert(name, not_before=begin, not_after=end)
        if key:
            leaf.private_key_pem.write_to_path(self._directory / "site.key")
        leaf.cert_chain_pems[0].write_to_path(self._directory / "site.crt")


CHECK = "rocket-cli check --strict shop --bind https://:8443 --tls-cert site.crt --tls-key site.key"
CURL = f"curl -sS --cacert ca.pem {SECURE}/"


@contextmanager
def certified(title: str, directory: Path, days: float) -> Iterator[tuple[Incident, Site]]:
    (directory / "shop.py").write_text(GOOD)
    site = Site(directory)
    site.certify("127.0.0.1", days)
    with incident(title, directory, "shop", *site.options, cwd=directory) as night:
        yield night, site


def test_certificate_that_expires(tmp_path: Path) -> None:
    with certified("A certificate that expires", tmp_path, 9.5) as (night, site):
        assert "the certificate expires in 9 days" in night.running.log
        left = night.metric("rocket_certificate_expiry_timestamp_seconds")
        assert timedelta(days=9).total_seconds() < left - datetime.now(UTC).timestamp()
        site.certify("127.0.0.1", -2)
        night.run(CHECK, code=2)
        eventually(lambda: fails(night))
        night.run(CURL, code=60)
        night.running.wait_for("the certificate expired on")
        eventually(lambda: night.metric("rocket_tls_errors_total") >= 1)
        site.certify("127.0.0.1", 90)
        eventually(lambda: not fails(night))


def test_certificate_that_does_not_match(tmp_path: Path) -> None:
    with certified("A certificate that does not match", tmp_path, 90) as (night, site):
        site.certify("127.0.0.1", 90, key=False)
        night.run(CHECK, code=2)
        eventually(lambda: not fails(night) and "does not belong to" in night.running.log)
        site.certify("shop.example", 90)
        eventually(lambda: fails(night))
        night.run(CURL, code=60)
        night.run("rocket-cli stats | tail -1")


def fails(night: Incident) -> bool:
    """Whether a client refuses the certificate that is served now."""
    done = subprocess.run(
        ["curl", "-s", "--cacert", night.directory / "ca.pem", night.address],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode in {0, 60}
    return done.returncode == 60


# -- too many requests -----------------------------------------------------------------------------


def test_saturation(tmp_path: Path) -> None:
    options = ["gated:application", "--threads", "2", "--max-queue", "2"]
    with (
        Gates() as gates,
        incident("Saturation", tmp_path, *options, variables=gates.variables) as night,
        ExitStack() as stack,
    ):
        for _ in range(2):
            ask(night.address, stack, "/report")
        gates.wait_for(2)
        waiting = [ask(night.address, stack, "/report") for _ in range(2)]
        eventually(lambda: night.metric("rocket_requests_waiting") == 2)
        refused = ask(night.address, stack, "/report")
        assert refused.recv(12) == b"HTTP/1.1 503"
        night.running.wait_for("all 2 threads have been busy for")
        assert night.metric("rocket_threads_busy") == night.metric("rocket_threads_max") == 2
        assert night.metric("rocket_connections_closed_total", reason="overloaded") >= 1
        night.run("rocket-cli threads")
        night.run("rocket-cli resize --threads 16")
        gates.wait_for(2)
        gates.open()
        for each in waiting:
            assert each.recv(15) == b"HTTP/1.1 200 OK"
        night.running.wait_for("a thread is free again")


def test_flood(tmp_path: Path) -> None:
    options = ["gated:application", "--threads", "2"]
    with (
        Gates() as gates,
        incident("One client's flood", tmp_path, *options, variables=gates.variables) as night,
        ExitStack() as stack,
    ):
        for _ in range(12):
            ask(night.address, stack, "/search", "127.0.0.2")
        gates.wait_for(2)
        visitor = ask(night.address, stack, "/")
        eventually(lambda: night.metric("rocket_requests_waiting") == 11)
        night.run("rocket-cli threads")
        counted = night.run(
            "rocket-cli connections --limit 1000 | awk '/:/ {sub(/:[0-9]+$/, \"\", $2); print $2}'"
            " | sort | uniq -c | sort -rn | head -3"
        )
        assert counted.split()[:2] == ["12", "127.0.0.2"]
        gates.open()
        assert visitor.recv(15) == b"HTTP/1.1 200 OK"
