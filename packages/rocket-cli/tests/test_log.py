from __future__ import annotations

import logging
import logging.config
from datetime import datetime
from pathlib import Path

import pytest

from rocket_cli._errors import CommandError
from rocket_cli._log import configure_log, open_access_log
from rocket_cli._origin import Origin

OPTION = Origin("command line", "--access-log", "--access-log")

pytestmark = pytest.mark.usefixtures("loggers")


def test_line_has_time_level_and_message(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("info")
    logging.getLogger("rocket_core.listener").error("cannot accept on %s", "127.0.0.1:80")
    moment, rest = capsys.readouterr().err.split(" ", 1)
    assert rest == "ERROR rocket_core.listener: cannot accept on 127.0.0.1:80\n"
    assert datetime.fromisoformat(moment).tzinfo is not None


def test_exception_has_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("info")
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logging.getLogger("rocket_wsgi").exception("the application failed")
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].endswith("ERROR rocket_wsgi: the application failed")
    assert lines[1] == "Traceback (most recent call last):"
    assert lines[-1] == "RuntimeError: broken"


def test_level(capsys: pytest.CaptureFixture[str]) -> None:
    configure_log("warning")
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("rocket_core.server"), level)("a message at %s", level)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in lines] == ["WARNING", "ERROR"]


def test_loggers_of_the_application_are_left_to_it(capsys: pytest.CaptureFixture[str]) -> None:
    root = list(logging.root.handlers)
    configure_log("debug")
    logging.getLogger("shop").debug("not ours")
    assert logging.root.handlers == root
    assert capsys.readouterr().err == ""


def test_application_that_disabled_all_loggers(capsys: pytest.CaptureFixture[str]) -> None:
    mine, other = logging.getLogger("rocket_core.pool"), logging.getLogger("shop.database")
    try:
        mine.disabled = other.disabled = True
        configure_log("info")
        mine.error("to be seen")
        assert other.disabled
    finally:
        mine.disabled = other.disabled = False
    assert "to be seen" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "reason"), [("", "directory"), ("missing/access.log", "No such")])
def test_access_log_that_cannot_be_written(tmp_path: Path, name: str, reason: str) -> None:
    path = str(tmp_path / name)
    with pytest.raises(CommandError) as caught:
        open_access_log(path, OPTION)
    assert f"--access-log {path!r}" in str(caught.value)
    assert reason in str(caught.value)
