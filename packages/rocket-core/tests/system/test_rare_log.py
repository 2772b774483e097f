from __future__ import annotations

import logging
from math import inf

import pytest

from rocket_core._system.rare_log import RareLog


def test_one_warning_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    log = RareLog(logging.getLogger("rare"))
    for number in range(3):
        log.warning("no %d", number)
    log._last = -inf  # a minute later
    log.warning("no %d", 3)
    log.warning("no %d", 4)
    log._last = -inf
    log.error("no %d", 5)
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("WARNING", "no 0"),
        ("DEBUG", "no 1"),
        ("DEBUG", "no 2"),
        ("WARNING", "no 3 (messages like this left out before: 2)"),
        ("DEBUG", "no 4"),
        ("ERROR", "no 5 (messages like this left out before: 1)"),
    ]


def test_a_traceback_is_left_out_with_its_message(caplog: pytest.LogCaptureFixture) -> None:
    log = RareLog(logging.getLogger("rare"))
    caplog.set_level(logging.INFO)
    for _ in range(3):
        log.error("broken", exc_info=ValueError("why"))
    [record] = caplog.records
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ValueError)
