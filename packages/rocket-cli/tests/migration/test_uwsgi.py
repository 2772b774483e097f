"""Configurations of uWSGI, as they are found in projects, and what they become."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

import pytest

from migrating import migrated, migrated_command
from rocket_cli._errors import CommandError

pytestmark = pytest.mark.usefixtures("own_directory")

CPUS = os.cpu_count() or 1

CONFIGURATIONS: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "behind nginx": (
        """
        [uwsgi]
        project = board
        base = /srv/%(project)

        chdir = %(base)/code
        module = %(project).wsgi:application
        master = true
        processes = 5
        socket = /run/board/board.sock
        chmod-socket = 664
        vacuum = true
        """,
        {
            "app": "board.wsgi:application",
            "bind": ["unix:/run/board/board.sock"],
            "processes": 5,
            "chdir": "/srv/board/code",
            "threads": 1,
            "access-log": "-",
        },
        {"chmod-socket"},
    ),
    "a container": (
        """
        [uwsgi]
        ; how it is reached
        http-socket = 0.0.0.0:$(HTTP_PORT_OF_TEST)
        wsgi-file = site/wsgi.py
        callable = app
        processes = %(%k * 2)
        threads = %k
        harakiri = 90   ; seconds
        buffer-size = 65535
        post-buffering = 8192
        max-requests = 1200
        max-worker-lifetime = 7200
        reload-on-rss = 512
        worker-reload-mercy = 20
        die-on-term = true
        need-app = true
        enable-threads = true
        lazy-apps = true
        disable-logging = true
        """,
        {
            "app": "site.wsgi:app",
            "bind": ["0.0.0.0:8088"],
            "processes": CPUS * 2,
            "threads": CPUS,
            "max-requests": 1200,
            "max-lifetime": 7200,
            "max-rss": "512M",
            "graceful-timeout": 20,
            "request-timeout": 90,
        },
        set(),
    ),
    "a machine of its own": (
        """
        [uwsgi]
        http = :8000
        http-timeout = 50
        http-keepalive = 65
        module = wiki.wsgi
        uid = nobody
        pidfile = /run/%n.pid
        daemonize = /var/log/%n.log
        listen = 256
        static-map = /static=/srv/wiki/static
        static-map = /media/=/srv/wiki/media
        virtualenv = /srv/wiki/venv
        pythonpath = /srv/wiki/lib
        env = WIKI_SETTINGS=/etc/wiki.conf
        """,
        {
            "app": "wiki.wsgi:application",
            "threads": 1,
            "bind": ["0.0.0.0:8000"],
            "backlog": 256,
            "pid": "/run/uwsgi.pid",
            "user": "nobody",
            "keep-alive": 65,
            "static": ["/static=/srv/wiki/static", "/media=/srv/wiki/media"],
            "error-log": "/var/log/uwsgi.log",
            "access-log": "/var/log/uwsgi.log",
        },
        {"daemonize", "virtualenv", "pythonpath"},
    ),
    "processes as needed": (
        """
        [uwsgi]
        strict = true
        single-interpreter = true
        module = api:app
        cheaper-algo = busyness
        processes = 64
        cheaper = 4
        cheaper-initial = 8
        cheaper-busyness-max = 60
        stats = 127.0.0.1:1717
        thunder-lock = true
        threads = 2
        log-4xx = true
        log-5xx = true
        disable-logging = true
        http11-socket = [::]:80
        """,
        {"app": "api:app", "bind": ["[::]:80"], "processes": 64, "threads": 2},
        {
            "cheaper",
            "cheaper-algo",
            "cheaper-initial",
            "cheaper-busyness-max",
            "stats",
            "log-4xx",
            "log-5xx",
        },
    ),
    "gevent": (
        """
        [uwsgi]
        http-socket = :8000
        gevent = 100
        gevent-monkey-patch = true
        http-websockets = true
        wsgi-file = chat.py
        callable = app
        logto = /tmp/chat.log
        log-format = %(addr) "%(method) %(uri)" %(status) %(size)
        """,
        {
            "app": "chat:app",
            "bind": ["0.0.0.0:8000"],
            "threads": "8:64",
            "error-log": "/tmp/chat.log",
            "access-log": "/tmp/chat.log",
            "access-log-format": '{client} "{method} {target}" {status} {size}',
        },
        set(),
    ),
    "jobs of the server": (
        """
        [uwsgi]
        socket = 127.0.0.1:3031
        protocol = http
        module = jobs:app
        mule = jobs/mule.py
        spooler = /srv/spool
        cron = 0 4 -1 -1 -1 python clean.py
        attach-daemon = celery -A jobs worker
        cache2 = name=pages,items=100
        route = ^/old redirect:/new
        touch-reload = /srv/jobs/reload
        py-autoreload = 1
        logfile = /tmp/x.log
        """,
        {
            "app": "jobs:app",
            "threads": 1,
            "bind": ["127.0.0.1:3031"],
            "access-log": "-",
            "reload": True,
        },
        {"mule", "spooler", "cron", "attach-daemon", "cache2", "route", "touch-reload", "logfile"},
    ),
    "a path of the site": (
        """
        [uwsgi]
        uwsgi-socket = /tmp/tool.sock
        mount = /tool=tool.main:app
        manage-script-name = true
        hook-master-start = unix_signal:15 gracefully_kill_them_all
        enable-proxy-protocol = false
        auto-procname = true
        procname-prefix = tool
        """,
        {
            "app": "tool.main:app",
            "threads": 1,
            "root-path": "/tool",
            "bind": ["unix:/tmp/tool.sock"],
            "process-name": "tool",
            "access-log": "-",
        },
        set(),
    ),
    "tls": (
        """
        [uwsgi]
        https = :8443,site.crt,site.key
        wsgi-file = /srv/site/run.wsgi
        limit-post = 5000000
        """,
        {
            "app": "run:application",
            "threads": 1,
            "bind": ["https://0.0.0.0:8443"],
            "tls-cert": "site.crt",
            "tls-key": "site.key",
            "chdir": "/srv/site",
            "max-body": 5000000,
            "access-log": "-",
        },
        set(),
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configuration_of_a_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("HTTP_PORT_OF_TEST", "8088")
    text, settings, lost = CONFIGURATIONS[name]
    found = migrated(tmp_path, "uwsgi.ini", text)
    assert found.settings == settings
    assert set(found.lost) == lost


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", "uwsgi:\n    # how\n    http: ':80'\n    module: 'a:b'\n    master: true\n"),
        ("a.xml", "<uwsgi><http>:80</http><module>a:b</module><master/></uwsgi>"),
        ("a.json", '{"uwsgi": {"http": [":80"], "module": "a:b", "master": true}}'),
    ],
)
def test_other_forms_of_the_file(tmp_path: Path, name: str, text: str) -> None:
    found = migrated(tmp_path, name, text)
    assert found.settings == {
        "bind": ["0.0.0.0:80"],
        "app": "a:b",
        "threads": 1,
        "access-log": "-",
    }
    assert set(found.needless) == {"master"}


def test_command_line(tmp_path: Path) -> None:
    Path("base.ini").write_text("[uwsgi]\nbuffer-size = 9000\nthreads = 3\n", encoding="utf-8")
    command = (
        "uwsgi base.ini --http :8000 -p 4 -M --wsgi-file app.py --callable=app "
        "--max-requests=9 -L --env A=1"
    )
    found = migrated_command(tmp_path, shlex.split(command))
    assert found.settings == {
        "app": "app:app",
        "bind": ["0.0.0.0:8000"],
        "processes": 4,
        "threads": 3,
        "max-requests": 9,
    }
    assert found.draft.variables == {"A": "1"}
    assert set(found.needless) == {"M", "buffer-size"}


def test_file_of_a_command_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot read no\.ini: No such file or directory"):
        migrated_command(tmp_path, ["uwsgi", "--ini", "no.ini"])


def test_values_that_are_no_numbers(tmp_path: Path) -> None:
    text = "[uwsgi]\nmodule = a:b\nharakiri = soon\nreload-on-rss = little\nthreads = 2\n"
    assert set(migrated(tmp_path, "u.ini", text).lost) == {"harakiri", "reload-on-rss"}


def test_import_path_that_is_the_directory(tmp_path: Path) -> None:
    text = "[uwsgi]\nmodule = a:b\npythonpath = /srv/a\nchdir = /srv/a/\n"
    found = migrated(tmp_path, "u.ini", text)
    assert found.lost == {}
    assert found.settings["chdir"] == "/srv/a/"


def test_several_applications(tmp_path: Path) -> None:
    text = (
        "[uwsgi]\nmount = /a/=a.py\nmount = /b=b.py\ncallable = app\nhttp = fd://3\nsocket = @x\n"
    )
    found = migrated(tmp_path, "u.ini", text)
    assert found.settings == {
        "app": "a:app",
        "root-path": "/a",
        "threads": 1,
        "access-log": "-",
    }
    assert set(found.lost) == {"mount", "http", "socket"}


def test_nginx_is_told(tmp_path: Path) -> None:
    found = migrated(tmp_path, "u.ini", "[uwsgi]\nsocket = :3031\nmodule = a:b\n")
    assert found.settings["bind"] == ["0.0.0.0:3031"]
    assert "proxy_pass http://127.0.0.1:3031;" in found.check["socket"]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("u.ini", "[other]\nhttp = :80\n", "u.ini has no options of uWSGI"),
        ("u.xml", "<uwsgi><http>", "u.xml is not valid XML"),
        ("u.json", '{"uwsgi": ', "u.json is not valid JSON"),
    ],
)
def test_file_that_cannot_be_read(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(CommandError) as raised:
        migrated(tmp_path, name, text, "uwsgi")
    assert raised.value.message.startswith(message)
