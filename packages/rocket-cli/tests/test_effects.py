"""Every setting has an effect.

The value of a setting with a part reaches that part unchanged. For each setting that the command
itself uses, `SHOWN` names a test of its effect.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

import rocket_tls
from choosing import choose
from rocket_cli._application.site import Site
from rocket_cli._application.welcome_page import welcome
from rocket_cli._serving import listeners
from rocket_cli._serving.access_log import open_access_log
from rocket_cli._serving.server import make_server
from rocket_cli._settings.all_settings import SETTINGS
from rocket_cli._settings.kinds import Amount, Choice, FilePath, Flag, Whole, Words
from rocket_cli._settings.setting import Part, Setting

BY_NAME = {each.name: each for each in SETTINGS}

SHOWN = {
    **dict.fromkeys(
        (
            "acme",
            "acme-challenge",
            "acme-dir",
            "acme-eab-key",
            "acme-eab-key-id",
            "acme-email",
            "acme-server",
            "acme-server-ca",
        ),
        "serving/test_certificates.py::test_every_setting_of_acme_reaches_it",
    ),
    **dict.fromkeys(
        ("max-requests", "max-requests-jitter"),
        "application/test_request_count.py::test_process_is_replaced_after_so_many_requests",
    ),
    "admin": "processes/test_observer.py::test_thread_that_sleeps_is_shown_with_its_line",
    "access-log": "commands/test_main.py::test_access_log_file_is_complete_at_exit",
    "access-log-format": "serving/test_access_log.py::test_format_follows_that_of_the_messages",
    "app": "commands/test_main.py::test_factory",
    "around": "serving/test_server.py::test_callbacks_run_in_the_context_manager",
    "at-thread-end": "serving/test_server.py::test_function_is_called_at_the_end_of_a_thread",
    "bind": "commands/test_main.py::test_unix_socket",
    "chdir": "settings/test_identity.py::test_umask_and_directory",
    "error-log": "commands/test_main.py::test_error_log_is_reopened",
    "executor-threads": "serving/test_server.py::test_executor_threads",
    "graceful-timeout": "serving/test_server.py::test_graceful_timeout",
    "group": "settings/test_identity.py::test_user_and_group_by_number",
    "http2": "serving/test_http2.py::test_protocols_that_tls_offers",
    "log-format": "serving/test_access_log.py::test_json_of_both_logs",
    "log-level": "commands/test_main.py::test_debug_shows_the_traceback_first",
    "max-rss": "supervisor/test_memory_limit.py::test_process_that_grows_is_replaced",
    "metrics": "processes/test_observer.py::test_metrics_at_a_unix_socket",
    "open": "terminal/test_browser.py::test_browser_is_opened",
    "pid": "supervisor/test_pid_file.py::test_file_is_there_while_it_serves",
    "preload": "application/test_preload.py::test_application_is_imported_once",
    "processes": "supervisor/test_supervisor.py::test_requests_are_served_by_several_processes",
    "reload": "processes/test_code_watcher.py::test_changed_code_is_served",
    "request-ids": "serving/test_server.py::test_request_ids",
    "request-ids-trusted": "serving/test_server.py::test_request_ids_of_others",
    "reserved": "serving/test_server.py::test_request_timeout_and_reserved_path",
    "static": "serving/test_server.py::test_files_beside_an_application",
    "threads": "commands/test_main.py::test_threads",
    "tls-cert": "serving/test_listeners.py::test_scheme_follows_the_certificate",
    "tls-dir": "serving/test_certificates.py::test_directories_of_certificates",
    "tls-key": "serving/test_listeners.py::test_scheme_follows_the_certificate",
    "umask": "settings/test_identity.py::test_umask_and_directory",
    "user": "settings/test_identity.py::test_user_with_the_groups_of_that_user",
}
"""For each setting that the command itself uses, a test that fails if the setting is ignored."""

OTHER_VALUES = {
    "access-log": "access.log",
    "health": "/up",
    "hsts": "max-age=60",
    "proxy-fields": "Forwarded",
    "static": "/files=.",
    "static-cache-control": "no-cache",
    "static-index": "main.html",
    "tls-ciphers": "ECDHE-RSA-AES128-GCM-SHA256",
    "tls-min-version": "1.3",
}
"""Values of settings whose kind does not suggest one."""


def other_value(setting: Setting) -> str:
    """Return a value that is not the default."""
    kind = setting.kind
    if setting.name in OTHER_VALUES:
        return OTHER_VALUES[setting.name]
    if isinstance(kind, Whole | Amount):
        return str((setting.default or 6) + 1)
    if isinstance(kind, Choice):
        return next(word for word in kind.words if word != setting.default)
    if isinstance(kind, FilePath):
        return f"{setting.name}.pem"
    if isinstance(kind, Words):
        return "10.1.0.0/16"
    pytest.fail(f"OTHER_VALUES must have one for {setting.name}")


def options(setting: Setting) -> Iterator[str]:
    """Yield options that change a setting, and the settings that it needs."""
    if setting.needs:  # one of them is enough
        yield from options(BY_NAME[setting.needs[0]])
    if isinstance(setting.kind, Flag):
        yield f"--{'no-' if setting.default else ''}{setting.name}"
    else:
        yield from (f"--{setting.name}", other_value(setting))


def recorded(part: Part, monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Replace a part, wherever it is made, by a recorder of its arguments."""
    recorder = Mock()
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in ("rocket_cli", "rocket_tls"):
            for key, value in list(vars(module).items()):
                if value is part.taker:
                    monkeypatch.setattr(module, key, recorder)
    return recorder


@pytest.mark.parametrize(
    "setting", [each for each in SETTINGS if each.name not in SHOWN], ids=lambda each: each.name
)
def test_setting_reaches_its_part(
    setting: Setting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    chosen = choose(*options(setting))
    value: Any = chosen[setting.name]
    assert setting.plain(value) != setting.default
    for owner, loader in ((listeners, "make_store"), (rocket_tls, "TLSListener")):
        monkeypatch.setattr(owner, loader, Mock())  # which would load the files
    recorders = {part: recorded(part, monkeypatch) for part in Part if part.value}
    access_log = open_access_log(chosen)
    server = make_server(chosen, Site("an application", welcome), access_log)
    assert server is recorders[Part.SERVER].return_value
    calls = recorders[setting.part].call_args_list
    assert calls
    for call in calls:
        assert call.kwargs[setting.keyword] == value


def test_every_other_setting_has_a_test_of_its_effect() -> None:
    assert SHOWN.keys() >= {each.name for each in SETTINGS if not each.part.value}


@pytest.mark.parametrize("name", SHOWN)
def test_named_test_exists(name: str) -> None:
    file, _, function = SHOWN[name].partition("::")
    text = (Path(__file__).parent / file).read_text(encoding="utf-8")
    tests = [each.name for each in ast.walk(ast.parse(text)) if isinstance(each, ast.FunctionDef)]
    assert function in tests
    assert BY_NAME[name].argument or f'"--{name}"' in text
