"""The snippets in the README.md files do what they say.

The programs of rocket-core are run by the tests of that package. A name that a README leaves to its
reader is given by the test of the snippet.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import textwrap
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from websockets.sync.client import connect

import rocket_core
from rocket_core import Listener, Server
from rocket_core.testing import Client, eventually, unused_port
from rocket_tls import CertificateStore, TLSListener, TLSSettings
from rocket_wsgi import WSGIWorker
from systemtests.pages import blocks_of
from systemtests.processes import PATIENCE, ROOT, find_tool, rocket_cli
from systemtests.redis_server import RedisServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from systemtests.certificates import Certificates

CORE = ROOT / "packages/rocket-core/README.md"
WSGI = ROOT / "packages/rocket-wsgi/README.md"
TLS = ROOT / "packages/rocket-tls/README.md"
CLI = ROOT / "packages/rocket-cli/README.md"
PROJECT = ROOT / "README.md"
TUTORIAL = ROOT / "docs/tutorial.md"

SNIPPETS: dict[Path, list[str]] = {CORE: [], WSGI: [], TLS: [], PROJECT: []}
"""What distinguishes each snippet that a test below runs, by the page."""


def runs(page: Path, mark: str) -> str:
    """Note that a test runs the snippet of a page that contains ``mark``; return the snippet."""
    SNIPPETS[page].append(mark)
    (found,) = [each for each in python_of(page) if mark in each]
    return found


def python_of(page: Path) -> list[str]:
    """The snippets that the page says are run here."""
    return [
        each.text
        for each in blocks_of(page.read_text("utf-8"))
        if each.language == "python" and each.marks.get("run by") == "tests/test_readmes.py"
    ]


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "application/json")])
    shown = {name: value for name, value in environ.items() if isinstance(value, str)}
    return [json.dumps(shown).encode()]


class Run:
    """What a snippet has defined, and where its server listens while it waits."""

    def __init__(self, names: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        self.names = {
            "__name__": "__main__",
            "Listener": Listener,
            "WSGIWorker": WSGIWorker,
            **names,
        }
        self._monkeypatch = monkeypatch

    def execute(self, source: str, check: Callable[[Server], None] | None = None) -> None:
        """Execute a snippet. Its server waits until ``check`` has returned."""
        checked: list[bool] = []

        class Checked(Server):
            def wait(self, timeout: float | None = None) -> bool:
                if check is not None and not checked:
                    checked.append(True)
                    check(self)
                    return True
                return super().wait(timeout)

        self._monkeypatch.setattr(rocket_core, "Server", Checked)
        self.names["Server"] = Checked
        source = re.sub(r"\b(?:0\.0\.0\.0|127\.0\.0\.1):\d+", "127.0.0.1:0", source)
        exec(source, self.names)
        assert bool(checked) is (check is not None)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)
    return Run({"application": application}, monkeypatch)


def url(server: Server) -> str:
    return f"http://{server.listeners[0].address}"


def get(server: Server, path: str = "/", **options: Any) -> httpx.Response:
    return httpx.get(url(server) + path, timeout=PATIENCE, trust_env=False, **options)


@contextmanager
def served(view: Any, **options: Any) -> Iterator[Server]:
    with Server(lambda: WSGIWorker(view, **options), [Listener("127.0.0.1:0")]) as server:
        yield server


# -- servers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("snippet", "text"),
    [
        (runs(PROJECT, "WSGIWorker(application)"), "SERVER_SOFTWARE"),
        (runs(WSGI, 'return [b"Hello, world!"]'), "Hello, world!"),
    ],
    ids=["project", "rocket-wsgi"],
)
def test_a_server(snippet: str, text: str, run: Run) -> None:
    def check(server: Server) -> None:
        assert text in get(server).text

    run.execute(snippet, check)


SITE = runs(WSGI, "site = Site(application, max_body=10_000_000)")


def test_a_site_with_settings(run: Run) -> None:
    def check(server: Server) -> None:
        assert get(server).status_code == 200
        with Client(server.listeners[0].address) as client:
            client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10000001\r\n\r\n")
            assert client.answer().status == 413

    run.execute(SITE, check)


MOUNTS = runs(WSGI, '"/static": StaticFiles("build/static"')


def test_static_files(run: Run, tmp_path: Path) -> None:
    for folder in ("build/static", "media"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "file.css").write_text(folder)

    def check(server: Server) -> None:
        answer = get(server, "/static/file.css")
        assert answer.text == "build/static"
        assert answer.headers["Cache-Control"] == "public, max-age=31536000, immutable"
        assert get(server, "/media/file.css").text == "media"
        assert get(server, "/other").json()["PATH_INFO"] == "/other"

    run.execute(MOUNTS.replace("/srv/media", str(tmp_path / "media")), check)


FILES = runs(WSGI, "FileWorker(files)")


def test_files_without_an_application(run: Run, tmp_path: Path) -> None:
    (tmp_path / "public").mkdir()
    (tmp_path / "public/one.txt").write_text("one")

    def check(server: Server) -> None:
        assert get(server, "/one.txt").text == "one"
        assert "one.txt" in get(server).text

    run.execute(FILES, check)


TRUSTED = runs(WSGI, 'proxy_fields=["X-Forwarded-For"')


def test_trusted_proxies(run: Run, tmp_path: Path) -> None:
    run.execute(TRUSTED)
    fields = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
    with (
        Server(
            run.names["worker"], [Listener(f"unix:{tmp_path}/s"), Listener("127.0.0.1:0")]
        ) as at,
        httpx.Client(transport=httpx.HTTPTransport(uds=f"{tmp_path}/s")) as proxy,
    ):
        seen = proxy.get("http://example.org/", headers=fields).json()
        assert (seen["REMOTE_ADDR"], seen["wsgi.url_scheme"]) == ("192.0.2.7", "https")
        address = f"http://{at.listeners[1].address}/"
        other = httpx.get(address, headers=fields, timeout=PATIENCE, trust_env=False).json()
        assert (other["REMOTE_ADDR"], other["wsgi.url_scheme"]) == ("127.0.0.1", "http")


LOGGED = runs(WSGI, 'AccessLog("access.log", "json") as log')
REOPENED = runs(WSGI, "log.reopen()")


def test_access_log(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGUSR1)

    def lines(name: str) -> list[dict[str, Any]]:
        path = tmp_path / name
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def check(server: Server) -> None:
        get(server, "/first")
        eventually(lambda: lines("access.log"))
        (tmp_path / "access.log").rename(tmp_path / "old.log")
        run.names["signal"] = signal
        exec(REOPENED, run.names)
        os.kill(os.getpid(), signal.SIGUSR1)
        get(server, "/second")
        eventually(lambda: lines("access.log"))

    try:
        run.execute(LOGGED, check)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert "/first" in str(lines("old.log"))
    assert "/second" in str(lines("access.log"))


IDS = runs(WSGI, "RequestIds(trusted=")


def test_request_ids(run: Run) -> None:
    run.execute(IDS)
    with served(application, request_ids=run.names["ids"]) as server:
        answer = get(server, headers={"X-Request-Id": "of-a-stranger"})
        sent = answer.headers["X-Request-Id"]
        assert sent not in {"", "of-a-stranger"}


REDIRECT = runs(WSGI, "https_redirect=443")


def test_redirect_to_https(run: Run) -> None:
    def worker() -> WSGIWorker:
        made: WSGIWorker = eval(REDIRECT, run.names)
        return made

    with Server(worker, [Listener("127.0.0.1:0")]) as server:
        answer = get(server, "/path")
        assert answer.is_redirect
        assert answer.headers["Location"] == "https://127.0.0.1/path"


COMPATIBLE = runs(WSGI, "from rocket_wsgi.compat import Rocket")


def test_the_interface_of_the_original(tmp_path: Path) -> None:
    port = unused_port()
    program = tmp_path / "old.py"
    program.write_text(
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [])\n    return [b'as ever']\n\n"
        + COMPATIBLE.replace("8000", str(port))
    )
    with subprocess.Popen([sys.executable, str(program)]) as process:

        def answer() -> str:
            with contextlib.suppress(OSError, httpx.TransportError):
                return httpx.get(f"http://127.0.0.1:{port}/", trust_env=False).text
            return ""

        try:
            eventually(lambda: answer() == "as ever")
        finally:
            process.terminate()


UNDERSCORES = runs(WSGI, "Underscores.ALLOW")


def test_underscores(run: Run) -> None:
    run.execute(UNDERSCORES)

    def seen(worker: Callable[[], WSGIWorker]) -> dict[str, str]:
        with Server(worker, [Listener("127.0.0.1:0")]) as server:
            found: dict[str, str] = get(server, headers={"X_Fields": "yes"}).json()
            return found

    assert seen(lambda: run.names["worker"])["HTTP_X_FIELDS"] == "yes"
    assert "HTTP_X_FIELDS" not in seen(lambda: WSGIWorker(application))


HINTS = runs(WSGI, 'environ["wsgi.early_hints"]')


def test_early_hints(run: Run) -> None:
    run.names["make_page"] = lambda: b"<p>the page"
    run.execute(HINTS)
    with (
        served(run.names["application"]) as server,
        Client(server.listeners[0].address) as client,
    ):
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        first = client.head()
        assert (first.status, first["Link"]) == (103, "</style.css>; rel=preload; as=style")
        answer = client.answer()
        assert (answer.status, answer.body) == (200, b"<p>the page")


# -- what waits without a thread -------------------------------------------------------------------

CHAT = runs(WSGI, "accept(Chat(session")


def test_websockets_of_flask(run: Run) -> None:
    run.execute(CHAT)
    app = run.names["app"]
    app.secret_key = "of the test"

    def log_in(name: str) -> str:
        run.names["session"]["name"] = name
        return name

    app.add_url_rule("/as/<name>", view_func=log_in)
    with served(app) as server:
        address = url(server).replace("http", "ws") + "/chat"

        def visitor(name: str) -> Any:
            cookie = get(server, f"/as/{name}").headers["Set-Cookie"].partition(";")[0]
            return connect(address, additional_headers={"Cookie": cookie}, proxy=None)

        with visitor("Ann") as ann:
            ann.send("hello")
            assert ann.recv(PATIENCE) == "Ann: hello"
            with visitor("Bob") as bob:
                bob.send("hi")
                assert ann.recv(PATIENCE) == bob.recv(PATIENCE) == "Bob: hi"
            assert ann.recv(PATIENCE) == "Bob has left"


ECHO = runs(WSGI, "sock = Sock(app)")


def test_websockets_of_flask_sock(run: Run) -> None:
    run.execute(ECHO)
    with served(run.names["app"]) as server:
        address = url(server).replace("http", "ws") + "/echo"
        with connect(address, proxy=None) as client:
            client.send("hello")
            assert client.recv(PATIENCE) == "hello"


SOCKETIO = runs(WSGI, "socketio = SocketIO(app")
PARKED = runs(WSGI, "# parked.py")


def test_socketio(tmp_path: Path) -> None:
    """The application loads; tests/test_socketio.py shows that its clients hold no thread."""
    (tmp_path / "mysite.py").write_text(SOCKETIO)
    (tmp_path / "parked.py").write_text(PARKED)
    done = command("check", "parked:app", cwd=tmp_path)
    assert done.returncode == 0, done.stderr


EVENTS = runs(WSGI, 'stream = environ["rocket.events"].open(')


def test_event_streams(run: Run) -> None:
    gone: list[Any] = []
    run.names["gone"] = gone.append
    run.execute(EVENTS)
    with served(run.names["feed"]) as server:
        with (
            httpx.Client(timeout=PATIENCE, trust_env=False) as client,
            client.stream("GET", url(server), headers={"Last-Event-ID": "6"}) as answer,
        ):
            assert answer.headers["Content-Type"] == "text/event-stream"
            lines = []
            for line in answer.iter_lines():
                lines.append(line)
                if line.startswith("data: "):
                    break
        assert lines[0] == ": welcome"
        assert {"event: price", "id: 7", "data: 10.5"} <= set(lines)
        eventually(lambda: gone)


DEFERRED = runs(WSGI, 'environ["rocket.deferred"].hold(')


def test_deferred_answers(run: Run) -> None:
    class Later:
        def answer(self, *arguments: object) -> None:
            told.append(arguments)

    told: list[object] = []
    waiting: list[Any] = []
    run.names |= {"later": Later(), "waiting": waiting, "forget": lambda _: None}
    run.execute(DEFERRED)
    assert len(told) == 1
    *_, last = DEFERRED.strip().splitlines()
    with served(run.names["poll"]) as server, Client(server.listeners[0].address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        eventually(lambda: waiting)
        exec(last, {"later": waiting[0]})
        answer = client.answer()
        assert (answer.body, answer["Access-Control-Allow-Origin"]) == (b"{}", "*")


SHARED = runs(WSGI, 'Group(name="prices", shared=True')
BUS = runs(WSGI, "RedisBus(")


def test_groups_over_processes(run: Run) -> None:
    """tests/test_groups.py has them over processes."""
    run.execute(SHARED)
    assert run.names["prices"].send("10.5", id=1) == 0


def test_groups_over_machines(run: Run, tmp_path: Path) -> None:
    run.names["reload_everything"] = lambda: None
    heard = threading.Event()
    with RedisServer(tmp_path) as redis:
        run.execute(BUS.replace("redis://redis.internal:6379/0", redis.url))
        with run.names["bus"] as bus:
            bus.subscribe(lambda name, message: heard.set())
            run.names["prices"].send("10.5", id=1)
            assert heard.wait(PATIENCE)


# -- the application -------------------------------------------------------------------------------

EXECUTOR = runs(WSGI, "executor = Executor(max_threads=4)")


def test_background_work(run: Run) -> None:
    run.names["build_report"] = lambda month: f"report of {month}".encode()
    run.execute(EXECUTOR)
    with run.names["server"] as server:
        assert get(server, "/begin").status_code == 202
        assert get(server).text == "report of 2026-11"


TRAILERS = runs(WSGI, 'environ["rocket.send_trailers"]')


def test_trailers(run: Run) -> None:
    import hashlib  # noqa: PLC0415 - a name of the snippet

    run.names |= {"hashlib": hashlib, "parts": [b"one", b"two"]}
    run.execute(TRAILERS)
    with served(run.names["view"]) as server, Client(server.listeners[0].address) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nTE: trailers\r\nConnection: close\r\n\r\n")
        digest = hashlib.sha256(b"onetwo").hexdigest()
        assert client.read_all().decode().endswith(f"0\r\nX-Digest: {digest}\r\n\r\n")


GONE = runs(WSGI, 'if environ["rocket.client_gone"]():')


def test_a_client_that_leaves(run: Run) -> None:
    """The loop ends after the part during which the client has left."""
    computed: list[int] = []
    left, done = threading.Event(), threading.Event()

    def compute(part: int) -> None:
        computed.append(part)
        environ = seen[-1]
        eventually(environ["rocket.client_gone"] if left.is_set() else lambda: True)

    seen: list[Any] = []
    run.names |= {"parts": range(100), "compute": compute, "seen": seen, "done": done}
    view = f"""
