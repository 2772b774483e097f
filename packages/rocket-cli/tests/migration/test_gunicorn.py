"""Configurations of gunicorn, as they are found in projects, and what they become."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from migrating import migrated, migrated_command
from rocket_cli._errors import CommandError

pytestmark = pytest.mark.usefixtures("own_directory")

CPUS = os.cpu_count() or 1

CONFIGURATIONS: dict[str, tuple[str, dict[str, Any], set[str]]] = {
    "computed workers": (
        """
        import multiprocessing

        bind = "127.0.0.1:5060"
        workers = multiprocessing.cpu_count() * 2 + 1
        timeout = 45
        """,
        {
            "bind": ["127.0.0.1:5060"],
            "processes": CPUS * 2 + 1,
            "threads": 1,
            "request-timeout": 45,
        },
        set(),
    ),
    "threads": (
        """
        bind = "0.0.0.0:9000"
        worker_class = "gthread"
        workers = 3
        threads = 12
        timeout = 100
        keepalive = 20
        max_requests = 700
        max_requests_jitter = 70
        """,
        {
            "bind": ["0.0.0.0:9000"],
            "processes": 3,
            "threads": 12,
            "keep-alive": 20,
            "max-requests": 700,
            "max-requests-jitter": 70,
        },
        set(),
    ),
    "variables": (
        """
        import os

        def number(name, default):
            return int(os.getenv(name, default))

        bind = f"{os.getenv('HOST_ADDRESS', '0.0.0.0')}:{number('HTTP_PORT', 8100)}"
        workers = number("N_WORKERS", 2)
        threads = number("N_THREADS", 6)
        loglevel = os.environ.get("LOGGING", "WARNING").lower()
        accesslog = "-"
        errorlog = "-"
        """,
        {
            "bind": ["0.0.0.0:8100"],
            "processes": 2,
            "threads": 6,
            "log-level": "warning",
            "access-log": "-",
        },
        set(),
    ),
    "gevent": (
        """
        from gunicorn.workers.ggevent import GeventWorker

        worker_class = "gevent"
        worker_connections = 800
        bind = ["0.0.0.0:5000", "unix:/tmp/board.sock"]
        preload_app = True
        """,
        {
            "bind": ["0.0.0.0:5000", "unix:/tmp/board.sock"],
            "threads": "8:64",
            "max-connections": 800,
            "preload": True,
        },
        set(),
    ),
    "an ASGI worker": (
        """
        worker_class = "uvicorn.workers.UvicornWorker"
        worker_tmp_dir = "/dev/shm"
        graceful_timeout = 25
        """,
        {"graceful-timeout": 25},
        {"worker_class"},
    ),
    "behind a proxy": (
        """
        forwarded_allow_ips = "10.20.0.0/16, 10.30.0.7"
        secure_scheme_headers = {"X-Forwarded-Proto": "https"}
        access_log_format = '%({X-Forwarded-For}i)s %(l)s %(t)s "%(r)s" %(s)s %(b)s %(L)s'
        accesslog = "/var/log/site/access.log"
        threads = 4
        """,
        {
            "trusted-proxies": ["10.20.0.0/16", "10.30.0.7", "unix"],
            "access-log": "/var/log/site/access.log",
            "access-log-format": '{client} - [{clock}] "{line}" {status} {size} {seconds}',
            "threads": 4,
        },
        set(),
    ),
    "every proxy": (
        """
        forwarded_allow_ips = "*"
        proxy_allow_ips = "*"
        proxy_protocol = True
        threads = 2
        """,
        {"threads": 2, "proxy-protocol": ["127.0.0.1", "::1"]},
        {"forwarded_allow_ips", "proxy_allow_ips"},
    ),
    "tls": (
        """
        import ssl

        certfile = "/etc/site/chain.pem"
        keyfile = "/etc/site/key.pem"
        ca_certs = "/etc/site/clients.pem"
        cert_reqs = ssl.CERT_REQUIRED
        ssl_version = "TLSv1_2"
        ciphers = "ECDHE+AESGCM"
        do_handshake_on_connect = True
        threads = 2
        """,
        {
            "tls-cert": "/etc/site/chain.pem",
            "tls-key": "/etc/site/key.pem",
            "tls-client-ca": "/etc/site/clients.pem",
            "tls-client-certificates": "required",
            "tls-min-version": "1.2",
            "tls-ciphers": "ECDHE+AESGCM",
            "threads": 2,
        },
        set(),
    ),
    "a process of its own": (
        """
        daemon = True
        pidfile = "run/site.pid"
        user = "nobody"
        umask = 0o007
        chdir = "/srv/site"
        proc_name = "site"
        backlog = 512
        reuse_port = True
        wsgi_app = "site.wsgi"
        """,
        {
            "pid": "run/site.pid",
            "user": "nobody",
            "umask": "007",
            "chdir": "/srv/site",
            "process-name": "site",
            "backlog": 512,
            "reuse-port": True,
            "app": "site.wsgi",
            "threads": 1,
        },
        {"daemon"},
    ),
    "a logger of its own": (
        """
        from gunicorn import glogging

        class Quiet(glogging.Logger):
            def access(self, resp, req, environ, request_time):
                if req.path != "/ping":
                    super().access(resp, req, environ, request_time)

        logger_class = Quiet
        logconfig_dict = {"version": 1, "root": {"level": "INFO"}}
        statsd_host = "127.0.0.1:8125"
        statsd_prefix = "site"
        syslog = True
        errorlog = "/var/log/site/error.log"
        """,
        {"error-log": "/var/log/site/error.log", "threads": 1},
        {"logger_class", "logconfig_dict", "statsd_host", "statsd_prefix", "syslog"},
    ),
    "defaults written out": (
        """
        backlog = 2048
        worker_class = "sync"
        limit_request_line = 4094
        limit_request_fields = 100
        tmp_upload_dir = None
        spew = False
        daemon = False
        user = None
        group = None
        umask = 0
        keepalive = 2
        worker_connections = 1000
        """,
        {"backlog": 2048, "threads": 1, "umask": "000"},
        set(),
    ),
    "names that gunicorn ignores": (
        """
        WORKERS = 4
        worker_clas = "gevent"
        logfile = "x.log"
        workers = 4
        threads = 4
        """,
        {"processes": 4, "threads": 4},
        {"worker_clas"},
    ),
    "http/2": (
        """
        http_protocols = "h2,h1"
        http2_cleartext = "both"
        http2_max_concurrent_streams = 50
        header_map = "dangerous"
        threads = 8
        """,
        {"http2": True, "h2c": True, "underscores": "allow", "threads": 8},
        {"http2_cleartext"},
    ),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_configuration_of_a_project(tmp_path: Path, name: str) -> None:
    text, settings, lost = CONFIGURATIONS[name]
    found = migrated(tmp_path, "gunicorn.conf.py", text)
    assert found.settings == settings
    assert set(found.lost) == lost
    assert all(text.endswith(".") for text in (*found.lost.values(), *found.check.values()))


def test_findings_name_the_lines(tmp_path: Path) -> None:
    found = migrated(tmp_path, "conf.py", "\nthreads = 2\nif threads:\n    statsd_host = 'a:1'\n")
    places = {each.subject: each.place for each in found.draft.findings}
    assert places['statsd_host = "a:1"'] == "conf.py:4"


def test_hooks_of_a_module_that_can_be_imported(tmp_path: Path) -> None:
    text = """
        threads = 2
        def post_fork(server, worker):
            server.log.info("worker %s of %s", worker.age, server.cfg.proc_name)
        def on_exit(server):
            server.log.info("%s", server.pid)
        def post_worker_init(worker): ...
        def pre_request(worker, req): ...
    """
    found = migrated(tmp_path, "site_conf.py", text)
    assert found.settings == {"threads": 2, "hooks": "site_conf"}
    assert set(found.lost) == {"post_worker_init", "pre_request"}
    assert "worker.age (line 4), server.cfg (line 4)" in found.check["post_fork"]
    assert "on_exit" not in found.check


def test_hooks_that_must_be_copied(tmp_path: Path) -> None:
    text = "threads = 2\ndef when_ready(server): ...\n"
    found = migrated(tmp_path, "gunicorn.conf.py", text)
    assert found.settings == {"threads": 2}
    assert "rocket_hooks" in found.lost["when_ready"]
    Path("etc").mkdir()
    assert "by its name" in migrated(tmp_path, "etc/conf.py", text).lost["when_ready"]
    with_gunicorn = migrated(tmp_path, "conf.py", f"import gunicorn.util\n{text}")
    assert "imports gunicorn" in with_gunicorn.lost["when_ready"]


def test_computed_values_are_told(tmp_path: Path) -> None:
    found = migrated(tmp_path, "conf.py", "import os\nthreads = 2\nworkers = os.cpu_count()\n")
    assert "workers" in found.check
    assert "threads" not in found.check


def test_command_line_overrides_variables_and_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("other.py").write_text("workers = 1\nthreads = 1\nbacklog = 11\n", encoding="utf-8")
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--workers 2 --threads=2")
    monkeypatch.setenv("PORT", "8444")
    words = "env A=b python3 -m gunicorn -c file:other.py --threads 3 --preload -e X=1 shop:app"
    found = migrated_command(tmp_path, words.split())
    assert found.settings == {
        "app": "shop:app",
        "bind": ["0.0.0.0:8444"],
        "processes": 2,
        "threads": 3,
        "backlog": 11,
        "preload": True,
    }
    assert found.draft.variables == {"X": "1"}


def test_file_in_the_current_directory_is_found(tmp_path: Path) -> None:
    Path("gunicorn.conf.py").write_text("workers = 6\nthreads = 2\n", encoding="utf-8")
    found = migrated_command(tmp_path, ["gunicorn", "shop:app"])
    assert found.settings["processes"] == 6


@pytest.mark.parametrize(
    ("value", "address"),
    [
        (":8000", "0.0.0.0:8000"),
        ("10.0.0.1", "10.0.0.1:8000"),
        ("[::1]", "[::1]:8000"),
        ("[::]:81", "[::]:81"),
        ("unix:///run/a.sock", "unix:/run/a.sock"),
        ("unix:a.sock", "unix:a.sock"),
        ("tcp://10.0.0.1:81", "10.0.0.1:81"),
    ],
)
def test_addresses(tmp_path: Path, value: str, address: str) -> None:
    found = migrated_command(tmp_path, ["gunicorn", "-b", value, "--threads", "2", "a:b"])
    assert found.settings["bind"] == [address]


def test_descriptor_is_no_address(tmp_path: Path) -> None:
    assert "bind" in migrated_command(tmp_path, ["gunicorn", "-b", "fd://3", "a:b"]).lost


def test_factory_with_arguments(tmp_path: Path) -> None:
    found = migrated_command(tmp_path, ["gunicorn", "shop:create_app('test')"])
    assert "app" not in found.settings
    assert "application = create_app('test')" in found.lost["wsgi_app"]
    assert migrated_command(tmp_path, ["gunicorn", "shop:make()"]).settings["app"] == "shop:make()"


def test_settings_without_effect_are_left_out(tmp_path: Path) -> None:
    text = "threads = 2\nmax_requests_jitter = 5\nkeyfile = 'key.pem'\naccess_log_format = '%(h)s'"
    found = migrated(tmp_path, "conf.py", text)
    assert found.settings == {"threads": 2}
    assert set(found.lost) == {"max_requests_jitter", "keyfile", "access_log_format"}


def test_limits_of_heads_are_told_if_they_are_higher_than_those_here(tmp_path: Path) -> None:
    text = "threads = 2\nlimit_request_line = 8190\nlimit_request_field_size = 32768\n"
    assert set(migrated(tmp_path, "conf.py", text).lost) == {"limit_request_field_size"}


def test_value_that_is_not_valid_here(tmp_path: Path) -> None:
    found = migrated(tmp_path, "conf.py", "threads = 2\nuser = 'no-such-user'\nworkers = 'many'")
    assert found.settings == {"threads": 2}
    assert "there is no user 'no-such-user'" in found.lost["user"]
    assert "workers" in found.lost


def test_field_that_the_access_log_does_not_have(tmp_path: Path) -> None:
    text = "threads = 2\naccesslog = '-'\naccess_log_format = '%(h)s %(p)s'\n"
    found = migrated(tmp_path, "conf.py", text)
    assert found.settings == {"threads": 2, "access-log": "-"}
    assert "%(p)s" in found.lost["access_log_format"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a = (\n", "conf.py:1: syntax error: '(' was never closed"),
        ("\nimport os\nbind = os.environ['NOT_SET']", "conf.py:3: KeyError: 'NOT_SET'"),
        ("def f():\n    raise ValueError('no\\nvalue')\nf()", "conf.py:2: ValueError: no value"),
        ("import a_missing_module", "conf.py:1: ModuleNotFoundError: No module named"),
        ("import sys\nsys.exit(3)", "conf.py:2: SystemExit: 3"),
        ("import os\nos._exit(7)", "conf.py ended Python before it was read (exit code 7)"),
        ("  \n", "conf.py is empty"),
    ],
)
def test_file_that_cannot_be_read(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(CommandError) as raised:
        migrated(tmp_path, "conf.py", text)
    assert raised.value.message.startswith(message)


def test_file_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"cannot read no\.py: No such file or directory"):
        migrated_command(tmp_path, ["gunicorn", "-c", "no.py", "a:b"])


@pytest.mark.parametrize("name", ["timeout", "workers", "limit_request_line", "max_requests"])
def test_value_that_is_no_number(tmp_path: Path, name: str) -> None:
    found = migrated(tmp_path, "conf.py", f"{name} = 'many'\n")
    assert found.lost == {name: "This is not a number."}
    assert found.settings == {"threads": 1}


def test_unknown_option(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot read the options of gunicorn"):
        migrated_command(tmp_path, ["gunicorn", "--frobnicate", "a:b"])


def test_output_of_the_file_is_not_in_the_settings(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    migrated(tmp_path, "conf.py", "print('starting')\nthreads = 2\n")
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "starting\n")


def test_paste(tmp_path: Path) -> None:
    text = """
        [app:main]
        use = egg:shop

        [server:main]
        use = egg:gunicorn#main
        host = 0.0.0.0
        port = 6543
        workers = 3
        worker_class = gthread
        threads = 5
    """
    found = migrated(tmp_path, "production.ini", text)
    assert found.settings == {"bind": ["0.0.0.0:6543"], "processes": 3, "threads": 5}
    assert 'loadapp("config:' in found.check["app"]
