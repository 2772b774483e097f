"""The command as a subprocess: its output, its responses and its exit."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import trustme

from conftest import HELLO, Write
from processes import Served, refuse, run
from rocket_cli import __version__
from rocket_cli._admin.vitals import build
from rocket_cli._processes.signals import TWICE
from rocket_cli._settings.all_settings import SECTIONS, USUAL
from rocket_core.testing import PATIENCE, eventually, listening

ANY = ["--bind", "127.0.0.1:0"]

MODULES = {
    "good.py": HELLO.format("app") + "\n    number = 1\n",
    "needy.py": "import a_missing_package",
    "unfinished.py": "def app(:",
    "failing.py": "\nraise RuntimeError('no database\\nat this address')",
    "factories.py": """
        from good import app
        def create_app():
            return app
        def broken():
            raise LookupError("no settings")
    """,
    "gated.py": """
        import os, socket
        def app(environ, start_response):
            with socket.create_connection(("127.0.0.1", int(os.environ["GATE"]))) as gate:
                gate.recv(1)
            start_response("200 OK", [("Content-Length", "8")])
            return [b"complete"]
    """,
    "forking.py": """
        import os, signal, time
        def app(environ, start_response):
            alive, tell = os.pipe()
            child = os.fork()
            if child == 0:
                os.write(tell, b"!")
                time.sleep(20)
                os._exit(0)
            os.read(alive, 1)
            os.kill(child, signal.SIGTERM)
            ended = os.WTERMSIG(os.waitpid(child, 0)[1])
            os.close(alive)
            os.close(tell)
            start_response("200 OK", [])
            return [signal.Signals(ended).name.encode() if ended else b"still alive"]
    """,
    "crashing.py": """
        import logging.config
        logging.config.dictConfig({"version": 1})
        def app(environ, start_response):
            raise RuntimeError("a bug of the application")
    """,
}


@pytest.fixture
def site(tmp_path: Path, write: Write) -> Path:
    """A directory with modules to serve, none of which has a name that the command searches for."""
    for name, source in MODULES.items():
        write(name, source)
    return tmp_path


@pytest.fixture
def gate() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as gate:
        gate.settimeout(PATIENCE)
        yield gate


def port(sock: socket.socket) -> str:
    return str(sock.getsockname()[1])


# -- the command itself ------------------------------------------------------------------------


def test_version(tmp_path: Path) -> None:
    done = run(tmp_path, "--version")
    assert (done.returncode, done.stdout) == (0, f"rocket-cli {__version__}\n")


def test_script_is_installed(tmp_path: Path) -> None:
    script = shutil.which("rocket-cli", path=sysconfig.get_path("scripts"))
    assert script is not None
    done = subprocess.run(
        [script, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"rocket-cli {__version__}\n"


def test_help_has_the_sections(tmp_path: Path) -> None:
    for option, sections in (
        ("--help-all", SECTIONS),
        (
            "--help",
            {title for title, each in SECTIONS.items() if {s.name for s in each} & USUAL - {"app"}},
        ),
    ):
        done = run(tmp_path, "serve", option)
        assert done.returncode == 0
        titles = re.findall(r"^(\S[^:\n]*):$", done.stdout, re.MULTILINE)
        expected = [each for each in SECTIONS if each in sections]
        assert titles == [*expected, "Options"]


# -- what is served ----------------------------------------------------------------------------


def test_banner_and_answer(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "--threads", "2:4", "good:app") as served:
        url = served.location()
        assert re.fullmatch(r"http://127\.0\.0\.1:[1-9]\d*", url)
        served.wait_for("Ctrl")
        assert client.get(url).text == "hello"
        assert served.stop() == ""
    first, second, third, fourth, *rest = served.said
    assert re.fullmatch(
        rf"Rocket {__version__} \({build()}\), \w+ 3\.\S+ \(GIL (on|off)\), threads: 2 to 4",
        first,
    )
    assert second == "Serving good:app"
    assert third == f"Listening on {url}"
    assert fourth == "Press Ctrl+C, or send SIGTERM, to stop"
    assert [re.sub(r"^\S+ \[\d+\] ", "", line) for line in rest] == [
        (
            "INFO rocket_cli: SIGTERM: requests in flight have 30 seconds to finish; "
            "a second signal stops at once"
        ),
        "INFO rocket_cli: stopped",
    ]


def test_factory(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "factories:create_app()") as served:
        assert client.get(served.location()).text == "hello"
        served.stop()
    assert "Serving factories:create_app()" in served.said


@pytest.mark.parametrize("threads", ["2", "1:2"])
def test_threads(site: Path, client: httpx.Client, gate: socket.socket, threads: str) -> None:
    """Two requests are in the application at the same time."""
    with (
        Served(site, *ANY, "--threads", threads, "gated", GATE=port(gate)) as served,
        ThreadPoolExecutor(2) as clients,
    ):
        url = served.location()
        answers = [clients.submit(client.get, url) for _ in range(2)]
        first, second = gate.accept()[0], gate.accept()[0]
        with first, second:
            assert not any(answer.done() for answer in answers)
        assert [answer.result(PATIENCE).text for answer in answers] == ["complete"] * 2
        served.stop()


@pytest.mark.parametrize("name", ["app.py", "wsgi.py"])
def test_found_application(tmp_path: Path, write: Write, client: httpx.Client, name: str) -> None:
    write(name, HELLO.format("app"))
    with Served(tmp_path, *ANY) as served:
        assert client.get(served.location()).text == "hello"
        served.stop()
    assert served.said[0] == f"Found application: {name.removesuffix('.py')}:app"


def test_found_django_project(tmp_path: Path, write: Write, client: httpx.Client) -> None:
    write("manage.py", "raise SystemExit('not to be run')")
    write("mysite/__init__.py", "")
    write("mysite/settings.py", "")
    write("mysite/wsgi.py", "import mysite.settings\n" + HELLO.format("application").lstrip())
    with Served(tmp_path, *ANY) as served:
        assert client.get(served.location()).text == "hello"
        served.stop()
    assert served.said[0] == "Found Django project: mysite.wsgi:application"


def test_welcome_page_where_nothing_is_found(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY) as served:
        page = client.get(served.location())
        served.stop()
    assert page.status_code == 200
    assert "rocket-cli serve myproject.wsgi:application" in page.text
    assert served.said[0] == (
        f"Found no application in {site}; name one: rocket-cli serve MODULE:APP"
    )
    assert "Serving the welcome page" in served.said


@pytest.mark.parametrize("options", [(), ("--preload",)])
@pytest.mark.parametrize("bind", ["0.0.0.0:0", ":0", "unix:a.sock"])
def test_no_welcome_page_for_other_machines(
    tmp_path: Path, bind: str, options: tuple[str, ...]
) -> None:
    """A deploy to a wrong directory fails."""
    line = refuse(tmp_path, "--bind", bind, "--bind", "127.0.0.1:0", *options)
    assert line.startswith(f"found no application in {tmp_path}: name one, such as rocket-cli ")


def test_error_of_the_application_is_logged(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "crashing") as served:
        assert client.get(served.location()).status_code == 500
        served.wait_for(r"^\S+ \[\d+\] ERROR rocket_wsgi: ")
        served.wait_for(r"^  RuntimeError: a bug of the application$")
        served.stop()


# -- where it listens --------------------------------------------------------------------------


def trusting(authority: trustme.CA) -> httpx.Client:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return httpx.Client(trust_env=False, timeout=PATIENCE, verify=context)


def test_http_and_https(
    site: Path, authority: trustme.CA, certificate: Path, key: Path, client: httpx.Client
) -> None:
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with Served(site, "--bind", "http://127.0.0.1:0", *ANY, *tls, "good") as served:
        plain, secure = served.location(), served.location()
        assert plain.startswith("http://127.0.0.1:")
        assert secure.startswith("https://127.0.0.1:")
        assert client.get(plain).text == "hello"
        with trusting(authority) as verifying:
            assert verifying.get(secure).text == "hello"
        with pytest.raises(httpx.ConnectError, match=r"(?i)certificate"):
            client.get(secure)
        served.stop()


def test_key_in_the_file_of_the_certificate(
    site: Path, authority: trustme.CA, leaf: trustme.LeafCert
) -> None:
    leaf.private_key_and_cert_chain_pem.write_to_path(site / "both.pem")
    binds = ["--bind", "https://127.0.0.1:0", "--tls-cert", "both.pem"]
    with Served(site, *binds, "good") as served, trusting(authority) as verifying:
        assert verifying.get(served.location()).text == "hello"
        served.stop()


def test_unix_socket(site: Path) -> None:
    with Served(site, "--bind", "unix:rocket.sock", "good") as served:
        assert served.location() == "unix:rocket.sock"
        transport = httpx.HTTPTransport(uds=str(site / "rocket.sock"))
        with httpx.Client(transport=transport, timeout=PATIENCE) as client:
            assert client.get("http://localhost/").text == "hello"
        served.stop()
    assert not (site / "rocket.sock").exists()


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback address")
def test_ipv6(site: Path, client: httpx.Client) -> None:
    with Served(site, "--bind", "[::1]:0", "good") as served:
        url = served.location()
        assert url.startswith("http://[::1]:")
        assert client.get(url).text == "hello"
        served.stop()


# -- the access log ----------------------------------------------------------------------------


def test_access_log_file_is_complete_at_exit(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "--access-log", "access.log", "good") as served:
        url = served.location()
        for number in range(20):
            client.get(f"{url}/page/{number}")
        assert served.stop() == ""
    lines = (site / "access.log").read_text().splitlines()
    assert len(lines) == 20
    # Two that follow each other closely may be written in either order, by two threads.
    for number in range(20):
        assert sum(f'"GET /page/{number} HTTP/1.1" 200 5' in line for line in lines) == 1


def test_access_log_on_standard_output(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "--access-log", "-", "good") as served:
        client.get(served.location())
        output = served.stop()
    assert output.count("\n") == 1
    assert '"GET / HTTP/1.1" 200 5' in output
    assert "GET" not in "".join(served.said)


# -- how it ends -------------------------------------------------------------------------------


def test_sigterm_lets_running_requests_finish(
    site: Path, client: httpx.Client, gate: socket.socket
) -> None:
    with (
        Served(site, *ANY, "gated", GATE=port(gate)) as served,
        ThreadPoolExecutor(1) as threads,
    ):
        url = served.location()
        number = httpx.URL(url).port or 0
        sockets = listening(number)
        assert sockets
        answer = threads.submit(client.get, url)
        running, _ = gate.accept()
        with running:
            served.send(signal.SIGTERM)
            served.wait_for("SIGTERM: requests in flight")
            eventually(lambda: not sockets & listening(number))
            assert not answer.done()
        assert answer.result(PATIENCE).text == "complete"
        assert served.wait()[0] == 0


def test_sigterm_that_is_sent_twice_lets_running_requests_finish(
    site: Path, client: httpx.Client, gate: socket.socket
) -> None:
    """timeout(1), for one, signals the command, and then the whole group of processes."""
    with (
        Served(site, *ANY, "gated", GATE=port(gate)) as served,
        ThreadPoolExecutor(1) as threads,
    ):
        url = served.location()
        number = httpx.URL(url).port or 0
        sockets = listening(number)
        answer = threads.submit(client.get, url)
        running, _ = gate.accept()
        with running:
            served.send(signal.SIGTERM)
            os.killpg(served.pid, signal.SIGTERM)
            served.wait_for("SIGTERM: requests in flight")
            eventually(lambda: not sockets & listening(number))
            assert not answer.done()
        assert answer.result(PATIENCE).text == "complete"
        assert served.wait()[0] == 0
    assert not any("stopping at once" in line for line in served.said)


@pytest.mark.parametrize(
    "numbers",
    [
        [signal.SIGINT],
        [signal.SIGQUIT],
        [signal.SIGTERM, signal.SIGTERM],
        [signal.SIGTERM, signal.SIGINT],
    ],
    ids=lambda numbers: "+".join(number.name for number in numbers),
)
def test_running_requests_are_ended(
    site: Path, client: httpx.Client, gate: socket.socket, numbers: list[signal.Signals]
) -> None:
    with (
        Served(site, *ANY, "gated", GATE=port(gate)) as served,
        ThreadPoolExecutor(1) as threads,
    ):
        answer = threads.submit(client.get, served.location())
        running, _ = gate.accept()
        with running:
            *gentle, quick = numbers
            for number in gentle:
                served.send(number)
                served.wait_for(f"{number.name}: requests in flight")
            if quick in gentle:
                time.sleep(TWICE)  # before that it is no other order
            served.send(quick)
            served.wait_for(f"{quick.name}: stopping at once")
            assert served.wait()[0] == 0
        with pytest.raises(httpx.TransportError):
            answer.result(PATIENCE)


def test_signal_for_a_process_that_the_application_forked(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "forking") as served:
        url = served.location()
        assert client.get(url).text == "SIGTERM"
        assert client.get(url).text == "SIGTERM"
        served.stop()
    assert sum("SIGTERM: " in line for line in served.said) == 1


def test_idle_connection_does_not_delay_the_exit(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "good") as served:
        client.get(served.location())
        served.stop()


# -- what it renews ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (signal.SIGUSR1, "the logs are reopened"),
        (signal.SIGHUP, "reloaded: generation 2 serves"),
    ],
)
def test_access_log_is_reopened(
    site: Path, client: httpx.Client, number: signal.Signals, said: str
) -> None:
    log, old = site / "access.log", site / "access.log.1"
    with Served(site, *ANY, "--access-log", "access.log", "good") as served:
        url = served.location()
        assert client.get(f"{url}/first").status_code == 200
        eventually(lambda: "/first" in log.read_text())
        log.rename(old)
        served.send(number)
        served.wait_for(said)
        assert client.get(f"{url}/second").status_code == 200
        served.stop()
    assert [line.split()[6] for line in old.read_text().splitlines()] == ["/first"]
    assert [line.split()[6] for line in log.read_text().splitlines()] == ["/second"]


def test_error_log_is_reopened(site: Path, client: httpx.Client) -> None:
    log, old = site / "error.log", site / "error.log.1"
    with Served(site, *ANY, "--error-log", "error.log", "crashing") as served:
        url = served.location()
        assert client.get(f"{url}/first").status_code == 500
        log.rename(old)
        served.send(signal.SIGUSR1)
        eventually(lambda: log.exists() and "the logs are reopened" in log.read_text())
        assert client.get(f"{url}/second").status_code == 500
        served.stop()
    assert "/first: the application failed" in old.read_text()
    text = log.read_text()
    assert "/second: the application failed" in text
    assert text.endswith("rocket_cli: stopped\n")
    assert served.said[-1] == "Press Ctrl+C, or send SIGTERM, to stop"


def test_sigusr1_without_an_access_log(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "good") as served:
        url = served.location()
        served.send(signal.SIGUSR1)
        assert client.get(url).text == "hello"
        served.stop()


def test_certificates_are_reloaded(
    site: Path, authority: trustme.CA, certificate: Path, key: Path
) -> None:
    """A certificate that cannot be loaded is logged, and the server keeps the previous one."""
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with Served(site, *ANY, *tls, "good") as served, trusting(authority) as verifying:
        url = served.location()
        served.send(signal.SIGHUP)
        served.wait_for("INFO rocket_cli: reloaded: generation 2 serves")
        key.write_text("no key")
        served.send(signal.SIGHUP)
        served.wait_for(f"ERROR rocket_cli: reload failed, the old processes keep serving: .*{key}")
        assert verifying.get(url).text == "hello"
        served.stop()


# -- what it refuses ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("missing:app", ["no module 'missing'"]),
        ("needy:app", ["cannot import needy", "a_missing_package", "needy.py:1"]),
        ("unfinished:app", ["cannot import unfinished", "SyntaxError", "unfinished.py:1"]),
        ("failing:app", ["cannot import failing", "no database at this address", "failing.py:2"]),
        ("good:ap", ["module good", "'ap'", "did you mean 'app'?"]),
        ("good:number", ["good:number", "not callable"]),
        ("factories:broken()", ["factories:broken()", "no settings", "factories.py:6"]),
        ("factories:create_app", ["factories:create_app()"]),
        ("good.py", ["'good.py'", "use good"]),
        ("good:app(1)", ["'good:app(1)'", "good:app()"]),
        ("good:", ["'good:'", "MODULE:APP"]),
    ],
)
def test_application_that_cannot_be_loaded(site: Path, target: str, named: list[str]) -> None:
    line = refuse(site, *ANY, target)
    for name in named:
        assert name in line


def test_found_module_that_fails(site: Path, write: Write) -> None:
    write("app.py", "from needy import app")
    write("main.py", HELLO.format("app"))
    assert refuse(site, *ANY).startswith("cannot import app: ")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--bind", "nonsense"], ["--bind", "'nonsense'", "HOST:PORT"]),
        (["--bind", "ftp://127.0.0.1:0"], ["--bind", "ftp://127.0.0.1:0", "https://"]),
        (["--bind", "https://127.0.0.1:0"], ["--bind", "https://127.0.0.1:0", "--tls-cert"]),
        (["--bind", "unix:missing/rocket.sock"], ["unix:missing/rocket.sock", "directory"]),
        (["--bind", f"unix:{'long' * 50}"], ["unix:longlong", "too long"]),
        (["--threads", "many"], ["--threads", "'many'", "MIN:MAX"]),
        (["--tls-key", "key.pem"], ["--tls-key", "--tls-cert"]),
        (["--access-log", "missing/access.log"], ["--access-log", "missing/access.log"]),
    ],
)
def test_bad_option(site: Path, arguments: list[str], named: list[str]) -> None:
    line = refuse(site, *ANY, *arguments, "good:app")
    for name in named:
        assert name in line


def test_port_in_use(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        name = f"127.0.0.1:{port(taken)}"
        line = refuse(site, *ANY, "--bind", name, "good:app")
    assert name in line
    assert "in use" in line


@pytest.mark.parametrize("option", ["--tls-cert", "--tls-key"])
def test_missing_certificate_file(site: Path, certificate: Path, key: Path, option: str) -> None:
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key), option, "missing.pem"]
    assert "missing.pem" in refuse(site, *ANY, *tls, "good:app")


def test_key_of_another_certificate(site: Path, certificate: Path, authority: trustme.CA) -> None:
    other = site / "other.pem"
    authority.issue_cert("127.0.0.1").private_key_pem.write_to_path(other)
    line = refuse(site, *ANY, "--tls-cert", str(certificate), "--tls-key", str(other), "good:app")
    assert str(other) in line
    assert str(certificate) in line


def test_debug_shows_the_traceback_first(site: Path) -> None:
    done = run(site, "serve", *ANY, "--log-level", "debug", "failing")
    assert done.returncode == 2
    first, *_, last = done.stderr.splitlines()
    assert first == "Traceback (most recent call last):"
    assert 'failing.py", line 2, in <module>' in done.stderr
    assert "CommandError" not in done.stderr
    assert last.startswith("rocket-cli: error: cannot import failing: ")


def test_unknown_option(site: Path) -> None:
    done = run(site, "serve", "--port", "8000", "good:app")
    assert done.returncode == 2
    assert "--port" in done.stderr
    assert "Traceback" not in done.stderr