def view(environ, start_response):
    seen.append(environ)
    start_response("200 OK", [])
{textwrap.indent(GONE, "    ")}
    done.set()
    return []
"""
    run.execute(view)
    with served(run.names["view"]) as server:
        assert get(server).status_code == 200
        assert computed == list(range(100))
        computed.clear()
        done.clear()
        left.set()
        with Client(server.listeners[0].address) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            eventually(lambda: computed)
        assert done.wait(PATIENCE)
        assert computed == [0]


CANCELLED = runs(WSGI, "cancelled.guard(connection.cancel_safe)")


class Pool:
    """Connections to SQLite with the interface of psycopg that the snippet uses."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.interrupted = threading.Event()
        self.asked = threading.Event()

    @contextmanager
    def connection(self) -> Iterator[Any]:
        database = sqlite3.connect(self._path, check_same_thread=False)
        pool = self

        class Connection:
            def execute(self, query: str) -> Any:
                pool.asked.set()
                try:
                    return database.execute(query)
                except sqlite3.OperationalError:
                    pool.interrupted.set()
                    raise

            cancel_safe = database.interrupt

        try:
            yield Connection()
        finally:
            database.close()


def test_a_query_of_a_client_that_leaves(run: Run, tmp_path: Path) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT sum(i) FROM n"
    pool = Pool(tmp_path / "data.db")
    run.names |= {"pool": pool, "QUERY": endless, "compute": lambda row: None}
    run.execute(CANCELLED)
    with served(run.names["view"]) as server:
        with Client(server.listeners[0].address) as client:
            client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert pool.asked.wait(PATIENCE)
        assert pool.interrupted.wait(PATIENCE)


