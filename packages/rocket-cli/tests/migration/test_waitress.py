"""Configurations of waitress, and what they become."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from migrating import migrated, migrated_command
from rocket_cli._errors import CommandError

pytestmark = pytest.mark.usefixtures("own_directory")


def test_ini_of_pyramid(tmp_path: Path) -> None:
    text = """
        [app:main]
        use = egg:shop
        threads = none

        [server:main]
        use = egg:waitress#main
        listen = 127.0.0.1:6543 [::1]:6543
            *:81
        threads = 12
        url_prefix = /shop/
        channel_timeout = 40
        max_request_body_size = 2000000
        trusted_proxy = 10.0.0.3
        trusted_proxy_headers = x-forwarded-for x-forwarded-host x-forwarded-by
        ident =
        unix_socket_perms = 660
        frobnicate = 1

        [loggers]
        keys = root
    """
    found = migrated(tmp_path, "production.ini", text)
    assert found.settings == {
        "bind": ["127.0.0.1:6543", "[::1]:6543", ":81"],
        "threads": 12,
        "root-path": "/shop",
        "keep-alive": 40,
        "max-body": 2000000,
        "trusted-proxies": ["10.0.0.3"],
        "proxy-fields": ["X-Forwarded-For", "X-Forwarded-Host"],
        "server-header": "",
    }
    assert set(found.lost) == {"trusted_proxy_headers", "unix_socket_perms", "frobnicate"}
    assert "pyramid.paster" in found.check["app"]


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        ("waitress-serve a:b", {"app": "a:b", "bind": ["0.0.0.0:8080"]}),
        ("waitress-serve --port=81 a:b", {"app": "a:b", "bind": ["0.0.0.0:81"]}),
        (
            "waitress-serve --host ::1 --call a:make",
            {"app": "a:make()", "bind": ["[::1]:8080"]},
        ),
        (
            "python -m waitress --unix-socket=/tmp/a.sock --threads=6 --no-ipv6 --app a:b",
            {"app": "a:b", "bind": ["unix:/tmp/a.sock"], "threads": 6},
        ),
        (
            "waitress-serve --listen=*:80 --listen=[::1]:81 --connection-limit=500 a:b",
            {"app": "a:b", "bind": [":80", "[::1]:81"], "max-connections": 500},
        ),
    ],
)
def test_command(tmp_path: Path, command: str, settings: dict[str, object]) -> None:
    assert migrated_command(tmp_path, shlex.split(command)).settings == settings


def test_what_is_not_carried_over(tmp_path: Path) -> None:
    command = "waitress-serve --trusted-proxy=* --url-scheme=https --expose-tracebacks a:b"
    found = migrated_command(tmp_path, shlex.split(command))
    assert set(found.lost) == {"trusted_proxy", "url_scheme", "expose_tracebacks"}
    assert "any address" in found.lost["trusted_proxy"]


def test_ini_with_another_server(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"the server in a\.ini is paste, not waitress"):
        migrated(tmp_path, "a.ini", "[server:main]\nuse = egg:Paste#http\nport = 1\n")
