from __future__ import annotations

import json
import logging
import logging.config
import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from choosing import choose
from processes import PATIENCE
from rocket_cli._errors import CommandError
from rocket_cli._logging.loggers import NAMES
from rocket_cli._logging.server_log import announce, check_log, configure_log, reopen_log

pytestmark = pytest.mark.usefixtures("loggers")

Capture = pytest.CaptureFixture[str]


def test_line_has_time_process_level_and_message(capfd: Capture) -> None:
    configure_log(choose())
    logging.getLogger("rocket_core.listener").error("cannot accept on %s", "127.0.0.1:80")
    moment, rest = capfd.readouterr().err.split(" ", 1)
    assert rest == f"[{os.getpid()}] ERROR rocket_core.listener: cannot accept on 127.0.0.1:80\n"
    assert datetime.fromisoformat(moment).tzinfo is not None


@pytest.mark.parametrize("name", NAMES)
def test_messages_of_all_packages_are_written(capfd: Capture, name: str) -> None:
    configure_log(choose())
    logging.getLogger(name).warning("to be seen")
    assert capfd.readouterr().err.count("to be seen") == 1


def test_exception_has_its_traceback(capfd: Capture) -> None:
    configure_log(choose())
    try:
        raise RuntimeError("broken")
    except RuntimeError:
        logging.getLogger("rocket_wsgi").exception("the application failed")
    lines = capfd.readouterr().err.splitlines()
    assert lines[0].endswith("ERROR rocket_wsgi: the application failed")
    assert lines[1] == "  Traceback (most recent call last):"
    assert lines[-1] == "  RuntimeError: broken"


def test_level(capfd: Capture) -> None:
    configure_log(choose("--log-level", "warning"))
    for level in ("debug", "info", "warning", "error"):
        getattr(logging.getLogger("rocket_core.server"), level)("a message at %s", level)
    lines = capfd.readouterr().err.splitlines()
    assert [line.split()[2] for line in lines] == ["WARNING", "ERROR"]


def test_json(capfd: Capture) -> None:
    configure_log(choose("--log-format", "json"))
    logging.getLogger("rocket_cli").info("a\nmessage")
    found = json.loads(capfd.readouterr().err)
    assert (found["message"], found["pid"]) == ("a\nmessage", os.getpid())


def test_file(tmp_path: Path, capfd: Capture) -> None:
    path = tmp_path / "error.log"
    path.write_text("before\n")
    configure_log(choose("--error-log", str(path)))
    logging.getLogger("rocket_cli").warning("ä message")
    first, second = path.read_text(encoding="utf-8").splitlines()
    assert first == "before"
    assert second.endswith("WARNING rocket_cli: ä message")
    assert capfd.readouterr().err == ""


def test_file_is_reopened(tmp_path: Path) -> None:
    path, moved = tmp_path / "error.log", tmp_path / "error.log.1"
    configure_log(choose("--error-log", str(path)))
    log = logging.getLogger("rocket_cli")
    log.warning("first")
    path.rename(moved)
    log.warning("second")
    reopen_log()
    log.warning("third")
    assert [line.split()[-1] for line in moved.read_text().splitlines()] == ["first", "second"]
    assert path.read_text().endswith("third\n")


