"""Configurations of mod_wsgi, and what they become."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from migrating import migrated, migrated_command
from rocket_cli._errors import CommandError

pytestmark = pytest.mark.usefixtures("own_directory")


def test_virtual_host(tmp_path: Path) -> None:
    text = r"""
        <VirtualHost *:80>
            ServerName board.example
            # WSGIDaemonProcess old
            WSGIDaemonProcess board processes=2 threads=20 display-name=%{GROUP} \
                python-home=/srv/board/venv python-path=/srv/board/code \
                user=nobody umask=0007 maximum-requests=800 request-timeout=50
            WSGIProcessGroup board
            WSGIApplicationGroup %{GLOBAL}
            wsgiscriptalias /board /srv/board/code/board/wsgi.py
            WSGIPassAuthorization On
            Alias /static/ "/srv/board/static files/"
            WSGIFrobnicate On
            <Directory /srv/board/code/board>
                Require all granted
            </Directory>
        </VirtualHost>
    """
    found = migrated(tmp_path, "site.conf", text)
    assert found.settings == {
        "app": "board.wsgi:application",
        "root-path": "/board",
        "chdir": "/srv/board/code",
        "processes": 2,
        "threads": 20,
        "process-name": "board",
        "user": "nobody",
        "umask": "007",
        "max-requests": 800,
        "request-timeout": 50,
        "static": ["/static=/srv/board/static files"],
    }
    assert set(found.lost) == {"python-home", "WSGIFrobnicate"}
    assert "ProxyPass" in found.check["Apache"]
    places = {each.subject: each.place for each in found.draft.findings}
    assert places['WSGIFrobnicate = "On"'] == "site.conf:13"


def test_script_that_is_no_module(tmp_path: Path) -> None:
    text = """
        WSGIDaemonProcess tool home=/srv/tool user=#1234
        WSGIDaemonProcess other threads=3
        WSGIScriptAlias / /srv/scripts/tool.wsgi process-group=tool
        WSGIScriptAlias /other /srv/scripts/other.wsgi
        WSGICallableObject app
    """
    found = migrated(tmp_path, "site.conf", text)
    assert found.settings == {"app": "tool:app", "chdir": "/srv/scripts", "user": "1234"}
    assert "rename tool.wsgi" in found.check["WSGIScriptAlias"]
    assert set(found.lost) == {"WSGIDaemonProcess", "WSGIScriptAlias"}


def test_command(tmp_path: Path) -> None:
    command = (
        "mod_wsgi-express start-server site/wsgi.py --port 8080 --processes 3 --threads 10 "
        "--url-alias /static ./static --url-alias /media media --working-directory /srv/site "
        "--limit-request-body 1000 --compress-responses --trust-proxy 10.0.0.1 "
        "--trust-proxy-header X-Forwarded-For --log-directory log --access-log --setenv A B "
        "--https-port 8443 --https-only --ssl-certificate tls/site --mount-point /tool "
        "--log-level warn --reload-on-changes --document-root htdocs"
    )
    found = migrated_command(tmp_path, shlex.split(command))
    assert found.settings == {
        "app": "site.wsgi:application",
        "bind": ["http://:8080", "https://:8443"],
        "https-redirect": 8443,
        "tls-cert": "tls/site.crt",
        "tls-key": "tls/site.key",
        "root-path": "/tool",
        "chdir": "/srv/site",
        "processes": 3,
        "threads": 10,
        "static": ["/static=./static", "/media=media"],
        "max-body": 1000,
        "compress": True,
        "trusted-proxies": ["10.0.0.1"],
        "proxy-fields": ["X-Forwarded-For"],
        "error-log": "log/error_log",
        "access-log": "log/access_log",
        "log-level": "warning",
        "reload": True,
    }
    assert set(found.lost) == {"--setenv", "--document-root"}


def test_module_and_callable(tmp_path: Path) -> None:
    words = "mod_wsgi-express start-server --application-type module shop.web --callable-object app"
    found = migrated_command(tmp_path, words.split())
    assert found.settings == {"app": "shop.web:app", "bind": ["http://:8000"]}


def test_configuration_without_directives(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="has no directives of mod_wsgi"):
        migrated(tmp_path, "a.conf", "Listen 80\n", "mod_wsgi")
