from __future__ import annotations

import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from conftest import HELLO, Write
from processes import refuse, run


def test_valid_settings(tmp_path: Path, write: Write, certificate: Path, key: Path) -> None:
    """No address is bound and no file made, so that the check works while the server runs."""
    write("good.py", HELLO.format("app"))
    write("rocket.toml", 'access-log = "access.log"')
    with socket.create_server(("127.0.0.1", 0)) as running:
        bind = f"127.0.0.1:{running.getsockname()[1]}"
        tls = ["--tls-cert", str(certificate), "--tls-key", str(key)]
        done = run(tmp_path, "check", "--bind", bind, "--bind", "unix:a.sock", *tls, "good:app")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"OK: would serve good:app at https://{bind}, unix:a.sock\n"
    assert not (tmp_path / "access.log").exists()
    assert not (tmp_path / "a.sock").exists()


def test_directory_to_work_in(tmp_path: Path, write: Write) -> None:
    write("inner/good.py", HELLO.format("app"))
    done = run(tmp_path, "check", "--chdir", "inner", "good")
    assert (done.returncode, done.stderr) == (0, "")


def test_found_application(tmp_path: Path, write: Write) -> None:
    write("app.py", HELLO.format("app"))
    done = run(tmp_path, "check")
    assert done.returncode == 0
    assert done.stdout == (
        "Found application: app:app\nOK: would serve app:app at http://127.0.0.1:8000\n"
    )


def test_no_application(tmp_path: Path) -> None:
    """A directory that has none is no green deploy."""
    line = f"found no application in {tmp_path}: name one, such as rocket-cli serve MODULE:APP;"
    assert refuse(tmp_path, command="check").startswith(line)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (
            "bind = ['http://127.0.0.1:0']\ntls-cert = 'expired.pem'",
            "rocket.toml:2: tls-cert has no effect, since no address uses HTTPS: remove http://",
        ),
        ("hsts = 'max-age=60'", "rocket.toml:1: hsts has no effect, since no address uses HTTPS"),
        ("tls-cert = 'expired.pem'", "certificate file expired.pem expired on 20"),
        (
            "spool-free = '1000000G'",
            "large uploads would be refused with 503: /",
        ),
    ],
)
def test_what_is_probably_not_meant(
    tmp_path: Path, write: Write, authority: trustme.CA, content: str, line: str
) -> None:
    write("app.py", HELLO.format("app"))
    write("rocket.toml", content)
    past = datetime.now(UTC) - timedelta(days=3)
    leaf = authority.issue_cert("a.example", not_before=past, not_after=past + timedelta(days=1))
    leaf.private_key_and_cert_chain_pem.write_to_path(tmp_path / "expired.pem")
    done = run(tmp_path, "check")
    assert done.returncode == 0
    assert f"Warning: {line}" in done.stdout
    done = run(tmp_path, "check", "--strict")
    assert (done.returncode, done.stdout) == (2, "")
    assert f"\nrocket-cli: error: {line}" in f"\n{done.stderr}"


def test_strict_check_of_settings_that_are_meant(
    tmp_path: Path, write: Write, certificate: Path, key: Path
) -> None:
    write("app.py", HELLO.format("app"))
    secure = ("--tls-cert", str(certificate), "--tls-key", str(key))
    for options in (secure, ("--trusted-proxies", "unix")):
        done = run(tmp_path, "check", "--strict", "--hsts", "max-age=60", *options)
        assert (done.returncode, done.stderr) == (0, "")
        assert "Warning" not in done.stdout


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ("app = 'missing'", "no module 'missing'"),
        ("app = 'a.py'", "rocket.toml:1: app: 'a.py' is a file"),
        ("\ntls-cert = 'missing.pem'", "rocket.toml:2: tls-cert: certificate file missing.pem"),
        (
            "tls-key = 'missing.pem'",
            "rocket.toml:1: tls-key has no effect without --tls-cert: set that, too",
        ),
        ("bind = ['https://:1']", "rocket.toml:1: bind: https://:1 needs a certificate"),
        (
            "proxy-fields = ['Forwarded']",
            "rocket.toml:1: proxy-fields has no effect without --trusted-proxies",
        ),
        ("proxy-protocol = []", "rocket.toml:1: proxy-protocol: the list is empty"),
        ("static = ['/a=missing']", "rocket.toml:1: static: the root of static files is not a"),
        ("static = ['/.a=.']", "rocket.toml:1: static: files must be mounted at a path"),
        ("static = ['/a=.', '/a/=.']", "rocket.toml:1: static: two directories"),
        ("app = 'good'\nstatic = ['.']", "rocket.toml:2: static: . at / leaves no path to good"),
        ("bind = []", "rocket.toml:1: bind: no address is given"),
        ('tls-cert = "a\\u0000"', "rocket.toml:1: tls-cert: 'a\\x00' contains a NUL"),
        ("static-listing = true", "rocket.toml:1: static-listing has no effect without --static:"),
        ("access-log-format = 'json:x'", "rocket.toml:1: access-log-format: "),
        ("health = 'x'", "rocket.toml:1: health: 'x' is not a URL path"),
        ("request-ids-echo = true", "rocket.toml:1: request-ids-echo has no effect without"),
        ("static-index = 'a/b'", "rocket.toml:1: static-index: the index must be"),
        ("static-cache-control = 'é'", "rocket.toml:1: static-cache-control: cache_control"),
        ("reserved = ['health']", "rocket.toml:1: reserved: 'health' is not a URL path"),
        ("access-log = 'no/access.log'", "rocket.toml:1: access-log 'no/access.log' cannot be"),
        ("access-log = '.'", "rocket.toml:1: access-log '.' cannot be written"),
    ],
)
def test_what_is_wrong(tmp_path: Path, write: Write, content: str, line: str) -> None:
    for name in ("good.py", "app.py"):
        write(name, HELLO.format("app"))
    write("rocket.toml", content)
    variables = {} if "bind" in content else {"ROCKET_BIND": "127.0.0.1:0"}
    assert refuse(tmp_path, command="check", **variables).startswith(line)
    assert refuse(tmp_path, **variables).startswith(line)
