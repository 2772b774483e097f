"""The table of settings, compared with the classes that get the settings."""

from __future__ import annotations

import inspect
import re
from enum import Enum
from pathlib import Path

import pytest

from choosing import choose
from processes import run
from rocket_cli._settings.all_settings import SECTIONS, SETTINGS, USUAL
from rocket_cli._settings.printing import as_toml
from rocket_cli._settings.setting import Part, Setting
from rocket_core import Timeouts
from rocket_tls import TLSSettings

GIVEN_OTHERWISE = {
    Part.SERVER: {"worker", "listeners", "min_threads", "max_threads", "timeouts", "free_peers"},
    Part.TIMEOUTS: set(),
    Part.LISTENER: {"address"},
    Part.TLS_SETTINGS: {"protocols"},
    Part.ACME: {"directory", "names", "external_account"},
    Part.SITE: {
        "application",
        "access_log",
        "around",
        "at_thread_end",
        "challenges",
        "executor",
        "multiprocess",  # where there are several
        "multithread",  # always: a thread that waits for its client is replaced
        "request_ids",
        "reserved",
        "static",
    },
    Part.FILES: {"directory"},
    Part.REQUEST_IDS: set(),
    Part.ACCESS_LOG: {"sink", "format"},  # both depend on what else is chosen
}


@pytest.mark.parametrize("part", GIVEN_OTHERWISE, ids=lambda part: part.name)
def test_every_argument_has_a_setting(part: Part) -> None:
    keywords = [each.keyword for each in SETTINGS if each.part is part]
    assert len(keywords) == len(set(keywords))
    parameters = set(inspect.signature(part.taker).parameters)
    assert set(keywords) == parameters - GIVEN_OTHERWISE[part]


def test_names_are_unique() -> None:
    assert len({each.name for each in SETTINGS}) == len(SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda each: each.name)
def test_default_is_what_a_file_may_say(setting: Setting) -> None:
    if setting.default is not None:
        assert setting.complaint(setting.default) is None
        assert setting.plain(choose()[setting.name]) == setting.default


@pytest.mark.parametrize(
    "setting", [each for each in SETTINGS if each.part.value], ids=lambda each: each.name
)
def test_default_is_that_of_the_package(setting: Setting) -> None:
    default = inspect.signature(setting.part.taker).parameters[setting.keyword].default
    if default is inspect.Parameter.empty:
        default = None
    elif isinstance(default, Enum):
        default = default.value
    assert setting.default == default


def test_defaults_change_nothing() -> None:
    chosen = choose()
    assert Timeouts(**chosen.arguments(Part.TIMEOUTS)) == Timeouts()
    assert TLSSettings(**chosen.arguments(Part.TLS_SETTINGS)) == TLSSettings()


def test_none_is_a_value_of_its_own() -> None:
    """It is None for the part, and a word for people and for settings files."""
    for words, value, text in (
        ((), 25.0, "websocket-ping = 25   # default"),
        (("--websocket-ping", "none"), None, 'websocket-ping = "none"   # command line'),
    ):
        chosen = choose(*words)
        assert chosen.arguments(Part.SITE)["websocket_ping"] == value
        assert f"\n{text}" in as_toml(chosen)
    setting = next(each for each in SETTINGS if each.name == "websocket-ping")
    assert setting.complaint("none") is None
    assert str(setting.complaint([])).endswith('such as "90s", or "none", not a list')


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("bind", "127.0.0.1:80", 'must be a list of strings, such as bind = ["127.0.0.1:80"]'),
        ("bind", [1], "must be a list of strings"),
        ("threads", True, "not true or false"),
        ("threads", 1.5, "not a decimal number"),
        ("max-body", 1.5, "must be a whole number of bytes, or a string such as"),
        ("keep-alive", {}, 'or a string such as "90s", not a table'),
        ("stream-bodies", 1, "must be true or false, not a whole number"),
        ("trusted-proxies", "unix", "must be a list of strings, not a string"),
        ("trusted-proxies", [1], "an item is not a string"),
    ],
)
def test_wrong_type_in_a_file(name: str, value: object, complaint: str) -> None:
    setting = next(each for each in SETTINGS if each.name == name)
    assert complaint in str(setting.complaint(value))


def test_every_help_is_sentences() -> None:
    """The command line and the README add the default to the help, which must not repeat it."""
    for setting in SETTINGS:
        assert setting.help[0].isupper(), setting.name
        assert setting.help.endswith("."), setting.name
        assert "Default" not in setting.help, setting.name
        assert "Without it" not in setting.help, setting.name
        assert not setting.default_text.endswith("."), setting.name


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("bind", "127.0.0.1:8000"),
        ("max-output", "64 MiB"),
        ("keep-alive", "75 seconds"),
        ("threads", "8"),
        ("reload", "no"),
        ("request-timeout", "no limit"),
        ("error-log", "standard error"),
        ("tls-cert", ""),
    ],
)
def test_default_as_the_help_shows_it(name: str, shown: str) -> None:
    setting = next(each for each in SETTINGS if each.name == name)
    assert setting.default_text == shown


def test_sections_of_the_help_have_all_settings() -> None:
    assert tuple(each for settings in SECTIONS.values() for each in settings) == SETTINGS


def test_help_shows_the_usual_settings_and_help_all_the_others(tmp_path: Path) -> None:
    names = {each.name for each in SETTINGS if not each.argument}
    assert {each.name for each in SETTINGS} >= USUAL
    assert len(USUAL) < 35
    for option, expected in (("--help", USUAL - {"app"}), ("--help-all", names)):
        for command in ("serve", "check", "config"):
            shown = run(tmp_path, command, option)
            assert shown.returncode == 0
            found = set(re.findall(r"^  --([a-z0-9-]+)", shown.stdout, re.MULTILINE))
            assert found - {"config", "help", "help-all", "strict", "json"} == expected
