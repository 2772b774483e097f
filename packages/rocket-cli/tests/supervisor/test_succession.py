"""A new supervisor that takes over from the running one."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import httpx
import pytest

from conftest import VERSION, Write
from processes import Served, eventually

ANY = ["--bind", "127.0.0.1:0"]


@pytest.fixture
def site(tmp_path: Path, write: Write) -> Path:
    write("versioned.py", VERSION.format("one"))
    return tmp_path


def test_new_supervisor_takes_over(site: Path, write: Write, client: httpx.Client) -> None:
    """The new supervisor takes over the sockets, their files, and the PID file."""
    options = ["--bind", "unix:rocket.sock", "--pid", "rocket.pid", "--processes", "2"]
    with Served(site, *ANY, *options, "versioned") as served:
        url = served.location()
        assert served.location() == "unix:rocket.sock"
        assert (site / "rocket.pid").read_text() == f"{served.pid}\n"
        write("versioned.py", VERSION.format("second"))
        served.send(signal.SIGUSR2)
        assert served.location() == url
        new = int(served.wait_for("INFO rocket_cli: process ([0-9]+) takes over")[1])
        assert (site / "rocket.pid").read_text() == f"{new}\n"
        eventually(lambda: not Path(f"/proc/{served.pid}/task").exists() or not served.workers())
        assert client.get(url).text.startswith("second ")
        with httpx.Client(transport=httpx.HTTPTransport(uds=f"{site}/rocket.sock")) as unix:
            assert unix.get("http://localhost/").text.startswith("second ")
        os.kill(new, signal.SIGTERM)
        assert served.wait()[0] == 0
    assert not (site / "rocket.sock").exists()
    assert not (site / "rocket.pid").exists()


def test_new_supervisor_that_fails(site: Path, write: Write, client: httpx.Client) -> None:
    with Served(site, *ANY, "--pid", "rocket.pid", "versioned") as served:
        url = served.location()
        write("versioned.py", "raise RuntimeError('no database')")
        served.send(signal.SIGUSR2)
        served.wait_for(
            "upgrade failed, the old supervisor .*: cannot import versioned: .*no database"
        )
        assert client.get(url).text.startswith("one ")
        write("rocket.toml", "app =")
        served.send(signal.SIGUSR2)
        served.wait_for(
            "upgrade failed, the old supervisor keeps running: new supervisor .* exit code 2"
        )
        assert client.get(url).text.startswith("one ")
        assert (site / "rocket.pid").read_text() == f"{served.pid}\n"
        served.stop()


def test_signal_while_a_new_supervisor_starts(site: Path, write: Write) -> None:
    write("slow.py", VERSION.format("one"))
    with Served(site, *ANY, "slow") as served:
        served.location()
        write("slow.py", "import time\nopen('begun', 'w').close()\ntime.sleep(60)")
        served.send(signal.SIGUSR2)
        eventually((site / "begun").exists)
        served.stop()  # and with it all that hold its standard error
