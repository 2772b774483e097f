"""A Prometheus of the system's, which scrapes a server and evaluates rules."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Self

import httpx
import pytest

from systemtests.processes import PATIENCE, Process, find_tool

if TYPE_CHECKING:
    from pathlib import Path

_CONFIGURATION = """
global:
  scrape_interval: 500ms
  evaluation_interval: 500ms
rule_files: [rules.yaml]
scrape_configs:
  - job_name: rocket
    static_configs:
      - targets: ["{target}"]
"""


class Prometheus:
    """A Prometheus that scrapes ``target``, an address, twice a second. As a context manager."""

    def __init__(self, folder: Path, target: str, rules: str) -> None:
        (folder / "prometheus.yaml").write_text(_CONFIGURATION.format(target=target))
        (folder / "rules.yaml").write_text(rules)
        self._process = Process(
            [
                find_tool("prometheus"),
                f"--config.file={folder / 'prometheus.yaml'}",
                f"--storage.tsdb.path={folder / 'data'}",
                "--web.listen-address=127.0.0.1:0",
                "--log.level=info",
            ],
            folder,
        )
        try:
            address = self._process.wait_for(r'msg="Listening on" address=(\S+)')[1]
            self._process.wait_for("Server is ready")
        except BaseException:
            self._process.kill()
            raise
        self._client = httpx.Client(base_url=f"http://{address}/api/v1", trust_env=False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._process.kill()

    def _get(self, path: str, **parameters: str) -> Any:
        answer = self._client.get(path, params=parameters)
        answer.raise_for_status()
        return answer.json()["data"]

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """Return the labels and the values of an expression."""
        found = self._get("query", query=expression)["result"]
        return [(each["metric"], float(each["value"][1])) for each in found]

    def fired(self) -> set[str]:
        """Return the names of the alerts that fire, or have fired."""
        ever = self.query('count_over_time(ALERTS{alertstate="firing"}[1h])')
        return {labels["alertname"] for labels, _ in ever}

    def wait_for(self, *names: str) -> None:
        """Return when the alerts of these names have fired."""
        deadline = time.monotonic() + PATIENCE
        missing = set(names)
        while missing := missing - self.fired():
            if time.monotonic() > deadline:
                pytest.fail(f"{sorted(missing)} did not fire")
            time.sleep(0.2)

    def wait_for_scrapes(self, count: int) -> None:
        """Return when the target has been scraped so many times."""
        deadline = time.monotonic() + PATIENCE
        scrapes = f'count_over_time(up{{job="rocket"}}[1h]) >= {count}'
        while not self.query(scrapes):
            if time.monotonic() > deadline:
                pytest.fail(f"not scraped {count} times")
            time.sleep(0.2)


def at_once(rules: str) -> str:
    """Return ``rules`` without the times for which their conditions must hold."""
    return re.sub(r"(?m)^( +for:) .*$", r"\1 0s", rules)
