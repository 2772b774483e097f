"""The pages of docs/reference say what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from make_reference import PAGES, written
from rocket_cli._settings.all_settings import SETTINGS
from systemtests.counterparts import UVICORN, UWSGI
from systemtests.processes import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_page_has_its_generated_parts(page: Path) -> None:
    """Run `python tests/make_reference.py` when this fails."""
    assert page.read_text(encoding="utf-8") == written(page)


def test_counterparts_are_those_of_settings() -> None:
    assert {*UVICORN, *UWSGI} <= {each.name for each in SETTINGS}