# -- TLS -------------------------------------------------------------------------------------------


@pytest.fixture
def secure(run: Run, tmp_path: Path, certificates: Certificates) -> Run:
    """In a directory with the files that the page names."""
    (tmp_path / "fullchain.pem").write_bytes(certificates.cert.read_bytes())
    (tmp_path / "privkey.pem").write_bytes(certificates.key.read_bytes())
    run.names |= {"Path": Path, "TLSListener": TLSListener, "CertificateStore": CertificateStore}
    run.names |= {"TLSSettings": TLSSettings}
    return run


@contextmanager
def shouting(listener: Listener) -> Iterator[Server]:
    names: dict[str, Any] = {}
    exec(SHOUT.partition("listener = ")[0], names)
    with Server(names["Shout"], [listener]) as server:
        yield server


def shout(server: Server, ca: Path, **options: Any) -> ssl.SSLSocket:
    """Have a line answered by the server; return the connection, which is closed."""
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = options.get("name", "127.0.0.1") == "127.0.0.1"
    context.set_alpn_protocols(["h2", "http/1.1"])
    if "identity" in options:
        context.load_cert_chain(options["identity"])
    address: Any = server.listeners[0].address
    plain = socket.create_connection((address.host, address.port), PATIENCE)
    with context.wrap_socket(plain, server_hostname=options.get("name", "127.0.0.1")) as client:
        client.sendall(b"hello\n")
        assert client.recv(100) == b"HELLO\n"
        client.chosen = client.selected_alpn_protocol()  # type: ignore[attr-defined]
        return client


