"""The command migrate: its files, its messages, and what the new file does."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import Write
from processes import Served, refuse, run
from rocket_cli._migration.variables import quoted
from rocket_cli._settings.env_file import EnvFile
from rocket_core.testing import eventually

CONFIGURATION = """
    import os

    bind = ["127.0.0.1:0", "unix:site.sock"]
    workers = 1
    worker_class = "gthread"
    threads = 3
    umask = 0o117
    accesslog = "access.log"
    access_log_format = '%(h)s %(m)s %(U)s %(s)s %({X-Forwarded-For}i)s'
    forwarded_allow_ips = "127.0.0.1"
    raw_env = ["GREETING=good $morning \\"you\\""]
    proc_name = "shop"
    statsd_host = "127.0.0.1:8125"

    def post_fork(server, worker):
        with open("hook.txt", "a") as file:
            file.write(f"{worker.pid > 0}")
"""

APP = """
    import os
    import threading
    def app(environ, start_response):
        start_response("200 OK", [])
        names = [each.name for each in threading.enumerate() if "worker" in each.name]
        return [
            f"{os.environ['GREETING']}|{environ['REMOTE_ADDR']}|{environ['wsgi.url_scheme']}"
            f"|{len(names)}".encode()
        ]
"""


def test_migrated_server_does_what_the_configuration_says(tmp_path: Path, write: Write) -> None:
    write("shop_conf.py", CONFIGURATION)
    write("shop.py", APP)
    options = ["--output", "rocket.toml", "--env-output", "shop.env"]
    done = run(tmp_path, "migrate", *options, "shop_conf.py")
    assert (done.returncode, done.stdout) == (0, "")
    lines = done.stderr.splitlines()
    assert lines[0].startswith(
        'shop_conf.py:14: not carried over: statsd_host = "127.0.0.1:8125": There is no StatsD.'
    )
    assert lines[-1] == "10 settings written to rocket.toml, 2 to check, 1 not carried over"
    checked = run(tmp_path, "check", "shop:app")
    assert (checked.returncode, checked.stderr) == (0, ""), checked
    with Served(tmp_path, "shop:app") as served:
        url = served.location()
        served.wait_for("^Press")
        fields = {"X-Forwarded-For": "192.0.2.7", "X-Forwarded-Proto": "https"}
        with httpx.Client(trust_env=False) as client:
            answer = client.get(f"{url}/orders", headers=fields)
        greeting, address, scheme, threads = answer.text.split("|")
        assert greeting == 'good $morning "you"'
        assert (address, scheme) == ("192.0.2.7", "https")
        assert int(threads) == 3
        assert stat.S_IMODE((tmp_path / "site.sock").stat().st_mode) == 0o660
        log = tmp_path / "access.log"
        eventually(lambda: log.exists() and log.read_text(encoding="utf-8") != "")
        assert log.read_text(encoding="utf-8") == "192.0.2.7 GET /orders 200 192.0.2.7\n"
        assert (tmp_path / "hook.txt").read_text(encoding="utf-8") == "True"


def test_settings_go_to_standard_output(tmp_path: Path) -> None:
    done = run(tmp_path, "migrate", "--", "gunicorn", "-w", "3", "-e", "A=1", "shop:app")
    assert done.returncode == 0
    assert 'app = "shop:app"   # wsgi_app\n' in done.stdout
    assert "processes = 3   # workers\n" in done.stdout
    assert "--env-output FILE" in done.stderr
    assert done.stderr.endswith("\n3 settings written, 1 to check, 1 not carried over\n")


def test_existing_files_are_kept(tmp_path: Path, write: Write) -> None:
    write("rocket.toml", "threads = 9\n")
    words = ["--", "gunicorn", "shop:app"]
    line = refuse(tmp_path, "--output", "rocket.toml", *words, command="migrate")
    assert line == "rocket.toml exists: use --force to replace it"
    done = run(tmp_path, "migrate", "--force", "--output", "rocket.toml", *words)
    assert done.returncode == 0
    assert "threads = 1 " in (tmp_path / "rocket.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["gunicorn.conf.py"], "cannot read gunicorn.conf.py: No such file or directory"),
        (["empty.py"], "empty.py is empty: there is nothing to carry over"),
        (
            ["nginx.conf"],
            (
                "cannot tell which server nginx.conf is for: say so with "
                "--from gunicorn|uwsgi|waitress|mod_wsgi"
            ),
        ),
        (["--from", "uwsgi", "nginx.conf"],
         "nginx.conf has no options of uWSGI: a section [uwsgi] is needed"),
        (["--from", "puma", "nginx.conf"],
         "--from: 'puma': use gunicorn, uwsgi, waitress or mod_wsgi"),
        (["latin.ini"], "cannot read latin.ini: it is not encoded in UTF-8"),
        (
            ["--", "puma", "-w", "3"],
            (
                "puma is not the command of a server that is known here: use one of gunicorn, "
                "uwsgi, waitress-serve, mod_wsgi-express, or --from"
            ),
        ),
        (
            ["--output", "no/such/rocket.toml", "--", "gunicorn", "a:b"],
            "cannot write no/such/rocket.toml: No such file or directory",
        ),
    ],
)  # fmt: skip
def test_errors_are_one_line(tmp_path: Path, arguments: list[str], line: str) -> None:
    (tmp_path / "empty.py").touch()
    (tmp_path / "nginx.conf").write_text("server { listen 80; }\n", encoding="utf-8")
    (tmp_path / "latin.ini").write_bytes("[uwsgi]\n# caf\xe9\n".encode("latin-1"))
    assert refuse(tmp_path, *arguments, command="migrate") == line


def test_nothing_of_a_configuration_ends_a_comment(tmp_path: Path, write: Write) -> None:
    write("a.py", "wsgi_app = \"a:make('\\x01\\\\nthreads = 9')\"\nstatsd_host = 'a\\x7f\\nb'\n")
    write("a.ini", "[uwsgi]\nmodule = a:b\nvirtualenv = /a\x0bthreads = 9\x85\u2028b\n")
    for name in ("a.py", "a.ini"):
        done = run(tmp_path, "migrate", name, "--force", "--output", "rocket.toml")
        assert done.returncode == 0, done.stderr
        shown = run(tmp_path, "config")
        assert shown.returncode == 0, shown.stderr
        assert "threads = 1 " in shown.stdout
        assert len(done.stderr.splitlines()) == done.stderr.count("\n")


@given(st.text(st.characters(exclude_characters="\0\r", exclude_categories=["Cs"])))
def test_variables_are_read_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    path = tmp_path_factory.getbasetemp() / "variables.env"
    path.write_bytes(f"A={quoted(text)}\nB=1\n".encode())
    assert EnvFile(path).values == {"A": text, "B": "1"}
    os.unlink(path)
