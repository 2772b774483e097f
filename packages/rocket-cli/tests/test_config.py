"""The precedence of the sources of settings, as `rocket-cli config` shows it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from conftest import Write
from processes import refuse, run


def shown(directory: Path, *arguments: str, **variables: str) -> str:
    done = run(directory, "config", *arguments, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_precedence(tmp_path: Path, write: Write) -> None:
    write("rocket.toml", "\nthreads = 2\nkeep-alive = 2\nmax-queue = 2\nbind = ['unix:file']\n")
    variables = {"ROCKET_THREADS": "3:4", "ROCKET_KEEP_ALIVE": "3", "ROCKET_BIND": ":1 :2"}
    lines = shown(tmp_path, "--threads", "4", **variables).splitlines()
    assert "threads = 4   # command line --threads" in lines
    assert "keep-alive = 3   # environment ROCKET_KEEP_ALIVE" in lines
    assert 'bind = [":1", ":2"]   # environment ROCKET_BIND' in lines
    assert "max-queue = 2   # file rocket.toml:4" in lines
    assert "max-stalled = 256   # default" in lines
    assert "watchdog = 30   # default" in lines


def test_output_is_an_equivalent_settings_file(tmp_path: Path, write: Write) -> None:
    write("pyproject.toml", '[tool.rocket]\nstatic-cache-control = "a=\\"b\\\\"\n')
    options = [
        *("--threads", "2:3", "--bind", "http://[::1]:80", "--bind", "unix:a b", "--stream-bodies"),
        *("--trusted-proxies", "none", "--proxy-fields", "Forwarded", "--reserved", "/é\x7f\t"),
        *("--static", "/a=b", "--watchdog", "0.5", "--underscores", "refuse", "good:app"),
    ]
    first = shown(tmp_path, *options)
    values = tomllib.loads(first)
    assert values["reserved"] == ["/é\x7f\t"]
    assert values["static-cache-control"] == 'a="b\\'
    write("settings.toml", first)
    second = shown(tmp_path, "--config", "settings.toml")
    assert tomllib.loads(second) == values
    assert 'threads = "2:3"   # file settings.toml:' in second


def test_json(tmp_path: Path, write: Write) -> None:
    write("other.toml", "max-body = 5")
    text = shown(
        tmp_path, "--json", "--threads", "1:2", ROCKET_CONFIG="other.toml", ROCKET_WATCHDOG="9"
    )
    settings = json.loads(text)
    assert settings["threads"] == {
        "value": "1:2",
        "source": "command line",
        "place": "--threads",
    }
    assert settings["watchdog"] == {
        "value": 9,
        "source": "environment",
        "place": "ROCKET_WATCHDOG",
    }
    assert settings["max-body"] == {"value": 5, "source": "file", "place": "other.toml:1"}
    assert settings["backlog"] == {"value": 2048, "source": "default", "place": None}
    assert settings["app"] == {"value": None, "source": "default", "place": None}


def test_yes_and_no_in_each_source(tmp_path: Path, write: Write) -> None:
    write("rocket.toml", "stream-bodies = true")
    assert "stream-bodies = true   # file rocket.toml:1" in shown(tmp_path)
    variables = {"ROCKET_STREAM_BODIES": "off"}
    line = "stream-bodies = false   # environment ROCKET_STREAM_BODIES"
    assert line in shown(tmp_path, **variables)
    line = "stream-bodies = false   # command line --stream-bodies"
    assert line in shown(tmp_path, "--no-stream-bodies")


def test_application_from_each_source(tmp_path: Path, write: Write) -> None:
    write("rocket.toml", 'app = "from_file"')
    assert 'app = "from_file"   # file rocket.toml:1' in shown(tmp_path)
    assert 'app = "env:app"   # environment ROCKET_APP' in shown(tmp_path, ROCKET_APP="env:app")
    line = 'app = "here:make()"   # command line MODULE:APP'
    assert line in shown(tmp_path, "here:make()", ROCKET_APP="env:app")


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("\nthread = 3", "rocket.toml:2: there is no setting thread; did you mean threads?"),
        ("max_body = 3", "rocket.toml:1: there is no setting max_body; did you mean max-body?"),
        ("xyzzy = 3", "rocket.toml:1: there is no setting xyzzy; see rocket-cli serve --help"),
        ("max-body = '1x'", "rocket.toml:1: max-body: '1x': use a whole number of bytes"),
        ("max-body = -1", "rocket.toml:1: max-body: '-1': use a whole number of bytes, at least 0"),
        ("bind = [\n'x'\n]", "rocket.toml:1: bind: address 'x' has no port"),
        ("trusted-proxies = ['x']", "rocket.toml:1: trusted-proxies: 'x' is not a network"),
        ("proxy-fields = ['x']", "rocket.toml:1: proxy-fields: "),
        ("[threads]", "rocket.toml:1: threads must be a whole number, or "),
        ("threads = ", "rocket.toml is not valid TOML: "),
    ],
)
def test_error_in_a_file(tmp_path: Path, write: Write, content: str, line: str) -> None:
    write("rocket.toml", content)
    assert refuse(tmp_path, command="config").startswith(line)
    assert refuse(tmp_path).startswith(line)


def test_error_in_the_environment(tmp_path: Path) -> None:
    line = refuse(tmp_path, command="config", ROCKET_QUEUE_TIMEOUT="soon")
    assert line.startswith("ROCKET_QUEUE_TIMEOUT: 'soon': use a number of seconds")


def test_error_in_an_option(tmp_path: Path) -> None:
    line = refuse(tmp_path, "--queue-timeout", "soon", command="config")
    assert line.startswith("--queue-timeout: 'soon': use a number of seconds")


def test_missing_file(tmp_path: Path, write: Write) -> None:
    assert "none.toml" in refuse(tmp_path, "--config", "none.toml")
    write("other/pyproject.toml", "[tool.black]")
    line = refuse(tmp_path, "--config", "other/pyproject.toml")
    assert line == "other/pyproject.toml has no settings: add the table tool.rocket"


def test_help_in_spite_of_a_bad_file(tmp_path: Path, write: Write) -> None:
    write("rocket.toml", "?")
    assert run(tmp_path, "serve", "--help").returncode == 0


def test_completion(tmp_path: Path, write: Write) -> None:
    """The shell completes values even if the settings file is invalid."""
    write("rocket.toml", "?")
    done = run(
        tmp_path,
        _ROCKET_CLI_COMPLETE="bash_complete",
        COMP_WORDS="rocket-cli serve --underscores re",
        COMP_CWORD="3",
    )
    assert done.stdout.split() == ["plain,refuse"]
