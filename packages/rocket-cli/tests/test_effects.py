"""Every setting has an effect.

The value of a setting with a part reaches that part unchanged. For each setting that the command
itself uses, `SHOWN` names a test of its effect.
"""

from __future__ import annotations

import ast
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

import rocket_tls
from choosing import choose
from conftest import Write
from processes import Served
from rocket_cli._application.site import Site
from rocket_cli._application.welcome_page import welcome
from rocket_cli._serving import listeners
from rocket_cli._serving.access_log import open_access_log
from rocket_cli._serving.server import make_server
from rocket_cli._settings.all_settings import SETTINGS
from rocket_cli._settings.kinds import Amount, AmountOrNone, Choice, FilePath, Flag, Whole, Words
from rocket_cli._settings.setting import Part, Setting
from rocket_core.testing import PATIENCE

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
    **dict.fromkeys(
        ("max-lifetime", "max-lifetime-jitter"),
        "supervisor/test_supervisor.py::test_process_is_replaced_after_its_lifetime",
    ),
    "process-name": "processes/test_titles.py::test_name_that_is_given",
    "reload-grace": "supervisor/test_reload_grace.py::"
    "test_old_processes_end_when_the_new_ones_have_served_for_long",
    "admin": "processes/test_observer.py::test_thread_that_sleeps_is_shown_with_its_line",
    "access-log": "commands/test_main.py::test_access_log_file_is_complete_at_exit",
    "access-log-format": "serving/test_access_log.py::test_format_follows_that_of_the_messages",
    "app": "commands/test_main.py::test_factory",
    "around": "serving/test_server.py::test_callbacks_run_in_the_context_manager",
    "at-thread-end": "serving/test_server.py::test_function_is_called_at_the_end_of_a_thread",
    "bind": "commands/test_main.py::test_unix_socket",
    "chdir": "settings/test_identity.py::test_umask_and_directory",
    "env-file": "settings/test_env_file.py::test_reload_reads_it_again",
    "error-log": "commands/test_main.py::test_error_log_is_reopened",
    "executor-threads": "serving/test_server.py::test_executor_threads",
    "graceful-timeout": "serving/test_server.py::test_graceful_timeout",
    "group": "settings/test_identity.py::test_user_and_group_by_number",
    "hooks": "application/test_hooks.py::test_all_functions_are_called_in_order",
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
    "root-path": "application/test_root_path.py::test_command",
    "static": "serving/test_server.py::test_files_beside_an_application",
    "threads": "commands/test_main.py::test_threads",
    "tls-cert": "serving/test_listeners.py::test_scheme_follows_the_certificate",
    "tls-dir": "serving/test_certificates.py::test_directories_of_certificates",
    "tls-key": "serving/test_listeners.py::test_scheme_follows_the_certificate",
    "tls-key-password-file": "serving/test_certificates.py::test_keys_with_a_password",
    "umask": "settings/test_identity.py::test_umask_and_directory",
    "user": "settings/test_identity.py::test_user_with_the_groups_of_that_user",
}
"""For each setting that the command itself uses, a test that fails if the setting is ignored."""

OTHER_VALUES = {
    "access-log": "access.log",
    "deadline-field": "grpc-timeout",
    "health": "/up",
    "hsts": "max-age=60",
    "proxy-fields": "Forwarded",
    "server-header": "shop/2.1",
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
    if isinstance(kind, Whole | Amount | AmountOrNone):
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


# -- with a real client --------------------------------------------------------------------------

ECHO = """
    class Echo:
        def on_message(self, ws, data):
            ws.send(data)

    def app(environ, start_response):
        offer = environ.get("rocket.websocket")
        if offer is not None:
            options = {"max_message": 50} if environ["PATH_INFO"] == "/other" else {}
            offer.accept(Echo(), **options)
        start_response("200 OK", [])
        return [b"a page"]
"""

ANY = ("--bind", "127.0.0.1:0", "--access-log", "-")


@pytest.fixture
def echo(tmp_path: Path, write: Write) -> Path:
    write("echo.py", ECHO)
    return tmp_path


def test_maximum_size_of_messages(echo: Path) -> None:
    """By the option, and by the settings file; the application has the last word."""
    (echo / "rocket.toml").write_text("websocket-max-message = 30\n", encoding="utf-8")
    for options, size in ((["--websocket-max-message", "10"], 10), ([], 30)):
        with Served(echo, *ANY, *options, "echo") as served:
            address = f"ws{served.location().removeprefix('http')}"
            for path, allowed in (("/", size), ("/other", 50)):
                with connect(address + path, proxy=None) as client:
                    client.send("x" * allowed)
                    assert client.recv(PATIENCE) == "x" * allowed
                    client.send("x" * (allowed + 1))
                    with pytest.raises(ConnectionClosedError):
                        client.recv(PATIENCE)
                    assert client.close_code == 1009
            served.stop()


def test_pings_of_websockets(echo: Path) -> None:
    """A client that does not answer is closed, which none prevents."""
    with Served(echo, *ANY, "--websocket-ping", "0.2", "echo") as served:
        with silent(served.location()) as sock:
            assert sock.recv(100) == b"\x89\x00"  # a ping
            assert sock.recv(100) == b""
        assert '"GET / HTTP/1.1" 101 0 ' in served.stop()
    with Served(echo, *ANY, "echo", ROCKET_WEBSOCKET_PING="none") as served:
        address = f"ws{served.location().removeprefix('http')}"
        with connect(address, proxy=None) as client:
            client.send("x")
            assert client.recv(PATIENCE) == "x"
        served.stop()


@contextmanager
def silent(url: str) -> Iterator[socket.socket]:
    """Open a websocket whose client answers nothing."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    with socket.create_connection((host, int(port)), PATIENCE) as sock:
        sock.sendall(
            b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += sock.recv(1)
        assert head.startswith(b"HTTP/1.1 101 ")
        yield sock


@pytest.mark.parametrize("option", ["--evict-parked", "--no-evict-parked"])
def test_parked_ones_make_room_where_the_setting_says_so(echo: Path, option: str) -> None:
    """They count toward the limit in either case; an idle connection makes room in both."""
    with Served(echo, *ANY, "--max-connections", "2", option, "echo") as served:
        url = served.location()
        with (
            connect(f"ws{url.removeprefix('http')}", proxy=None) as parked,
            httpx.Client(timeout=PATIENCE, trust_env=False) as idle,
            httpx.Client(timeout=PATIENCE, trust_env=False) as newcomer,
        ):
            assert idle.get(url).text == "a page"
            assert newcomer.get(url).text == "a page"
            if option == "--evict-parked":  # it has been silent for longest
                with pytest.raises(ConnectionClosedError):
                    parked.recv(PATIENCE)
            else:
                parked.send("spared")
                assert parked.recv(PATIENCE) == "spared"
        served.stop()