SHOUT = runs(TLS, "class Shout(Worker):")


def test_a_server_with_tls(secure: Run, certificates: Certificates) -> None:
    def check(server: Server) -> None:
        shout(server, certificates.ca)

    secure.execute(SHOUT, check)


STORE = runs(TLS, 'CertificateDirectory(Path("/etc/letsencrypt/live"))')
CHAINS = runs(TLS, "for chain in listener.certificates.chains:")


def test_several_certificates(
    secure: Run, tmp_path: Path, certificates: Certificates, capsys: pytest.CaptureFixture[str]
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "other.pem")
    issued = authority.issue_cert("example.org")
    folder = tmp_path / "live" / "example.org"
    folder.mkdir(parents=True)
    for blob in issued.cert_chain_pems:
        blob.write_to_path(folder / "fullchain.pem", append=True)
    issued.private_key_pem.write_to_path(folder / "privkey.pem")
    secure.execute(STORE.replace("/etc/letsencrypt/live", str(tmp_path / "live")))
    with shouting(secure.names["listener"]) as server:
        shout(server, certificates.ca)
        shout(server, tmp_path / "other.pem", name="example.org")
        secure.execute(CHAINS)
    printed = capsys.readouterr().out
    assert "['127.0.0.1']" in printed
    assert "['example.org']" in printed


