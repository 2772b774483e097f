"""Each alert of the repository fires in a real Prometheus, when what it is about happens.

The times for which the conditions must hold are left out, since they are minutes and hours. The
rest of the rules is as it is in the repository.
"""

from __future__ import annotations

import datetime
import json
import re
import resource
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import trustme
import yaml

from systemtests.processes import (
    APPLICATIONS,
    PATIENCE,
    ROOT,
    Process,
    find_tool,
    rocket_cli,
)
from systemtests.prometheus import Prometheus, at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RULES = ROOT / "docs" / "observation" / "prometheus-alerts.yaml"
PROCESSES = 2


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def test_rules_are_valid() -> None:
    command = [find_tool("promtool"), "check", "rules", str(RULES)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_alert_says_what_to_do() -> None:
    for each in alerts():
        assert each["labels"]["severity"] in ("warning", "critical")
        assert each["annotations"].keys() == {"summary", "description"}


class Deployment:
    """A server with a file for its log, a certificate that is about to expire, and two processes.

    Each process has one thread.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copy(APPLICATIONS / "troubled.py", folder)
        soon = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=5)
        leaf = trustme.CA().issue_cert("127.0.0.1", not_after=soon)
        self.certificate, key = folder / "cert.pem", folder / "key.pem"
        self.certificate.write_bytes(b"".join(each.bytes() for each in leaf.cert_chain_pems))
        key.write_bytes(leaf.private_key_pem.bytes())
        self.log = folder / "error.log"
        self.log.touch()
        options = [
            *("--bind", "http://127.0.0.1:0", "--bind", "https://127.0.0.1:0"),
            *("--tls-cert", str(self.certificate), "--tls-key", str(key)),
            *("--metrics", "127.0.0.1:0", "--admin", "admin.sock", "--error-log", str(self.log)),
            *("--processes", str(PROCESSES), "--threads", "1", "--max-connections", "10000"),
            *("--request-timeout", "5", "--queue-timeout", "3"),
            "troubled:application",
        ]
        self.process = Process([rocket_cli(), "serve", *options], folder)
        self.metrics = self._port(r"metrics are at http")
        self.http, self.https = self._port(r" on http"), self._port(r" on http\S+ https")

    def _port(self, before: str) -> int:
        """Return the port in a URL in the log."""

        def find() -> re.Match[str] | None:
            return re.search(rf"{before}://127\.0\.0\.1:(\d+)", self.log.read_text())

        eventually(find)
        found = find()
        assert found is not None
        return int(found[1])

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [rocket_cli(), *arguments, "--admin", "admin.sock"],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )

    def workers(self) -> list[int]:
        """Return the process IDs of the workers that serve."""
        found = json.loads(self.command("stats", "--json").stdout)["answers"]
        return [each["process"] for each in found if "error" not in each]

    def get(self, path: str) -> int:
        return httpx.get(
            f"http://127.0.0.1:{self.http}{path}", timeout=PATIENCE, trust_env=False
        ).status_code


@pytest.fixture
def deployment(tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(tmp_path)
    yield made
    made.process.kill()


@pytest.fixture
def prometheus(tmp_path: Path, deployment: Deployment) -> Iterator[Prometheus]:
    folder = tmp_path / "prometheus"
    folder.mkdir()
    rules = at_once(RULES.read_text(encoding="utf-8"))
    with Prometheus(folder, f"127.0.0.1:{deployment.metrics}", rules) as running:
        yield running


def test_each_alert_fires(deployment: Deployment, prometheus: Prometheus) -> None:
    wait_for = prometheus.wait_for
    wait_for("RocketCertificateExpires")
    assert deployment.get("/") == 200
    prometheus.wait_for_scrapes(5)
    assert prometheus.fired() == {"RocketCertificateExpires"}

    overload(deployment)
    wait_for("RocketSaturated", "RocketRefusing", "RocketOverdue", "RocketErrors", "RocketSlow")
    certificate = deployment.certificate.read_bytes()
    spoil_certificate(deployment)
    wait_for("RocketCertificateNotLoaded")
    deployment.certificate.write_bytes(certificate)
    with ExitStack() as stack:
        exhaust_descriptors(deployment, stack)
        wait_for("RocketDescriptors", "RocketAcceptErrors")
    lose_log_lines(deployment)
    wait_for("RocketLogLinesLost")
    for _ in range(3):
        kill_worker(deployment)
        eventually(lambda: len(deployment.workers()) == PROCESSES)
    wait_for("RocketProcessesRestart")
    (deployment.folder / "broken").touch()
    assert deployment.command("reload").returncode == 1
    wait_for("RocketReloadFailed")
    kill_worker(deployment)
    wait_for("RocketStartsFail", "RocketProcessesMissing")
    deployment.process.kill()
    wait_for("RocketDown")
    assert prometheus.fired() == {each["alert"] for each in alerts()}


def overload(deployment: Deployment) -> None:
    """Have all threads held, and further requests wait until they are refused."""
    found: list[int] = []
    threads = [
        threading.Thread(target=lambda: found.append(deployment.get("/hold"))) for _ in range(8)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(PATIENCE)
    assert sorted(set(found)) == [503, 504]


def spoil_certificate(deployment: Deployment) -> None:
    """Replace the certificate by something that is none, and have it tried."""
    deployment.certificate.write_bytes(b"")
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", deployment.https), PATIENCE) as plain,
        context.wrap_socket(plain),
    ):
        pass  # the previous one is served


def exhaust_descriptors(deployment: Deployment, stack: ExitStack) -> None:
    """Have the processes use up their descriptors, by connections that end with ``stack``."""
    for worker in deployment.workers():
        count = len(list(Path(f"/proc/{worker}/fd").iterdir()))
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (count + 10, count + 10))
    for _ in range(40):
        address = ("127.0.0.1", deployment.http)
        stack.enter_context(socket.create_connection(address, PATIENCE))


def lose_log_lines(deployment: Deployment) -> None:
    """Have the processes find the disk full when they have something to log."""
    for worker in deployment.workers():
        resource.prlimit(worker, resource.RLIMIT_FSIZE, (1, 1))
    assert deployment.get("/crash") == 500


def kill_worker(deployment: Deployment) -> None:
    """Kill a worker as the system does that is out of memory."""
    worker = deployment.workers()[0]
    subprocess.run(["kill", f"-{signal.SIGKILL.value}", str(worker)], check=True)
    eventually(lambda: not Path(f"/proc/{worker}").exists())
