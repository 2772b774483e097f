"""A server with an admin endpoint and metrics, seen from outside."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import socket
import stat
import textwrap
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from prometheus_client.parser import text_string_to_metric_families as parse
from websockets.exceptions import ConnectionClosedOK
from websockets.sync.client import connect

from choosing import choose
from conftest import Write
from processes import Served, refuse, run
from rocket_cli import main
from rocket_cli._admin.client import AdminClient, RefusedError
from rocket_cli._errors import CommandError
from rocket_cli._processes.observer import observers
from rocket_core.testing import PATIENCE, eventually

ANY = ["--bind", "127.0.0.1:0", "--admin", "admin", "--metrics", "127.0.0.1:0"]

HOLD = """
    import os, pathlib, time

    def app(environ, start_response):
        if environ["PATH_INFO"] == "/hold":
            wait_for(pathlib.Path("leave"))
        start_response("200 OK", [("Content-Length", "0")])
        return []

    def wait_for(path):
        pathlib.Path("entered").touch()
        while not path.exists():
            time.sleep(0.01)  # the line that holds it
"""


SHARE = """
    class Echo:
        def on_message(self, ws, data):
            ws.send(data)
            ws.send("again")
            if data == "close":
                ws.close(4000)

    def app(environ, start_response):
        path = environ["PATH_INFO"]
        if path == "/websocket":
            environ["rocket.websocket"].accept(Echo())
        elif path == "/events":
            stream = environ["rocket.events"].open(retry=None)
            stream.send("one", id=1)
            stream.comment("two")
        elif path == "/poll":
            environ["rocket.deferred"].hold()
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return []
"""


@pytest.fixture
def site(tmp_path: Path, write: Write) -> Path:
    write("hold.py", HOLD)
    write("share.py", SHARE)
    return tmp_path


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Connection": "close"}, trust_env=False, timeout=PATIENCE) as client:
        yield client


def start(site: Path, *options: str, app: str = "hold:app") -> tuple[Served, str, str]:
    """Start a server; return it with its URL and that of its metrics."""
    served = Served(site, *ANY, *options, app)
    url = served.location()
    return served, url, served.wait_for(r"metrics are at (\S+)")[1]


def command(site: Path, *arguments: str, code: int = 0) -> str:
    """Return the output of a command that asks the server of ``site``."""
    done = CliRunner().invoke(main, arguments, env={"ROCKET_ADMIN": str(site / "admin")})
    assert done.exit_code == code, done.output
    return done.output


def processes(site: Path, kind: str) -> list[int]:
    with AdminClient(site / "admin") as admin:
        (supervisor,) = admin.ask("processes").answers
    return [each["process"] for each in supervisor["processes"] if each["kind"] == kind]


def metrics(client: httpx.Client, url: str) -> dict[str, float]:
    text = client.get(url).text
    return {
        each.name + "".join(each.labels.values()): each.value
        for family in parse(text)
        for each in family.samples
        if not each.name.endswith("_bucket")
    }


@dataclass(frozen=True)
class Shared:
    """A server for tests that do not change it."""

    site: Path
    url: str
    metrics: str


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    site = tmp_path_factory.mktemp("shared")
    (site / "hold.py").write_text(textwrap.dedent(HOLD))
    served, url, where = start(site)
    with served:
        yield Shared(site, url, where)
        served.stop()
    assert not (site / "admin").exists()


def test_thread_that_sleeps_is_shown_with_its_line(shared: Shared, client: httpx.Client) -> None:
    site = shared.site
    request = threading.Thread(target=client.get, args=(f"{shared.url}/hold?x=1",))
    request.start()
    eventually((site / "entered").exists)
    text = command(site, "threads")
    (site / "leave").touch()
    request.join()
    assert re.search(r"GET /hold\?x=1  from 127\.0\.0\.1:\d+", text)
    assert f"{site}/hold.py:6 app" in text
    assert f"{site}/hold.py:13 wait_for" in text
    assert "time.sleep(0.01)  # the line that holds it" in text
    assert "7 idle threads" in text


def listen(url: str, path: str, *, beginning: bytes) -> socket.socket:
    """Ask as an EventSource does, and read up to ``beginning`` of the body."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    sock = socket.create_connection((host, int(port)), PATIENCE)
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n".encode())
    received = b""
    while beginning not in received:
        received += sock.recv(4096)
    return sock


