"""The user, the groups, the umask and the directory of the worker processes."""

from __future__ import annotations

import os
import pwd
import signal
import stat
from pathlib import Path

import httpx
import pytest

from conftest import Write
from privileges import needs_root, public_path, trap  # noqa: F401 - a fixture
from processes import COMMAND, Served, eventually, refuse
from rocket_cli._settings.users import parse_group, parse_user

ANY = ["--bind", "127.0.0.1:0"]
TELL = """
    import os
    mask = os.umask(0)
    os.umask(mask)
    def app(environ, start_response):
        start_response("200 OK", [])
        what = os.getresuid(), os.getresgid(), sorted(os.getgroups()), oct(mask), os.getcwd()
        return [repr(what).encode()]
"""


@pytest.fixture
def site(tmp_path: Path, write: Write) -> Path:
    write("tell.py", TELL)
    return tmp_path


def told(site: Path, *options: str) -> tuple[object, ...]:
    with Served(site, *ANY, *options, "tell") as served:
        answer = httpx.get(served.location(), headers={"Connection": "close"}, trust_env=False)
        served.stop()
    found: tuple[object, ...] = eval(answer.text)
    return found


@needs_root
def test_user_with_the_groups_of_that_user(site: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    groups = sorted(set(os.getgrouplist("nobody", nobody.pw_gid)))
    uids, gids, found, *_ = told(site, "--user", "nobody")
    assert (uids, gids) == ((nobody.pw_uid,) * 3, (nobody.pw_gid,) * 3)
    assert found == groups


@needs_root
def test_log_belongs_to_the_user(site: Path, write: Write) -> None:
    """The worker processes can reopen the log in a directory in which they may make no file."""
    write("broken.py", "def app(environ, start_response): raise RuntimeError('a bug')")
    log, old = site / "error.log", site / "error.log.1"
    with Served(site, *ANY, "--user", "nobody", "--error-log", "error.log", "broken") as served:
        url = served.location()
        httpx.get(f"{url}/first", trust_env=False)
        log.rename(old)
        served.send(signal.SIGUSR1)
        eventually(lambda: log.exists() and "the logs are reopened" in log.read_text())
        httpx.get(f"{url}/second", trust_env=False)
        served.stop()
    assert "/first: the application failed" in old.read_text()
    assert "/second: the application failed" in log.read_text()
    assert log.owner() == "nobody"


@needs_root
def test_user_and_group_by_number(site: Path) -> None:
    uids, gids, groups, *_ = told(site, "--user", "12345", "--group", "23456")
    assert (uids, gids, groups) == ((12345,) * 3, (23456,) * 3, [23456])


@needs_root
def test_key_that_only_root_may_read(site: Path, certificate: Path, key: Path) -> None:
    key.chmod(0o600)
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with Served(site, *ANY, *tls, "--user", "nobody", "tell") as served:
        answer = httpx.get(served.location(), verify=False, trust_env=False)
        assert str(pwd.getpwnam("nobody").pw_uid) in answer.text
        served.stop()


@needs_root
def test_unix_socket_belongs_to_the_user(site: Path) -> None:
    with Served(site, "--bind", "unix:a.sock", "--user", "nobody", "tell") as served:
        served.location()
        assert (site / "a.sock").stat().st_uid == pwd.getpwnam("nobody").pw_uid
        served.stop()
    assert not (site / "a.sock").exists()


@needs_root
def test_log_that_is_a_link(site: Path) -> None:
    """The owner of a log's directory cannot get a file of root by a link, at the start or later."""
    directory, secret = trap(site)
    log = directory / "error.log"
    options = [*ANY, "--user", "nobody", "--error-log", str(log), "tell"]
    log.symlink_to(secret)
    line = refuse(site, *options)
    assert line.startswith(
        f"--error-log '{log}' cannot be written: Permission denied for the user nobody; use"
    )
    log.unlink()
    with Served(site, *options) as served:
        served.location()
        assert log.owner() == "nobody"
        log.rename(directory / "error.log.1")
        log.symlink_to(secret)
        served.send(signal.SIGUSR1)
        stays = "messages still go to the old file"
        eventually(lambda: stays in (directory / "error.log.1").read_text())
        served.stop()
    assert (secret.owner(), secret.read_text()) == ("root", "secret")


@needs_root
@pytest.mark.parametrize("way", ["link", "second name", "directory"])
def test_log_path_that_leads_to_a_file_of_root(site: Path, way: str) -> None:
    directory, secret = trap(site)
    log = directory / "logs" / "secret"
    if way == "directory":
        log.parent.symlink_to(secret.parent)
    else:
        log.parent.mkdir()
        os.chown(log.parent, pwd.getpwnam("nobody").pw_uid, -1)
        (log.symlink_to if way == "link" else log.hardlink_to)(secret)
    line = refuse(site, *ANY, "--user", "nobody", "--error-log", str(log), "tell")
    assert "cannot be written: Permission denied for the user nobody" in line
    assert (secret.owner(), secret.read_text()) == ("root", "secret")


@needs_root
def test_log_that_is_a_named_pipe(site: Path) -> None:
    """A named pipe is refused, whether or not another process has opened it for reading."""
    directory, _ = trap(site)
    log = directory / "error.log"
    options = [*ANY, "--user", "nobody", "--error-log", str(log), "tell"]
    os.mkfifo(log)
    log.chmod(0o666)
    assert "cannot be written: No such device or address" in refuse(site, *options)
    reader = os.open(log, os.O_RDONLY | os.O_NONBLOCK)
    try:
        assert "cannot be written: not a regular file" in refuse(site, *options)
    finally:
        os.close(reader)


@needs_root
def test_device_as_log_still_belongs_to_root(site: Path) -> None:
    device = site / "null"
    os.mknod(device, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    with Served(site, *ANY, "--user", "nobody", "--error-log", "null", "tell") as served:
        served.location()
        served.stop()
    assert device.owner() == "root"


@needs_root
def test_pid_file_is_written_by_an_unpredictable_name(site: Path) -> None:
    directory, secret = trap(site)
    path = directory / "rocket.pid"
    foresee = f'ln -s "{secret}" "{path}.$$" && exec "$@"'
    command = ["sh", "-c", foresee, "sh", *COMMAND]
    options = [*ANY, "--user", "nobody", "--pid", str(path), "tell"]
    with Served(site, *options, command=command) as served:
        served.location()
        assert path.read_text() == f"{served.pid}\n"
        served.stop()
    assert not path.exists()
    assert (secret.owner(), secret.read_text()) == ("root", "secret")


@needs_root
def test_number_without_a_group(site: Path) -> None:
    line = refuse(site, *ANY, "--user", "12345", "tell")
    assert line == "--user: user 12345 has no group: set --group, too"


def test_unknown_names(site: Path) -> None:
    assert refuse(site, *ANY, "--user", "no-one", "tell").startswith(
        "--user: there is no user 'no-"
    )
    assert refuse(site, *ANY, "--group", "none", "tell").startswith("--group: there is no group ")


def test_names_and_numbers() -> None:
    root = pwd.getpwuid(0)
    assert parse_user(root.pw_name) == (root.pw_name, 0, root.pw_gid)
    assert parse_user("0") == ("0", 0, root.pw_gid)
    assert str(parse_user("0")) == "0"
    assert parse_group("7") == ("7", 7)


def test_umask_and_directory(site: Path) -> None:
    (site / "inner").mkdir()
    (site / "tell.py").rename(site / "inner" / "tell.py")
    options = ["--umask", "027", "--chdir", "inner", "--pid", "rocket.pid"]
    with Served(site, *ANY, *options, "--bind", "unix:a.sock", "tell") as served:
        answer = httpx.get(served.location(), headers={"Connection": "close"}, trust_env=False)
        mode = stat.S_IMODE((site / "inner" / "a.sock").stat().st_mode)
        assert (site / "inner" / "rocket.pid").exists()
        served.stop()
    *_, mask, directory = eval(answer.text)
    assert (mask, directory) == ("0o27", str(site / "inner"))
    assert mode == 0o750


@pytest.mark.parametrize(
    ("option", "value", "line"),
    [
        ("--umask", "9", "--umask: '9': use octal digits from 000 to 777, such as 027"),
        ("--umask", "1000", "--umask: '1000': use octal digits"),
        ("--chdir", "missing", "--chdir: cannot work in missing: No such file or directory"),
    ],
)
def test_what_cannot_be(site: Path, option: str, value: str, line: str) -> None:
    assert refuse(site, *ANY, option, value, "tell").startswith(line)
