"""What the page docs/observation/README.md says of metrics and of the protocol is what there is."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
from typing import TYPE_CHECKING, Any

from rocket_cli._admin.metric_table import DEFINITIONS
from rocket_cli._admin.protocol import COMMANDS
from systemtests.metrics import LABELS, series
from systemtests.pages import blocks_of
from systemtests.processes import APPLICATIONS, PATIENCE, PLAIN, ROOT, find_tool, serve

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAGE = ROOT / "docs" / "observation" / "README.md"
DASHBOARD = PAGE.parent / "grafana-dashboard.json"
SERIES = {name: each for each in DEFINITIONS for name in series(each)}
OF_PROMETHEUS = {"job", "instance", "le"}


def expressions() -> Iterator[str]:
    dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            yield target["expr"]
    for variable in dashboard["templating"]["list"]:
        query: Any = variable["query"]
        if isinstance(query, dict):
            yield query["query"]


def test_page_has_every_command_of_the_protocol() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("| ask |")[2].partition("\n\n")[0]
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*?) \|", text, re.MULTILINE))
    for command, arguments in COMMANDS.items():
        assert command in rows
        assert all(f"`{each}`" in rows[command] for each in arguments)


def blocks(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return [each.text for each in blocks_of(text) if each.language == language]


def test_configuration_of_prometheus_is_valid(tmp_path: Path) -> None:
    shutil.copy(PAGE.parent / "prometheus-alerts.yaml", tmp_path)
    (tmp_path / "prometheus.yml").write_text("".join(blocks("yaml")), encoding="utf-8")
    subprocess.run(
        [find_tool("promtool"), "check", "config", "prometheus.yml"],
        cwd=tmp_path,
        timeout=PATIENCE,
        check=True,
    )


def test_example_of_the_protocol(tmp_path: Path) -> None:
    """The command of the page opens the socket, and an answer there has the keys of the example."""
    (command,) = blocks("sh")
    _, _, *options = shlex.split(command.replace("/run/mysite", str(tmp_path)))
    options = ["127.0.0.1:0" if each == "127.0.0.1:9100" else each for each in options]
    options = [
        "seen:application" if each == "mysite.wsgi:application" else each for each in options
    ]
    (example,) = blocks("text")
    question, expected = example.splitlines()
    with (
        serve(*options, *PLAIN, cwd=APPLICATIONS),
        socket.socket(socket.AF_UNIX) as client,
    ):
        client.settimeout(PATIENCE)
        client.connect(str(tmp_path / "admin.sock"))
        client.sendall(question.encode() + b"\n")
        with client.makefile(encoding="utf-8") as lines:
            answer = json.loads(next(lines))
    assert answer["version"] == 1
    shown = json.loads(expected.replace("[...]", "[]").replace("{...}", "{}"))
    assert answer.keys() == shown.keys()
    assert [each.keys() for each in answer["answers"]] == [each.keys() for each in shown["answers"]]
    assert answer["answers"][0]["threads"][0]["thread"].startswith("rocket-worker")


def test_dashboard_asks_for_metrics_that_there_are() -> None:
    found = list(expressions())
    assert len(found) > 20
    for expression in found:
        names = re.findall(r"\brocket_\w+", expression)
        assert names
        for name in names:
            assert name in SERIES, f"{name} in {expression}"
        labels = set(re.findall(r"(\w+)=~", expression))
        for group in re.findall(r"\bby \((.*?)\)", expression):
            labels.update(group.split(", "))
        known = {label for name in names for label in SERIES[name].labels}
        known |= {label for name in names for label in LABELS.get(SERIES[name].family, ())}
        assert labels <= known | OF_PROMETHEUS, expression


def test_dashboard_shows_every_metric() -> None:
    shown = set(re.findall(r"\brocket_\w+", " ".join(expressions())))
    for each in DEFINITIONS:
        assert shown & series(each), f"no panel shows {each.name}"


def test_panels_have_ids_and_places_of_their_own() -> None:
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({each["id"] for each in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for each in panels:
        at = each["gridPos"]
        assert at["x"] + at["w"] <= 24
        cells = {
            (x, y)
            for x in range(at["x"], at["x"] + at["w"])
            for y in range(at["y"], at["y"] + at["h"])
        }
        assert not taken & cells
        taken |= cells
