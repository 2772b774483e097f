"""The page of mistakes names tests and rows of the conformance table that exist."""

from __future__ import annotations

import importlib
import re
from typing import TYPE_CHECKING

import pytest

from systemtests.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE = ROOT / "docs" / "explanation" / "mistakes.md"
ROWS = re.findall(r"^\| (?!mistake|---)(.+) \| (.+) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
SOURCES = [*ROOT.glob("packages/*/tests/**/*.py"), *ROOT.glob("tests/**/test_*.py")]


@pytest.fixture(scope="module")
def source() -> str:
    return "\n".join(path.read_text("utf-8") for path in SOURCES)


@pytest.fixture(scope="module")
def cases() -> Iterator[list[str]]:
    """The names of the rows of the conformance table."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "packages" / "rocket-wsgi" / "tests")
        yield list(importlib.import_module("conformance.table").CASES)


def test_every_mistake_has_a_test() -> None:
    assert len(ROWS) > 30
    assert all(re.fullmatch(r"`[^`]+`(, `[^`]+`)*", tests) for _, tests in ROWS)


@pytest.mark.parametrize(("mistake", "tests"), ROWS, ids=[row[0] for row in ROWS])
def test_tests_exist(mistake: str, tests: str, source: str, cases: list[str]) -> None:
    del mistake
    for name in re.findall(r"`([^`]+)`", tests):
        kind, _, case = name.partition(": ")
        if kind == "conformance":
            assert any(each.startswith(case) for each in cases), name
        else:
            assert re.search(rf"def {name}\(", source), name
