"""The page of features names options that exist, and has no gaps."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from systemtests.processes import ROOT

PAGE = (ROOT / "docs" / "features.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in PAGE.splitlines()
    if line.startswith("| ") and not line.startswith("| ---")
]


def test_every_row_has_a_cell_for_every_server() -> None:
    assert len(ROWS) > 30
    assert {len(row) for row in ROWS} == {7}
    assert all(cell for row in ROWS for cell in row[1:])


@pytest.fixture(scope="module")
def options() -> set[str]:
    command = [sys.executable, "-m", "rocket_cli", "serve", "--help-all"]
    shown = subprocess.run(command, capture_output=True, text=True, check=True)
    return set(re.findall(r"--[a-z0-9-]+", shown.stdout))


def test_options_of_rocket_exist(options: set[str]) -> None:
    named = {name for row in ROWS for name in re.findall(r"`(--[a-z0-9-]+)`", row[1])}
    assert len(named) > 15
    assert named - options == set()


def test_page_is_linked() -> None:
    assert "docs/features.md" in (ROOT / "README.md").read_text()
