from __future__ import annotations

import _thread
import logging

import pytest

from rocket_cli._application.load_watch import LoadWatch
from rocket_core.testing import eventually


def test_application_that_hangs_is_reported_with_its_stack(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The warnings become rarer, and end with the loading."""
    before = _thread._count()

    def hang() -> None:
        eventually(lambda: len(caplog.records) >= 2)

    with LoadWatch(patience=0.01):
        hang()
    count = len(caplog.records)
    first = caplog.records[0]
    assert first.levelno == logging.WARNING
    message = first.getMessage()
    assert message.startswith("the application has not loaded after ")
    assert "in hang\n" in message
    assert "in test_application_that_hangs" not in message  # what is outside of the block
    assert len(caplog.records) == count
    eventually(lambda: _thread._count() == before)


def test_watch_ends_when_loading_fails(caplog: pytest.LogCaptureFixture) -> None:
    before = _thread._count()
    with pytest.raises(ImportError), LoadWatch():
        raise ImportError("no such module")
    eventually(lambda: _thread._count() == before)
    assert caplog.records == []
