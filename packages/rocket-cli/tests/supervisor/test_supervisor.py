"""The supervisor from outside: processes that start, are replaced, and end."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from choosing import choose
from conftest import VERSION, Write
from processes import Served, refuse
from rocket_cli._supervisor import generation
from rocket_cli._supervisor.generations import lifetime
from rocket_core.extending import granted_cores
from rocket_core.testing import eventually

ANY = ["--bind", "127.0.0.1:0"]


@pytest.fixture
def site(tmp_path: Path, write: Write) -> Path:
    write("versioned.py", VERSION.format("one"))
    return tmp_path


def version(client: httpx.Client, url: str) -> str:
    return client.get(url).text.split()[0]


# -- how many ----------------------------------------------------------------------------------


def test_requests_are_served_by_several_processes(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "--processes", "3", "versioned") as served:
        url = served.location()
        workers = set(served.workers())
        assert len(workers) == 3
        seen = set()

        def all_seen() -> bool:
            _, pid, several = client.get(url).text.split()
            assert several == "True"
            seen.add(int(pid))
            return seen == workers

        eventually(all_seen)
        served.stop()
    assert served.said[0].endswith("processes: 3, threads: 8")


def test_one_process_by_default(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "versioned") as served:
        url = served.location()
        (worker,) = served.workers()
        assert client.get(url).text == f"one {worker} False"
        served.stop()


def test_start_is_an_event_of_the_log_that_is_a_file(site: Path) -> None:
    with Served(site, *ANY, "--error-log", "error.log", "versioned") as served:
        url = served.location()
        served.stop()
    events = [
        line.partition("INFO rocket_cli: ")[2]
        for line in (site / "error.log").read_text().splitlines()
    ]
    assert events[0].startswith("started: Rocket ")
    assert events[0].endswith(f"; serving versioned on {url}")
    assert events[-1] == "stopped"


def test_start_is_not_told_twice_on_standard_error(site: Path) -> None:
    with Served(site, *ANY, "versioned") as served:
        served.location()
        served.stop()
    assert not any("started: " in line for line in served.said)


def test_uploads_that_would_be_refused_are_told_at_the_start(site: Path) -> None:
    with Served(site, *ANY, "--spool-free", "1000000G", "versioned") as served:
        served.wait_for("WARNING rocket_cli: large uploads would be refused with 503: .* free, of")
        served.location()
        served.stop()
    with Served(site, *ANY, "--spool-free", "1000000G", "--stream-bodies", "versioned") as served:
        served.location()
        served.stop()
    assert not any("WARNING" in line for line in served.said)


def test_as_many_as_processors(site: Path) -> None:
    with Served(site, *ANY, "--processes", "0", "versioned") as served:
        served.location()
        assert len(served.workers()) == granted_cores()
        served.stop()


def test_as_many_as_the_quota_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generation, "granted_cores", lambda: 3)
    assert generation.size_of(choose("--processes", "0")) == 3
    assert generation.size_of(choose("--processes", "2")) == 2


def test_one_process_more_or_less(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "versioned") as served:
        url = served.location()
        (first,) = served.workers()
        served.send(signal.SIGTTIN)
        eventually(lambda: len(served.workers()) == 2)
        served.send(signal.SIGTTOU)
        eventually(lambda: len(served.workers()) == 1)
        assert served.workers() != [first]
        served.send(signal.SIGTTOU)  # there is always one
        assert version(client, url) == "one"
        assert len(served.workers()) == 1
        served.stop()


# -- a process that ends -----------------------------------------------------------------------


def test_killed_process_is_replaced(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "versioned") as served:
        url = served.location()
        (worker,) = served.workers()
        os.kill(worker, signal.SIGKILL)
        served.wait_for(
            rf"ERROR rocket_cli: worker {worker} was killed by SIGKILL \(out of memory\?\) "
            "after .* of serving: replacing it in 0.05 s"
        )
        assert client.get(url).text.split()[1] != str(worker)
        served.stop()


def test_processes_end_with_a_supervisor_that_is_killed(site: Path) -> None:
    with Served(site, *ANY, "--processes", "2", "versioned") as served:
        served.location()
        workers = served.workers()
        os.kill(served.pid, signal.SIGKILL)
        served.wait()
        eventually(lambda: not any(Path(f"/proc/{each}").exists() for each in workers))


def test_a_test_leaves_no_process_behind(site: Path) -> None:
    """A test that fails kills even processes that take no other signal."""
    with Served(site, *ANY, "versioned") as served:
        served.location()
        (worker,) = served.workers()
        os.kill(worker, signal.SIGSTOP)
    eventually(lambda: not Path(f"/proc/{worker}").exists())


def test_process_that_cannot_begin(site: Path, write: Write) -> None:
    write("dying.py", "import os\nos.kill(os.getpid(), 9)")
    assert refuse(site, *ANY, "dying").endswith(
        "was killed by SIGKILL (out of memory?) before it was ready"
    )


def test_nothing_can_be_started_any_more(site: Path, write: Write) -> None:
    """The last process ends, and the application on disk cannot be imported."""
    with Served(site, *ANY, "versioned") as served:
        served.location()
        write("versioned.py", "raise RuntimeError('no database')")
        os.kill(served.workers()[0], signal.SIGKILL)
        served.wait_for("cannot start a process: cannot import versioned: .*no database")
        assert served.wait()[0] == 2
    assert served.said[-1].startswith("rocket-cli: error: cannot import versioned: ")


def test_processes_that_die_young_are_replaced_ever_more_slowly(site: Path, write: Write) -> None:
    write(
        "short.py",
        "import os, threading\n"
        "def app(environ, start_response): ...\n"
        "def worker_ready(server, worker): threading.Timer(0.1, os._exit, (3,)).start()\n",
    )
    with Served(site, *ANY, "--hooks", "short", "short:app") as served:
        for shorter, pause in pairwise([0.0, 0.05, 0.1, 0.5, 1.0]):
            text = r"ended with exit code 3 after .* of serving: replacing it in ([\d.]+) s"
            assert shorter < float(served.wait_for(text)[1]) <= pause  # what is left of it
        served.send(signal.SIGTERM)
        served.wait()


def test_process_is_replaced_after_its_lifetime(site: Path) -> None:
    options = ("--max-lifetime", "0.3s", "--max-lifetime-jitter", "0.1")
    with Served(site, *ANY, *options, "versioned") as served:
        served.location()
        for _ in range(2):  # two serve for a moment, which may be a long one
            found = served.wait_for(r"worker (\d+) has reached --max-lifetime: replacing it")
            served.wait_for("serves")
            eventually(lambda: int(found[1]) not in served.workers())  # noqa: B023
        served.stop()


@pytest.mark.parametrize(("jitter", "longest"), [((), 110), (("--max-lifetime-jitter", "1m"), 160)])
def test_lifetimes_differ(jitter: tuple[str, ...], longest: float) -> None:
    chosen = choose("--max-lifetime", "100", *jitter)
    found = {lifetime(chosen) for _ in range(100)}
    assert len(found) > 50
    assert all(100 <= each <= longest for each in found)
    assert max(found) > 100 + (longest - 100) / 2


# -- reload ------------------------------------------------------------------------------------


def test_reload_serves_the_new_application(site: Path, write: Write, client: httpx.Client) -> None:
    with Served(site, *ANY, "--processes", "2", "versioned") as served:
        url = served.location()
        before = served.workers()
        write("versioned.py", VERSION.format("second"))
        assert version(client, url) == "one"
        served.send(signal.SIGHUP)
        served.wait_for("INFO rocket_cli: reloaded: generation 2 serves")
        eventually(lambda: len(served.workers()) == 2)
        assert {version(client, url) for _ in range(10)} == {"second"}
        assert not set(before) & set(served.workers())
        served.stop()


def test_application_that_does_not_boot(site: Path, write: Write, client: httpx.Client) -> None:
    with Served(site, *ANY, "--processes", "2", "versioned") as served:
        url = served.location()
        before = served.workers()
        write("versioned.py", "raise RuntimeError('no database')")
        served.send(signal.SIGHUP)
        served.wait_for(
            "ERROR rocket_cli: reload failed, the old processes keep serving: "
            "cannot import versioned: RuntimeError: no database"
        )
        eventually(lambda: served.workers() == before)
        assert version(client, url) == "one"
        write("versioned.py", VERSION.format("second"))
        served.send(signal.SIGHUP)
        served.wait_for("INFO rocket_cli: reloaded: generation 3 serves")
        assert version(client, url) == "second"
        served.stop()


def test_application_that_fails_its_health_check(
    site: Path, write: Write, client: httpx.Client
) -> None:
    with Served(site, *ANY, "--reserved", "/healthz", "versioned") as served:
        url = served.location()
        write(
            "versioned.py",
            """
            def app(environ, start_response):
                start_response("503 Service Unavailable", [])
                return []
            """,
        )
        served.send(signal.SIGHUP)
        served.wait_for("reload failed, .*: the health check /healthz was answered with status 503")
        assert version(client, url) == "one"
        served.stop()


def test_settings_are_read_again(site: Path, write: Write, client: httpx.Client) -> None:
    write("other.py", VERSION.format("other"))
    write("rocket.toml", 'app = "versioned"')
    with Served(site, *ANY) as served:
        url = served.location()
        write("rocket.toml", 'app = "other"\nprocesses = 2')
        served.send(signal.SIGHUP)
        served.wait_for("INFO rocket_cli: reloaded: generation 2 serves")
        assert version(client, url) == "other"
        eventually(lambda: len(served.workers()) == 2)
        write("rocket.toml", "app =")
        served.send(signal.SIGHUP)
        served.wait_for(
            "reload failed, the old processes keep serving: rocket.toml is not valid TOML: "
        )
        assert version(client, url) == "other"
        served.stop()


def test_addresses_may_change(site: Path, write: Write) -> None:
    """Kept addresses are served without a gap, new ones are opened, and removed ones are closed."""
    write("rocket.toml", 'app = "versioned"\nbind = ["unix:stays.sock", "unix:goes.sock"]')

    def ask(name: str) -> int:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(site / name))) as client:
            return client.get("http://localhost/").status_code

    with Served(site) as served:
        served.location()
        assert (ask("stays.sock"), ask("goes.sock")) == (200, 200)
        write("rocket.toml", 'app = "versioned"\nbind = ["unix:comes.sock", "unix:stays.sock"]')
        served.send(signal.SIGHUP)
        served.wait_for("INFO rocket_cli: reloaded: generation 2 serves")
        assert (ask("stays.sock"), ask("comes.sock")) == (200, 200)
        assert not (site / "goes.sock").exists()
        with socket.create_server(("127.0.0.1", 0)) as taken:
            name = f"127.0.0.1:{taken.getsockname()[1]}"
            write("rocket.toml", f'app = "versioned"\nbind = ["unix:new.sock", "{name}"]')
            served.send(signal.SIGHUP)
            served.wait_for(
                f"reload failed, the old processes keep serving: cannot listen on {name}: .*in use"
            )
        assert not (site / "new.sock").exists()
        assert (ask("stays.sock"), ask("comes.sock")) == (200, 200)
        served.stop()
    assert not list(site.glob("*.sock"))


# -- what processes ask, and a process beside generations ---------------------------------------

OBSERVED = """
    import json, sys, threading
    from rocket_cli._commands import launch
    from rocket_cli._commands.main import main
    from rocket_cli._processes.control import Control

    class Observer:
        name = "observer"
        sockets = ()

        def run(self, channel):
            over = threading.Event()
            orders = {"stop": lambda _: over.set(), "end": lambda _: over.set()}
            control = Control(channel, orders, {})
            control.start()
            channel.send({"event": "ready"})
            with open("questions") as questions:
                for line in iter(questions.readline, "end\\n"):
                    name, arguments = json.loads(line)
                    print("answer", json.dumps(control.ask(name, arguments)), file=sys.stderr)
            over.wait()
            print("the observer ends", file=sys.stderr)
            return 0

    launch.observers = lambda chosen, present: [Observer()]
    main(prog_name="rocket-cli")