VAULT = runs(TLS, "class VaultSource:")


def test_certificates_from_elsewhere(secure: Run, certificates: Certificates) -> None:
    class Vault:
        version = "1"

        def fetch(self) -> tuple[str, bytes, bytes]:
            return self.version, certificates.cert.read_bytes(), certificates.key.read_bytes()

    secure.names["vault"] = Vault()
    secure.execute(VAULT)
    with shouting(TLSListener("127.0.0.1:0", secure.names["store"])) as server:
        shout(server, certificates.ca)


PROTOCOLS = runs(TLS, 'TLSSettings(protocols=["h2", "http/1.1"])')


def test_protocols(secure: Run, certificates: Certificates) -> None:
    secure.execute(PROTOCOLS)
    settings = secure.names["settings"]
    listener = TLSListener("127.0.0.1:0", certificates.cert, certificates.key, settings=settings)
    with shouting(listener) as server:
        assert shout(server, certificates.ca).chosen == "h2"  # type: ignore[attr-defined]


CLIENTS = runs(TLS, 'client_crl=Path("revoked.pem")')


def test_client_certificates(secure: Run, tmp_path: Path, certificates: Certificates) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "clients.pem")
    good, revoked = (authority.issue_cert(f"{name}@example.org") for name in ("good", "revoked"))
    for name, issued in (("good", good), ("revoked", revoked)):
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}-client.pem")
    issuer = x509.load_pem_x509_certificate(authority.cert_pem.bytes())
    serial = x509.load_pem_x509_certificate(revoked.cert_chain_pems[0].bytes()).serial_number
    now = datetime.now(UTC) - timedelta(hours=1)
    entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(now).build()
    crl = x509.CertificateRevocationListBuilder().issuer_name(issuer.subject)
    crl = crl.last_update(now).next_update(now + timedelta(days=1)).add_revoked_certificate(entry)
    key: Any = load_pem_private_key(authority.private_key_pem.bytes(), None)
    (tmp_path / "revoked.pem").write_bytes(
        crl.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    )
    secure.execute(CLIENTS)
    with shouting(secure.names["listener"]) as server:
        shout(server, certificates.ca, identity=tmp_path / "good-client.pem")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shout(server, certificates.ca, identity=tmp_path / "revoked-client.pem")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            shout(server, certificates.ca)