def test_websockets_streams_and_answers_of_all_processes(site: Path, client: httpx.Client) -> None:
    """Their levels, messages and ends are added up, and stay when the processes are replaced."""
    served, url, where = start(site, "--processes", "2", app="share:app")
    with served, ExitStack() as stack:
        address = f"ws{url.removeprefix('http')}/websocket"
        sockets = [stack.enter_context(connect(address, proxy=None)) for _ in range(10)]
        for each in sockets:
            each.send("hello")
            assert [each.recv(PATIENCE) for _ in range(2)] == ["hello", "again"]
        for _ in range(4):
            stack.enter_context(listen(url, "/events", beginning=b": two\n\n"))
        for _ in range(3):
            stack.enter_context(listen(url, "/poll", beginning=b""))

        def parked(kind: str) -> float:
            return metrics(client, where).get(f"rocket_shared_connections{kind}parked", 0)

        eventually(lambda: parked("deferred answer") == 3)
        assert (parked("websocket"), parked("event stream")) == (10, 4)
        answers = json.loads(command(site, "stats", "--json"))["answers"]
        found = [each["counters"]["messages"]["websocket"]["received"] for each in answers]
        assert (len(found), sum(found)) == (2, 10)
        found = json.loads(command(site, "connections", "--json"))["answers"]
        kinds = [each["kind"] for answer in found for each in answer["connections"]]
        assert sorted(set(kinds) - {""}) == ["deferred answer", "event stream", "websocket"]
        text = command(site, "connections")
        assert re.search(r"parked .* websocket +1 +2 *$", text, re.MULTILINE)
        assert re.search(r"parked .* event stream +0 +2 *$", text, re.MULTILINE)
        for each in sockets[:4]:
            each.close(3999)
        sockets[4].send("close")
        counts = {
            "rocket_messages_received_totalwebsocket": 11,
            "rocket_messages_sent_totalwebsocket": 22,
            "rocket_messages_dropped_totalwebsocket": 0,
            "rocket_messages_sent_totalevent stream": 8,
            "rocket_shared_connections_closed_total3999websocket": 4,
            "rocket_shared_connections_closed_total4000websocket": 1,
        }
        eventually(lambda: counts.items() <= metrics(client, where).items())
        assert re.search(
            r"^websocket +5 +0 +11 +22 +0 +3999: 4, 4000: 1 *$",
            command(site, "stats"),
            re.MULTILINE,
        )
        assert command(site, "reload") == "reloaded\n"
        for each in sockets[5:]:
            with pytest.raises(ConnectionClosedOK):
                each.recv(PATIENCE)
        counts["rocket_shared_connections_closed_total1001websocket"] = 5
        eventually(lambda: counts.items() <= metrics(client, where).items())
        served.stop()


def test_counters_include_all_processes_and_replaced_ones(site: Path, client: httpx.Client) -> None:
    served, url, where = start(site, "--processes", "2")
    with served:
        for _ in range(10):
            client.get(url)
        eventually(lambda: metrics(client, where)["rocket_requests_total"] == 10)
        assert metrics(client, where)["rocket_processes1"] == 2
        answers = json.loads(command(site, "stats", "--json"))["answers"]
        assert sum(each["counters"]["requests"] for each in answers) == 10
        assert command(site, "reload") == "reloaded\n"
        for _ in range(5):
            client.get(url)

        def all_told() -> bool:
            found = metrics(client, where)
            assert found["rocket_requests_total"] >= 10
            return found["rocket_requests_total"] == 15 and found.get("rocket_processes2") == 2

        eventually(all_told)
        eventually(lambda: "rocket_processes1" not in metrics(client, where))
        assert metrics(client, where)["rocket_requests_total"] == 15
        assert "Requests   15, 0 waiting" in command(site, "stats")
        served.stop()


def test_killed_process_counts_with_its_last_counters(site: Path, client: httpx.Client) -> None:
    served, url, where = start(site)
    with served:
        for _ in range(4):
            client.get(url)
        eventually(lambda: metrics(client, where)["rocket_requests_total"] == 4)
        (worker,) = processes(site, "worker")
        os.kill(worker, signal.SIGKILL)
        served.wait_for("replacing it")
        eventually(lambda: metrics(client, where)["rocket_process_restarts_total"] == 1)
        eventually(lambda: metrics(client, where).get("rocket_processes1") == 1)
        client.get(url)
        eventually(lambda: metrics(client, where)["rocket_requests_total"] == 5)
        served.stop()


