from __future__ import annotations

import logging
from math import inf

import pytest

from rocket_core._rare_log import RareLog


def test_one_warning_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    log = RareLog(logging.getLogger("rare"))
    for number in range(3):
        log.warning("no %d", number)
    log._last = -inf  # a minute later
    log.warning("no %d", 3)
    log.warning("no %d", 4)
    log._last = -inf
    log.warning("no %d", 5)
    assert [(each.levelname, each.getMessage()) for each in caplog.records] == [
        ("WARNING", "no 0"),
        ("DEBUG", "no 1"),
        ("DEBUG", "no 2"),
        ("WARNING", "no 3"),
        ("WARNING", "2 such warnings were left out before"),
        ("DEBUG", "no 4"),
        ("WARNING", "no 5"),
        ("WARNING", "1 such warnings were left out before"),
    ]