LOCAL = runs(TLS, "authority = LocalAuthority(")


def test_local_authority(secure: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    secure.execute(LOCAL)
    with shouting(secure.names["listener"]) as server:
        shout(server, tmp_path / ".local/share/my-project/root.pem")


# -- settings of the command, and of proxies -----------------------------------------------------


def text_of(page: Path, mark: str) -> str:
    """The block of a page that says that it is run here, and contains ``mark``."""
    (found,) = [
        each.text
        for each in blocks_of(page.read_text("utf-8"))
        if each.marks.get("run by") == "tests/test_readmes.py" and mark in each.text
    ]
    return found


def command(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [rocket_cli(), *arguments],
        cwd=cwd,
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )


def test_settings_file(tmp_path: Path) -> None:
    """All of its keys are settings, and a wrong one is told of as on the page."""
    settings = text_of(CLI, "# rocket.toml")
    (tmp_path / "rocket.toml").write_text(settings)
    done = command("config", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = [each["source"] for each in json.loads(done.stdout).values()]
    assert len(found) - found.count("default") == settings.count(" = ")
    (tmp_path / "rocket.toml").write_text("# one\n# two\nmax_body = 1\n")
    done = command("config", cwd=tmp_path)
    assert done.stderr == text_of(CLI, "there is no setting max_body")


ENVIRONMENT = r"""
import os

assert os.environ["DATABASE_URL"] == "postgresql://shop@db.example/shop"
assert os.environ["SECRET_KEY"] == "any $characters # at all"
assert os.environ["GREETING"] == 'two "quoted" lines:\nthe second one'


def app(environ, start_response):
    return []
"""


def test_file_of_variables(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(ENVIRONMENT)
    (tmp_path / "shop.env").write_text(text_of(CLI, "# shop.env"))
    assert command("check", "app:app", cwd=tmp_path).returncode != 0
    done = command("check", "app:app", "--env-file", "shop.env", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (tmp_path / "shop.env").write_text("# shop.env\nDATABASE_URL=x\nSECRET_KEY\n")
    done = command("check", "app:app", "--env-file", "shop.env", cwd=tmp_path)
    assert done.stderr == text_of(CLI, "'SECRET_KEY' has no =")


HAPROXY = """
defaults
    mode http
    timeout connect 5s
    timeout client 9s
    timeout server 9s
{}
frontend other
    bind 127.0.0.1:{port}
"""


@pytest.mark.parametrize(
    ("page", "mark"), [(CORE, "send-proxy-v2-ssl"), (WSGI, "option forwardfor")]
)
def test_haproxy_accepts_the_configuration(
    page: Path, mark: str, tmp_path: Path, certificates: Certificates
) -> None:
    pem = tmp_path / "site.pem"
    pem.write_bytes(certificates.cert.read_bytes() + certificates.key.read_bytes())
    text = text_of(page, mark).replace("/etc/haproxy/site.pem", str(pem))
    (tmp_path / "haproxy.cfg").write_text(HAPROXY.format(text, port=unused_port()))
    done = subprocess.run(
        [find_tool("haproxy"), "-c", "-f", str(tmp_path / "haproxy.cfg")],
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("page", "mark", "around"),
    [
        (CORE, "proxy_protocol on;", "stream {{ {} }}"),
        (WSGI, "proxy_set_header Host", "http {{ server {{ listen 127.0.0.1:{port}; {} }} }}"),
    ],
)
def test_nginx_accepts_the_configuration(
    page: Path, mark: str, around: str, tmp_path: Path
) -> None:
    port = unused_port()
    text = text_of(page, mark).replace("listen 443;", f"listen 127.0.0.1:{port};")
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        "include /etc/nginx/modules-enabled/*.conf;\n"
        f"pid {tmp_path}/nginx.pid;\nevents {{}}\n" + around.format(text, port=port)
    )
    done = subprocess.run(
        [find_tool("nginx"), "-t", "-e", "stderr", "-c", str(configuration)],
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr


PROXIED = runs(CORE, 'Listener("0.0.0.0:8000", proxy_protocol=')


def test_a_listener_for_the_proxy_protocol(run: Run) -> None:
    """It refuses clients that are none of the proxies."""
    source = PROXIED.replace("0.0.0.0:8000", "127.0.0.1:0")
    listener: Listener = eval(source, run.names)
    with (
        Server(lambda: WSGIWorker(application), [listener]),
        Client(listener.address) as client,
    ):
        assert client.closed_by_server()


# -- all of them -----------------------------------------------------------------------------------


def test_tutorial_has_the_install_block_of_the_readme() -> None:
    """That one is run by tests/test_install.py."""
    section = PROJECT.read_text("utf-8").partition("## Install\n")[2]
    first = next(each for each in blocks_of(section) if each.language == "sh")
    assert first.marks["run by"] == "tests/test_install.py"
    assert first.text == text_of(TUTORIAL, "rocket-cli --version")


@pytest.mark.parametrize("page", [*SNIPPETS], ids=lambda page: page.parent.name)
def test_every_snippet_is_run(page: Path) -> None:
    """Each of those that name README.md's test has one here, and no other."""
    for each in python_of(page):
        assert sum(mark in each for mark in SNIPPETS[page]) == 1, each
    assert len(python_of(page)) == len(SNIPPETS[page])
