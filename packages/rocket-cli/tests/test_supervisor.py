"""The supervisor from outside: processes that begin, are replaced, and end."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from conftest import Write
from processes import PATIENCE, Served, refuse

ANY = ["--bind", "127.0.0.1:0"]
VERSION = """
    import os
    def app(environ, start_response):
        start_response("200 OK", [])
        return [f"{} {{os.getpid()}} {{environ['wsgi.multiprocess']}}".encode()]
"""


@pytest.fixture
def site(tmp_path: Path, write: Write) -> Path:
    write("versioned.py", VERSION.format("one"))
    return tmp_path


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    with httpx.Client(headers={"Connection": "close"}, trust_env=False, timeout=PATIENCE) as client:
        yield client


def eventually(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.01)


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


def test_as_many_as_processors(site: Path) -> None:
    with Served(site, *ANY, "--processes", "0", "versioned") as served:
        served.location()
        assert len(served.workers()) == len(os.sched_getaffinity(0))
        served.stop()


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
        served.wait_for(rf"ERROR rocket_cli: worker {worker} was killed by SIGKILL; another takes")
        assert client.get(url).text.split()[1] != str(worker)
        served.stop()


def test_processes_end_with_a_supervisor_that_is_killed(site: Path) -> None:
    with Served(site, *ANY, "--processes", "2", "versioned") as served:
        served.location()
        workers = served.workers()
        os.kill(served.pid, signal.SIGKILL)
        served.wait()
        eventually(lambda: not any(Path(f"/proc/{each}").exists() for each in workers))


def test_process_that_cannot_begin(site: Path, write: Write) -> None:
    write("dying.py", "import os\nos.kill(os.getpid(), 9)")
    assert refuse(site, *ANY, "dying").endswith("was killed by SIGKILL before it was ready")


def test_nothing_can_be_started_any_more(site: Path, write: Write) -> None:
    """The last process ends, and the application on disk is broken."""
    with Served(site, *ANY, "versioned") as served:
        served.location()
        write("versioned.py", "raise RuntimeError('no database')")
        os.kill(served.workers()[0], signal.SIGKILL)
        served.wait_for("cannot start a process: cannot import versioned: .*no database")
        assert served.wait()[0] == 2
    assert served.said[-1].startswith("rocket-cli: error: cannot import versioned: ")


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
            "ERROR rocket_cli: not reloaded, the previous generation stays: "
            "cannot import versioned: RuntimeError: no database"
        )
        eventually(lambda: served.workers() == before)
        assert version(client, url) == "one"
        write("versioned.py", VERSION.format("second"))
        served.send(signal.SIGHUP)
        served.wait_for("INFO rocket_cli: reloaded: generation 2 serves")
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
        served.wait_for("not reloaded, .* stays: the health check /healthz is answered 503")
        assert version(client, url) == "one"
        served.stop()


def test_settings_are_read_anew(site: Path, write: Write, client: httpx.Client) -> None:
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
        served.wait_for("not reloaded, .* stays: rocket.toml is not TOML: ")
        assert version(client, url) == "other"
        served.stop()


def test_addresses_may_change(site: Path, write: Write) -> None:
    """What stays is served without a gap, what is new is listened on, and what is gone closed."""
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
            served.wait_for(f"not reloaded, .* stays: cannot listen on {name}: .*in use")
        assert not (site / "new.sock").exists()
        assert (ask("stays.sock"), ask("comes.sock")) == (200, 200)
        served.stop()
    assert not list(site.glob("*.sock"))
