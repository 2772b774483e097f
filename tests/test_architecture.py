from __future__ import annotations

import re
from pathlib import Path

import pytest

from systemtests.state_diagram import PAGE, PICTURE, picture, written

_ROOT = PAGE.parents[1]
_MODULES = tuple(_ROOT.glob("packages/*/src/**/*.py"))
_WORD = re.compile(r"`([^`\n]+)`|\]\(([^)#\s]+)")
_PATH = re.compile(r"[\w./*-]+(?:\.py|/)|(?:\w+/)?_[a-z]+")
_NAME = re.compile(r"([A-Z]\w*[a-z]\w*)(?:\.(\w+))?")


def _words(page: Path) -> set[str]:
    """Return what a page writes as code, and the files that it links to."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    return {code or link.removeprefix("../") for code, link in _WORD.findall(text)}


def test_architecture_page_has_the_diagram_of_states() -> None:
    """Run `python tests/systemtests/state_diagram.py` when this fails."""
    text = PAGE.read_text(encoding="utf-8")
    assert text == written(text)
    assert PICTURE.read_text(encoding="utf-8") == picture()


@pytest.mark.parametrize("page", [PAGE, _ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_files_and_folders_on_the_page_exist(page: Path) -> None:
    places = (
        "packages/*/*.py",
        "packages/*/src/**/*",
        "packages/*/tests/**/*",
        "tests/**/*",
        "examples/*",
        "docs/*",
    )
    found = [each.relative_to(_ROOT) for place in places for each in _ROOT.glob(place)]
    known = [*found, *(each.with_suffix("") for each in found)]
    paths = {word for word in _words(page) if _PATH.fullmatch(word)}
    assert {path for path in paths if not any(each.match(path) for each in known)} <= {"_missed"}


def test_classes_and_their_members_on_the_page_exist() -> None:
    source = "\n".join(each.read_text("utf-8") for each in _MODULES)
    classes = set(re.findall(r"^ *class (\w+)", source, re.MULTILINE))
    members = set(re.findall(r"^ +(?:def )?(\w+)(?:\(| = |: )", source, re.MULTILINE))
    names = [match for word in _words(PAGE) if (match := _NAME.fullmatch(word))]
    assert len(names) > 50
    assert {each[1] for each in names} <= classes
    assert {each[2] for each in names if each[2]} <= members
