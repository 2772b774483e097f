"""A server that is deployed to, whose processes are killed, and that ends, under load.

`ROCKET_TEST_DEPLOY=full` runs it at length.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, Self

import pytest

from systemtests.load import Failure, Load
from systemtests.processes import PATIENCE, PLAIN, Server, assert_quiet, serve


class Extent(NamedTuple):
    """How much is done."""

    reloads: int
    broken: int
    kills: int
    upgrades: int


FULL = Extent(reloads=100, broken=20, kills=20, upgrades=5)
SHORT = Extent(reloads=10, broken=3, kills=3, upgrades=2)
EXTENT = FULL if os.environ.get("ROCKET_TEST_DEPLOY") == "full" else SHORT

APPLICATION = """
import os, time
VERSION = {}
def application(environ, start_response):
    if environ["PATH_INFO"] == "/slow":
        time.sleep(0.05)
    body = f"{{VERSION}} {{os.getpid()}}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]
"""
BROKEN = "raise RuntimeError('does not boot')"
KILLED = 1.0
"""Seconds in which the requests in flight on a killed process fail."""


class Deployment:
    """A server, and what is done to it."""

    def __init__(self, folder: Path, server: Server) -> None:
        self._path = folder / "deployed.py"
        self.server = server
        self.pid = server.pid
        self.version = 0
        self.since = 0.0
        self.kills: list[float] = []

    def write(self, source: str) -> None:
        """Replace the application in one step."""
        new = self._path.with_suffix(".new")
        new.write_text(source)
        new.replace(self._path)

    def reload(self) -> None:
        self.version += 1
        self.write(APPLICATION.format(self.version))
        os.kill(self.pid, signal.SIGHUP)
        self.server.wait_for("reloaded: generation")
        self.since = time.monotonic()

    def reload_what_does_not_boot(self) -> None:
        self.write(BROKEN)
        os.kill(self.pid, signal.SIGHUP)
        self.server.wait_for("reload failed, .*does not boot")
        self.write(APPLICATION.format(self.version))

    def kill(self, load: Load) -> None:
        worker = self.serving(load)
        self.kills.append(time.monotonic())
        os.kill(worker, signal.SIGKILL)
        self.server.wait_for(f"worker {worker} was killed by SIGKILL")
        self.server.wait_for("worker [0-9]+ serves")

    def serving(self, load: Load) -> int:
        """A process that has just answered, and does not drain."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            candidates = children(self.pid)
            for answer in load.answers[-100:]:
                version, pid = map(int, answer.body.split())
                if answer.sent > self.since and version == self.version and pid in candidates:
                    return pid
            time.sleep(0.01)
        pytest.fail("nobody answers")

    def upgrade(self) -> None:
        os.kill(self.pid, signal.SIGUSR2)
        self.pid = int(self.server.wait_for("process ([0-9]+) takes over")[1])
        self.since = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        self.server.kill()

    def end(self) -> None:
        os.kill(self.pid, signal.SIGTERM)
        assert self.server.wait() == 0


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.fixture
def deployment(tmp_path: Path) -> Deployment:
    (tmp_path / "deployed.py").write_text(APPLICATION.format(0))
    options = ["--processes", "3", "--threads", "8"]
    variables = {"PYTHONDONTWRITEBYTECODE": "1"}  # its time stamps are too coarse for this
    server = serve(*PLAIN, *options, "deployed:application", cwd=tmp_path, variables=variables)
    return Deployment(tmp_path, server)


def address(server: Server) -> tuple[str, int]:
    host, port = server.address.removeprefix("http://").split(":")
    return host, int(port)


def unexplained(failures: list[Failure], kills: list[float]) -> list[Failure]:
    """The failures but those of requests that were in flight when a process was killed."""
    return [
        failure
        for failure in failures
        if not any(failure.sent < kill + 0.05 and failure.failed < kill + KILLED for kill in kills)
    ]


def test_no_request_is_lost(deployment: Deployment) -> None:
    """None but those in flight on a process that is killed."""
    server = deployment.server
    load = Load(address(server), kept=50, fresh=50)
    deeds: list[Callable[[], None]] = [
        *[deployment.reload] * EXTENT.reloads,
        *[deployment.reload_what_does_not_boot] * EXTENT.broken,
        *[partial(deployment.kill, load)] * EXTENT.kills,
        *[deployment.upgrade] * EXTENT.upgrades,
    ]
    random.Random(6).shuffle(deeds)
    with deployment:
        with load:
            for deed in deeds:
                deed()
            deployment.reload()
            seen = len(load.answers)
            deadline = time.monotonic() + PATIENCE
            while len(load.answers) < seen + 500:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        deployment.end()
        lost = unexplained(load.failures, deployment.kills)
        summary = f"{len(load.answers)} answers, {len(load.failures)} failed, {len(lost)} lost"
        sys.stdout.write(f"{EXTENT}: {summary}\n")
        assert not lost, Counter(f"{each.kind}: {each.reason}" for each in lost)
        # In flight on one of three processes, at most a third of the clients.
        assert len(load.failures) <= 40 * len(deployment.kills)
        last = {each.body.split()[0] for each in load.answers if each.connecting > deployment.since}
        assert last == {str(deployment.version)}
    assert_quiet(server.log.replace("RuntimeError: does not boot", ""))


def test_no_request_is_lost_at_the_end(deployment: Deployment) -> None:
    """Neither those in flight nor those that wait to be accepted."""
    server = deployment.server
    with server:
        waiting = [socket.create_connection(address(server), PATIENCE) for _ in range(200)]
        for each in waiting:
            each.sendall(b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n")
        server.send(signal.SIGTERM)
        answers = Counter(read(each)[:15] for each in waiting)
        assert answers == {b"HTTP/1.1 200 OK": len(waiting)}
        assert server.wait() == 0
    assert_quiet(server.log)


def read(sock: socket.socket) -> bytes:
    with sock:
        return b"".join(iter(lambda: sock.recv(4096), b""))
