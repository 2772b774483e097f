from __future__ import annotations

from systemtests.reference import README, written


def test_readme_has_the_table_of_settings() -> None:
    """Run `python tests/systemtests/reference.py` when this fails."""
    text = README.read_text(encoding="utf-8")
    assert text == written(text)