"""


class Observed(Served):
    """A server with an observer that asks the questions of the test."""

    def __init__(self, site: Path, write: Write, *arguments: str) -> None:
        script = write("observed.py", OBSERVED)
        os.mkfifo(site / "questions")
        super().__init__(site, *arguments, command=[sys.executable, str(script)])

    def open(self, site: Path) -> None:
        """Start to ask when the process that reads the questions is there."""

        def opened() -> bool:
            with suppress(OSError):
                descriptor = os.open(site / "questions", os.O_WRONLY | os.O_NONBLOCK)
                os.set_blocking(descriptor, True)
                self.questions = os.fdopen(descriptor, "w", buffering=1)
                return True
            return False

        eventually(opened)

    def ask(self, name: str, **arguments: object) -> dict[str, Any]:
        self.questions.write(json.dumps([name, arguments]) + "\n")
        found: dict[str, Any] = json.loads(self.wait_for("^answer (.*)$")[1])
        return found


def test_questions_to_all_processes(site: Path, write: Write) -> None:
    with Observed(site, write, *ANY, "--processes", "2", "versioned") as served:
        served.location()
        served.open(site)
        answers = served.ask("stats")["answers"]
        assert len({each["process"] for each in answers} & set(served.workers())) == 2
        assert [each["state"] for each in answers] == ["running", "running"]
        (told,) = served.ask("processes")["answers"]
        assert told["supervisor"] == served.pid
        kinds = [(each["kind"], each["generation"], each["phase"]) for each in told["processes"]]
        assert kinds == [("worker", 1, "serving")] * 2 + [("observer", 0, "serving")]
        assert served.ask("resize-processes", processes=3)["answers"] == [{}]
        eventually(lambda: len(served.ask("stats")["answers"]) == 3)
        served.questions.write("end\n")
        served.questions.close()
        served.stop()


def test_counts_of_ended_processes_are_kept(site: Path, write: Write, client: httpx.Client) -> None:
    with Observed(site, write, *ANY, "versioned") as served:
        url = served.location()
        served.open(site)
        for _ in range(3):
            client.get(url)
        assert served.ask("stats")["ended"] == {}
        assert served.ask("reload")["answers"] == [{"generation": 2}]
        eventually(lambda: served.ask("stats")["ended"].get("requests") == 3)
        write("versioned.py", "raise RuntimeError('no database')")
        (failed,) = served.ask("reload")["answers"]
        assert "no database" in failed["error"]
        served.questions.write("end\n")
        served.questions.close()
        served.stop()


def test_observer_outlives_generations_and_is_restarted(site: Path, write: Write) -> None:
    with Observed(site, write, *ANY, "versioned") as served:
        served.location()
        served.open(site)
        (told,) = served.ask("processes")["answers"]
        observer = told["processes"][-1]["process"]
        served.ask("reload")
        (told,) = served.ask("processes")["answers"]
        assert observer in [each["process"] for each in told["processes"]]
        os.kill(observer, signal.SIGKILL)
        served.wait_for(
            rf"observer {observer} was killed by SIGKILL \(out of memory\?\): restarting it"
        )
        served.questions.close()
        served.open(site)
        assert served.ask("stats")["answers"]
        assert served.ask("drain")["answers"] == [{}]
        served.questions.write("end\n")
        served.questions.close()
        assert served.wait()[0] == 0
    assert "the observer ends" in served.said
