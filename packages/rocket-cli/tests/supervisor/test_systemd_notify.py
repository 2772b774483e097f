from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import VERSION, Write
from processes import PATIENCE, Served
from rocket_cli._supervisor.systemd_notify import Notifier

ANY = ["--bind", "127.0.0.1:0"]


class Systemd:
    """The socket on which a service manager listens."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(PATIENCE)
        self._socket.bind(address.replace("@", "\0"))
        self.address = address

    def next(self) -> dict[str, str]:
        text = self._socket.recv(4096).decode()
        return dict(line.split("=", 1) for line in text.split("\n"))

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(params=["path", "abstract"])
def systemd(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Systemd]:
    abstract = request.param == "abstract"
    systemd = Systemd(f"@rocket-test-{os.getpid()}" if abstract else f"{tmp_path}/notify")
    yield systemd
    systemd.close()


def test_life_of_a_service(tmp_path: Path, write: Write, systemd: Systemd) -> None:
    write("versioned.py", VERSION.format("one"))
    with Served(tmp_path, *ANY, "versioned", NOTIFY_SOCKET=systemd.address) as served:
        assert systemd.next() == {"READY": "1", "STATUS": "generation 1 serves, processes: 1"}
        write("versioned.py", "raise RuntimeError('no database')")
        before = time.monotonic_ns() // 1000
        served.send(signal.SIGHUP)
        reloading = systemd.next()
        assert before <= int(reloading.pop("MONOTONIC_USEC")) <= time.monotonic_ns() // 1000
        assert reloading == {"RELOADING": "1", "STATUS": "reloading"}
        failed = systemd.next()
        assert failed["READY"] == "1"
        assert failed["STATUS"].startswith("reload failed: cannot import versioned: RuntimeError")
        write("versioned.py", VERSION.format("second"))
        served.send(signal.SIGHUP)
        assert systemd.next()["RELOADING"] == "1"
        assert systemd.next() == {"READY": "1", "STATUS": "generation 3 serves, processes: 1"}
        served.send(signal.SIGUSR2)
        assert systemd.next()["RELOADING"] == "1"
        assert systemd.next()["STATUS"] == "generation 1 serves, processes: 1"
        handed_over = systemd.next()
        new = int(handed_over["MAINPID"])
        assert new != served.pid
        os.kill(new, signal.SIGTERM)
        assert systemd.next() == {"STOPPING": "1", "STATUS": "stopping"}
        assert served.wait()[0] == 0


def test_signs_of_life(tmp_path: Path, write: Write, systemd: Systemd) -> None:
    write("good.py", VERSION.format("one"))
    variables = {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": "200000"}
    with Served(tmp_path, *ANY, "good", **variables) as served:
        beats = 0
        while beats < 5:
            beats += "WATCHDOG" in systemd.next()
        served.stop()


def test_application_does_not_speak_for_the_service(tmp_path: Path, write: Write) -> None:
    write(
        "app.py",
        """
        import os
        assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(os.environ)
        def app(environ, start_response):
            pass
        """,
    )
    variables = {"NOTIFY_SOCKET": f"{tmp_path}/missing", "WATCHDOG_USEC": "60000000"}
    with Served(tmp_path, *ANY, **variables) as served:
        served.wait_for("WARNING rocket_cli: cannot notify systemd at .*: No such file")
        served.location()
        served.stop()


def test_nobody_asks() -> None:
    environ = {"WATCHDOG_USEC": "1000000"}
    notifier = Notifier(environ)
    assert notifier.watchdog is None
    assert environ == {}
    notifier.send(READY=1)


@pytest.mark.parametrize(("process", "period"), [("", 0.5), ("this", 0.5), ("1", None)])
def test_watchdog_may_be_another_process(process: str, period: float | None) -> None:
    process = str(os.getpid()) if process == "this" else process
    environ = {"NOTIFY_SOCKET": "/a", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": process}
    assert Notifier(environ).watchdog == period


def test_value_adds_no_field(systemd: Systemd) -> None:
    """Text from a process cannot add fields of its own."""
    notifier = Notifier({"NOTIFY_SOCKET": systemd.address})
    notifier.send(READY=1, STATUS="reload failed: a\nMAINPID=1\r\ud800" + "x" * 100_000)
    found = systemd.next()
    assert found.keys() == {"READY", "STATUS"}
    assert found["STATUS"].startswith("reload failed: a MAINPID=1\\x0d\\ud800xxx")
    notifier.send(STOPPING=1)
    assert systemd.next() == {"STOPPING": "1"}