def test_changes_last_until_the_next_reload(site: Path) -> None:
    """A process that starts later has the changed settings, too."""
    served, _, _ = start(site, "--threads", "2")
    with served:
        assert command(site, "resize", "--threads", "3:5", "--processes", "2") == (
            "threads: 3:5\nprocesses: 2\n"
        )
        assert command(site, "log-level", "debug") == "log level: debug\n"

        def limits() -> list[tuple[int, int]]:
            with AdminClient(site / "admin") as admin:
                found = admin.ask("stats").sound
            return [(each["threads"]["min"], each["threads"]["max"]) for each in found]

        eventually(lambda: limits() == [(3, 5), (3, 5)])
        os.kill(processes(site, "worker")[0], signal.SIGKILL)
        served.wait_for("replacing it")
        eventually(lambda: limits() == [(3, 5), (3, 5)])
        command(site, "reload")
        eventually(lambda: limits() == [(2, 2)] * 2)
        served.stop()


def test_reload_that_fails_is_reported(site: Path, write: Write) -> None:
    served, _, _ = start(site)
    with served:
        write("hold.py", "raise RuntimeError('no database')")
        told = command(site, "reload", code=1)
        assert "RuntimeError: no database" in told
        assert "reloaded" not in told
        served.stop()


def test_drain_ends_the_server(site: Path) -> None:
    served, _, _ = start(site)
    with served:
        assert command(site, "drain") == "draining\n"
        code, _ = served.wait()
        assert code == 0
    assert not (site / "admin").exists()


def test_observer_that_dies_is_restarted(site: Path, client: httpx.Client) -> None:
    served, url, where = start(site)
    with served:
        client.get(url)
        (observer,) = processes(site, "observer")
        os.kill(observer, signal.SIGKILL)
        served.wait_for("restarting it")
        served.wait_for("metrics are at")
        assert metrics(client, where)["rocket_requests_total"] == 1
        served.stop()


def test_new_supervisor_takes_over_what_the_observer_listens_on(
    site: Path, client: httpx.Client
) -> None:
    served, url, where = start(site)
    with served:
        old = supervisor(site)
        inode = (site / "admin").stat().st_ino
        served.send(signal.SIGUSR2)
        served.wait_for("takes over")
        eventually(lambda: supervisor(site) != old)
        client.get(url)
        eventually(lambda: metrics(client, where)["rocket_requests_total"] == 1)
        assert (site / "admin").stat().st_ino == inode
        eventually(lambda: not Path(f"/proc/{old}/task").exists() or defunct(old))
        assert supervisor(site) != old
        command(site, "drain")
        code, _ = served.wait()
        assert code == 0
    assert not (site / "admin").exists()


def supervisor(site: Path) -> int:
    """Return the process ID of the supervisor that answers; 0 while none does."""
    try:
        with AdminClient(site / "admin") as admin:
            number: int = admin.ask("processes").answers[0]["supervisor"]
    except CommandError:
        return 0
    return number


def defunct(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_observer_ignores_signals_of_the_terminal(shared: Shared, client: httpx.Client) -> None:
    (observer,) = processes(shared.site, "observer")
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1):
        os.kill(observer, number)
    assert metrics(client, shared.metrics)["rocket_processes1"] == 1
    assert processes(shared.site, "observer") == [observer]


def test_socket_is_for_the_user_of_the_server(shared: Shared) -> None:
    assert stat.S_IMODE((shared.site / "admin").stat().st_mode) == 0o600


def test_without_the_settings_there_is_no_observer(site: Path) -> None:
    with Served(site, "--bind", "127.0.0.1:0", "hold:app") as served:
        served.location()
        assert len(served.workers()) == 1
        served.stop()


def test_metrics_at_a_unix_socket(site: Path) -> None:
    options = ["--bind", "127.0.0.1:0", "--metrics", "unix:metrics"]
    with Served(site, *options, "hold:app") as served:
        served.wait_for("metrics are at unix:metrics")
        transport = httpx.HTTPTransport(uds=str(site / "metrics"))
        with httpx.Client(transport=transport) as client:
            assert "rocket_build_info" in client.get("http://rocket/metrics").text
        served.stop()
    assert not (site / "metrics").exists()


