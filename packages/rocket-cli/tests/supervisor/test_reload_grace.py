"""The previous generation is kept for a time after a reload, and serves again if it has to."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest

from conftest import VERSION, Write
from processes import Served, refuse, run, start
from rocket_core.testing import PATIENCE, eventually

ANY = ["--bind", "127.0.0.1:0"]
LONG = ["--reload-grace", "10m"]
"""Longer than a test takes: a generation that is kept does not end by itself."""


@pytest.fixture
def site(tmp_path: Path, write: Write) -> Path:
    write("versioned.py", VERSION.format("one"))
    return tmp_path


@pytest.fixture
def client() -> Iterator[httpx.Client]:
    """A client that stays connected."""
    limits = httpx.Limits(keepalive_expiry=None)
    with httpx.Client(limits=limits, trust_env=False, timeout=PATIENCE) as made:
        yield made


def version(client: httpx.Client, url: str) -> str:
    return client.get(url).text.split()[0]


def on_new_connections(url: str) -> set[str]:
    """Return the versions that clients get which connect now."""
    return {httpx.get(url, trust_env=False, timeout=PATIENCE).text.split()[0] for _ in range(20)}


def reload(served: Served, before: list[int]) -> list[int]:
    """Reload, and return the new processes, which serve then beside those of ``before``."""
    served.send(signal.SIGHUP)
    served.wait_for("INFO rocket_cli: generation 1 is kept for 10m00s, accepting no more")
    return [each for each in served.workers() if each not in before]


@pytest.mark.parametrize("processes", [1, 2])
def test_old_processes_end_when_the_new_ones_have_served_for_long(
    site: Path, write: Write, client: httpx.Client, processes: int
) -> None:
    options = ["--reload-grace", "1s", "--processes", str(processes)]
    with Served(site, *ANY, *options, "versioned") as served:
        url = served.location()
        before = served.workers()
        write("versioned.py", VERSION.format("second"))
        assert version(client, url) == "one"
        served.send(signal.SIGHUP)
        served.wait_for("INFO rocket_cli: generation 1 is kept for 1.00 s, accepting no more")
        served.wait_for("INFO rocket_cli: reloaded: generation 2 serves")
        eventually(lambda: len(served.workers()) == processes)
        assert not set(before) & set(served.workers())
        assert on_new_connections(url) == {"second"}
        served.stop()


@pytest.mark.parametrize("processes", [1, 2])
def test_kept_processes_serve_their_clients_and_no_others(
    site: Path, write: Write, client: httpx.Client, processes: int
) -> None:
    with Served(site, *ANY, *LONG, "--processes", str(processes), "versioned") as served:
        url = served.location()
        before = served.workers()
        assert version(client, url) == "one"
        write("versioned.py", VERSION.format("second"))
        reload(served, before)
        # What has woken an old process before it was told is still accepted there.
        eventually(lambda: on_new_connections(url) == {"second"})
        assert version(client, url) == "one"
        served.stop()


@pytest.mark.parametrize("processes", [1, 2])
def test_old_processes_serve_again_when_a_new_one_dies(
    site: Path, write: Write, client: httpx.Client, processes: int
) -> None:
    with Served(site, *ANY, *LONG, "--processes", str(processes), "versioned") as served:
        url = served.location()
        before = served.workers()
        assert version(client, url) == "one"
        write("versioned.py", VERSION.format("second"))
        (new, *_) = reload(served, before)
        os.kill(new, signal.SIGSEGV)
        served.wait_for(
            "ERROR rocket_cli: reload failed, the old processes keep serving: "
            f"worker {new} was killed by SIGSEGV after .* of serving"
        )
        eventually(lambda: on_new_connections(url) == {"one"})
        eventually(lambda: served.workers() == before)
        assert version(client, url) == "one"
        write("versioned.py", VERSION.format("third"))
        served.send(signal.SIGHUP)
        served.wait_for("generation 1 is kept")
        eventually(lambda: on_new_connections(url) == {"third"})
        served.stop()


def moment(served: Served, pattern: str) -> datetime:
    """Return the time of the next line of the log that has ``pattern``."""
    return datetime.fromisoformat(served.wait_for(rf"^(\S+) .*{pattern}")[1])


def test_grace_of_a_reload_that_has_failed_does_not_end_the_next_one(site: Path) -> None:
    with Served(site, *ANY, "--reload-grace", "6s", "versioned") as served:
        served.location()
        before = served.workers()
        served.send(signal.SIGHUP)
        served.wait_for("generation 1 is kept")
        (new,) = [each for each in served.workers() if each not in before]
        os.kill(new, signal.SIGKILL)
        served.wait_for("reload failed")
        served.send(signal.SIGHUP)
        began = moment(served, "generation 1 is kept")
        ended = moment(served, "reloaded: generation 3 serves")
        assert (ended - began).total_seconds() > 5.9
        served.stop()


def test_command_says_that_the_reload_has_failed(site: Path, write: Write) -> None:
    options = [*LONG, "--admin", "admin.sock"]
    with Served(site, *ANY, *options, "versioned") as served:
        url = served.location()
        eventually(lambda: len(served.workers()) == 2)  # with the observer
        before = served.workers()
        write("versioned.py", VERSION.format("second"))
        command = start([], ["reload", "--admin", "admin.sock"], site, {})
        served.wait_for("generation 1 is kept")
        (new,) = [each for each in served.workers() if each not in before]
        os.kill(new, signal.SIGKILL)
        assert command.wait(PATIENCE) == 1
        assert command.stderr is not None
        assert command.stdout is not None
        with command.stdout, command.stderr:
            said = command.stderr.read()
        assert f"worker {new} was killed by SIGKILL (out of memory?) after" in said
        eventually(lambda: on_new_connections(url) == {"one"})
        served.stop()


def test_reload_that_is_requested_meanwhile_follows(site: Path, write: Write) -> None:
    with Served(site, *ANY, "--reload-grace", "1s", "versioned") as served:
        url = served.location()
        served.send(signal.SIGHUP)
        served.wait_for("generation 1 is kept")
        write("versioned.py", VERSION.format("second"))
        served.send(signal.SIGHUP)
        served.wait_for("INFO rocket_cli: reloaded: generation 2 serves")
        served.wait_for("INFO rocket_cli: reloaded: generation 3 serves")
        assert on_new_connections(url) == {"second"}
        served.stop()


def test_replacement_that_cannot_start_is_a_failure_of_the_generation(
    site: Path, write: Write
) -> None:
    with Served(site, *ANY, *LONG, "--max-lifetime", "1s", "versioned") as served:
        url = served.location()
        write("versioned.py", VERSION.format("second"))
        served.send(signal.SIGHUP)
        served.wait_for("generation 1 is kept")
        write("versioned.py", "raise RuntimeError('no database')")
        served.wait_for("reload failed, the old processes keep serving: cannot import versioned")
        assert on_new_connections(url) == {"one"}
        # The process that serves again has reached its lifetime, too.
        write("versioned.py", VERSION.format("third"))
        eventually(lambda: on_new_connections(url) == {"third"})
        served.stop()


def test_address_that_the_new_settings_lack_is_served_again(site: Path, write: Write) -> None:
    settings = 'app = "versioned"\nreload-grace = 600\nbind = ["unix:stays.sock"{}]'
    write("rocket.toml", settings.format(', "unix:goes.sock"'))

    def ask(name: str) -> str:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(site / name))) as client:
            return version(client, "http://localhost/")

    with Served(site) as served:
        served.location()
        before = served.workers()
        write("rocket.toml", settings.format(', "unix:comes.sock"'))
        write("versioned.py", VERSION.format("second"))
        (new,) = reload(served, before)
        eventually(lambda: (ask("stays.sock"), ask("comes.sock")) == ("second", "second"))
        os.kill(new, signal.SIGKILL)
        served.wait_for("reload failed")
        eventually(lambda: (ask("stays.sock"), ask("goes.sock")) == ("one", "one"))
        eventually(lambda: not (site / "comes.sock").exists())
        served.stop()
    assert not list(site.glob("*.sock"))


def test_kept_process_that_dies_is_no_failure(site: Path, write: Write) -> None:
    with Served(site, *ANY, *LONG, "versioned") as served:
        url = served.location()
        (old,) = served.workers()
        write("versioned.py", VERSION.format("second"))
        (new,) = reload(served, [old])
        os.kill(old, signal.SIGKILL)
        served.wait_for(f"worker {old}, which was kept, was killed by SIGKILL")
        os.kill(new, signal.SIGKILL)  # nothing else could serve now
        served.wait_for(f"worker {new} was killed by SIGKILL .* replacing it")
        eventually(lambda: len(served.workers()) == 1)
        served.wait_for("serves")
        assert on_new_connections(url) == {"second"}
        served.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_kept_processes_end_with_the_others(
    site: Path, write: Write, client: httpx.Client, number: signal.Signals
) -> None:
    with Served(site, *ANY, *LONG, "versioned") as served:
        url = served.location()
        before = served.workers()
        assert version(client, url) == "one"
        write("versioned.py", VERSION.format("second"))
        reload(served, before)
        served.send(number)
        served.wait()
        eventually(lambda: not any(Path(f"/proc/{each}").exists() for each in before))
    assert not any("killing it" in line for line in served.said)


def test_preload_replaces_all_processes(site: Path) -> None:
    said = refuse(site, *ANY, *LONG, "--preload", "versioned")
    assert said == (
        "with --preload a reload replaces all processes, so --reload-grace cannot keep the old "
        "ones: choose one of them"
    )
    assert run(site, "check", *LONG, "versioned").returncode == 0
