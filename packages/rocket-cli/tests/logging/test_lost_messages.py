from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from choosing import choose
from rocket_cli._logging.server_log import configure_log

pytestmark = pytest.mark.usefixtures("loggers")


def test_a_log_that_cannot_be_written_costs_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "error.log"
    configure_log(choose(f"--error-log={file}"))
    logger = logging.getLogger("rocket_core.worker")
    real = os.write

    def fail(descriptor: int, data: bytes) -> int:
        if descriptor > 2:
            raise OSError(28, "No space left on device")
        return real(descriptor, data)

    monkeypatch.setattr(os, "write", fail)
    for number in range(20):
        logger.warning("no %d", number)
    assert capfd.readouterr().err == (
        f"rocket-cli: cannot write to the log {file}: No space left on device\n"
    )
    monkeypatch.undo()
    logger.warning("again")
    first, second = file.read_text().splitlines()
    assert first.endswith(": again")
    assert second.endswith(
        "20 messages could not be written to this log and are lost: No space left on device"
    )
    assert capfd.readouterr().err == ""