@pytest.mark.parametrize("name", ["admin", "metrics"])
def test_address_that_is_taken(site: Path, name: str) -> None:
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(str(site / "taken"))
        taken.listen()
        value = "taken" if name == "admin" else "unix:taken"
        told = refuse(site, "--bind", "127.0.0.1:0", f"--{name}", value, "hold:app")
    assert told == (
        f"--{name}: cannot listen on unix:taken: Address already in use; choose another address"
    )


def test_no_socket_is_left_when_the_server_cannot_start(site: Path, write: Write) -> None:
    write("hold.py", "")
    told = refuse(site, *ANY, "hold:app")
    assert "module hold has no attribute 'app'" in told
    assert not (site / "admin").exists()
    refuse(site, "--bind", "127.0.0.1:0", "--bind", "unix:/none/x", "--admin", "admin", "hold")
    assert not (site / "admin").exists()


@pytest.mark.parametrize("how", ["serve", "check"])
def test_admin_in_a_missing_directory(site: Path, how: str) -> None:
    told = refuse(site, "--admin", "none/admin", "hold:app", command=how)
    assert told.startswith("--admin 'none/admin': the directory ")


@pytest.mark.parametrize("value", ["8000", "https://:9100", ""])
def test_metrics_at_an_invalid_address(site: Path, value: str) -> None:
    assert refuse(site, "--metrics", value, "hold:app", command="check").startswith("--metrics: ")


def test_metrics_without_their_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def find_spec(name: str) -> None:
        assert name == "prometheus_client"

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    with pytest.raises(CommandError, match=r'pip install "rocket-cli\[metrics\]"'):
        observers(choose("--metrics", ":0"), [])


# -- the commands' own settings --------------------------------------------------------------------


def test_socket_from_the_file_of_settings(site: Path, write: Write) -> None:
    write("rocket.toml", 'bind = ["127.0.0.1:0"]\nadmin = "from-file"\napp = "hold:app"\n')
    with Served(site) as served:
        served.location()
        eventually((site / "from-file").exists)
        done = run(site, "stats")
        assert done.stdout.startswith("Rocket "), done.stderr
        served.stop()


def test_socket_that_is_not_named(tmp_path: Path) -> None:
    assert refuse(tmp_path, command="stats").startswith("no admin socket given: ")


@pytest.mark.parametrize("name", ["stats", "threads", "connections", "drain", "reload"])
def test_no_server_listens(tmp_path: Path, name: str) -> None:
    assert command(tmp_path, name, code=2) == (
        f"rocket-cli: error: {tmp_path}/admin: there is no such socket; "
        "start the server with --admin and this path\n"
    )


def test_resize_to_nothing(tmp_path: Path) -> None:
    assert "nothing to change" in command(tmp_path, "resize", code=2)


def test_sort_and_limit(shared: Shared) -> None:
    host, _, port = shared.url.removeprefix("http://").rpartition(":")
    address = host, int(port)
    with (
        socket.create_connection(address, PATIENCE),
        socket.create_connection(address, PATIENCE) as second,
    ):
        second.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert second.recv(1000)
        mine = second.getsockname()[1]

        def listed() -> str:
            return command(shared.site, "connections", "--sort", "requests", "--limit", "1")

        eventually(lambda: "1 of 2 connections" in listed())
        assert f"127.0.0.1:{mine} " in listed()
        found = json.loads(command(shared.site, "connections", "--json"))["answers"][0]
        assert found["count"] == len(found["connections"]) == 2


def test_question_that_there_is_not(shared: Shared) -> None:
    with (
        AdminClient(shared.site / "admin") as admin,
        pytest.raises(RefusedError, match="unknown question; ask for one of"),
    ):
        admin.ask("nonsense")


def test_metrics_of_what_has_failed(site: Path, write: Write) -> None:
    with Served(site, *ANY, "hold:app") as served:
        where = served.wait_for(r"metrics are at (http://\S+)")[1]
        write("hold.py", "raise LookupError")
        served.send(signal.SIGHUP)
        served.wait_for("reload failed")
        text = httpx.get(where).text
        served.stop()
    assert "\nrocket_reloads_failed_total 1.0\n" in text
    assert "\nrocket_process_starts_failed_total 1.0\n" in text
    assert "\nrocket_processes_wanted 1.0\n" in text
    assert re.search(r"\nrocket_start_time_seconds 1\.\d+e\+09\n", text)
