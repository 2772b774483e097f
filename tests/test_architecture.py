from __future__ import annotations

from systemtests.state_diagram import PAGE, written


def test_architecture_page_has_the_diagram_of_states() -> None:
    """Run `python tests/systemtests/state_diagram.py` when this fails."""
    text = PAGE.read_text(encoding="utf-8")
    assert text == written(text)