def test_file_is_reopened_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is reopened at its absolute path, even if the application changes the directory."""
    monkeypatch.chdir(tmp_path)
    configure_log(choose("--error-log", "error.log"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "error.log").unlink()
    reopen_log()
    assert (tmp_path / "error.log").exists()


def test_file_that_cannot_be_reopened(tmp_path: Path) -> None:
    path, moved = tmp_path / "log/error.log", tmp_path / "moved"
    path.parent.mkdir()
    configure_log(choose("--error-log", str(path)))
    path.parent.rename(moved)
    reopen_log()
    text = (moved / "error.log").read_text()
    assert "messages still go to the old file" in text
    assert str(path) in text


def test_standard_error_is_not_reopened(capfd: Capture) -> None:
    configure_log(choose())
    reopen_log()
    logging.getLogger("rocket_cli").warning("still there")
    assert "still there" in capfd.readouterr().err


def open_files() -> int:
    directory = Path("/proc/self/fd")  # Linux
    return len(list(directory.iterdir())) if directory.exists() else 0


def test_configured_again(tmp_path: Path, capfd: Capture) -> None:
    """Each message is written once, to the log of the latest settings."""
    path = tmp_path / "error.log"
    before = open_files()
    configure_log(choose("--error-log", str(path)))
    configure_log(choose("--error-log", str(path), "--log-format", "json"))
    logging.getLogger("rocket_cli").warning("first")
    configure_log(choose())
    logging.getLogger("rocket_cli").warning("second")
    assert json.loads(path.read_text())["message"] == "first"
    assert capfd.readouterr().err.count("second") == 1
    assert open_files() == before


def test_relative_file_in_another_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A relative path leads to another file when the next release has another directory."""
    monkeypatch.chdir(tmp_path)
    configure_log(choose("--error-log", "error.log"))
    (tmp_path / "next").mkdir()
    monkeypatch.chdir("next")
    configure_log(choose("--error-log", "error.log"))
    logging.getLogger("rocket_cli").warning("to be seen")
    assert (tmp_path / "error.log").read_text() == ""
    assert (tmp_path / "next/error.log").read_text().count("to be seen") == 1


def test_loggers_of_the_application_are_unchanged(capfd: Capture) -> None:
    root = list(logging.root.handlers)
    configure_log(choose("--log-level", "debug"))
    logging.getLogger("shop").debug("not ours")
    assert logging.root.handlers == root
    assert capfd.readouterr().err == ""


def test_nothing_is_lost_at_the_end(tmp_path: Path) -> None:
    """Messages are written while the interpreter ends, and before a process ends abruptly."""
    program = """
        import atexit, logging, os, sys
        from choosing import choose
        from rocket_cli._logging.server_log import configure_log
        log = logging.getLogger("rocket_cli")
        atexit.register(lambda: (log.warning("at the end"), os._exit(1)))
        import logging.config
        configure_log(choose("--error-log", "error.log"))
        logging.shutdown()
        log.warning("before")
    """
    subprocess.run(
        [sys.executable, "-c", "\n".join(line.strip() for line in program.splitlines())],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
        timeout=PATIENCE,
        check=False,
    )
    lines = (tmp_path / "error.log").read_text().splitlines()
    assert [line.partition("rocket_cli: ")[2] for line in lines] == ["before", "at the end"]


def test_announcement(tmp_path: Path, capfd: Capture) -> None:
    """The lines are text for the operator, but must not appear between JSON objects."""
    announce(choose(), ["Serving app"])
    assert capfd.readouterr().err == "Serving app\n"
    chosen = choose("--log-format", "json")
    configure_log(chosen)
    announce(chosen, ["Serving app"])
    assert json.loads(capfd.readouterr().err)["message"] == "Serving app"
    announce(choose("--log-format", "json", "--error-log", str(tmp_path / "log")), ["Serving app"])
    assert capfd.readouterr().err == "Serving app\n"


@pytest.mark.parametrize(
    ("name", "reason"), [("", "directory"), ("missing/error.log", "directory")]
)
@pytest.mark.parametrize("setting", ["error-log", "access-log"])
def test_file_that_cannot_be_written(tmp_path: Path, name: str, reason: str, setting: str) -> None:
    path = str(tmp_path / name)
    chosen = choose(f"--{setting}", path)
    with pytest.raises(CommandError) as caught:
        check_log(chosen, setting)
    assert f"--{setting} {path!r}" in str(caught.value)
    assert "directory" in str(caught.value)
    if setting == "error-log":
        with pytest.raises(CommandError, match="error-log"):
            configure_log(chosen)


def test_file_that_can_be_written_is_not_made(tmp_path: Path) -> None:
    check_log(choose("--error-log", str(tmp_path / "error.log")), "error-log")
    assert not list(tmp_path.iterdir())
