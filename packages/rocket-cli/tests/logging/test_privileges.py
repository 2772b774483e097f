"""The directories that a user can change, and the rights with which files are made there."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from privileges import needs_root, public_path, trap  # noqa: F401 - a fixture
from rocket_cli._logging.privileges import Maker, give_file, is_protected, maker
from rocket_cli._settings.identity import Identity

pytestmark = needs_root


@pytest.fixture
def nobody() -> Identity:
    found = pwd.getpwnam("nobody")
    return Identity(found.pw_uid, found.pw_gid, os.getgrouplist("nobody", found.pw_gid))


def test_directory_of_root(tmp_path: Path, nobody: Identity) -> None:
    """An existing and a missing file, a link on the way, and a link at its end."""
    trap(tmp_path)
    (tmp_path / "way").symlink_to(".")
    (tmp_path / "link").symlink_to(tmp_path / "secret")
    for name in ("secret", "new", "way/new", "link", "theirs/../new"):
        assert is_protected(tmp_path / name, nobody) is (".." not in name)
    assert is_protected(Path("/dev/null"), nobody)


def test_directory_of_the_user(tmp_path: Path, nobody: Identity) -> None:
    directory, _ = trap(tmp_path)
    (tmp_path / "way").symlink_to("theirs")
    (directory / "inner").mkdir()  # of root, but the user can put another in its place
    (directory / "link").symlink_to(tmp_path)
    for name in ("theirs/new", "way/new", "theirs/inner/new", "theirs/link/secret"):
        assert not is_protected(tmp_path / name, nobody), name


def test_directory_that_all_users_can_write_to(tmp_path: Path, nobody: Identity) -> None:
    trap(tmp_path)
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "inner").mkdir()
    assert is_protected(shared / "inner" / "new", nobody)
    assert not is_protected(shared / "new", nobody)
    (shared / "file").touch()
    (shared / "link").symlink_to(tmp_path)
    assert not is_protected(shared / "file", nobody)
    assert not is_protected(shared / "link" / "new", nobody)
    shared.chmod(0o777)
    assert not is_protected(shared / "inner" / "new", nobody)


def test_directory_of_a_group(tmp_path: Path, nobody: Identity) -> None:
    """On some systems /var/log belongs to the group of the system log."""
    trap(tmp_path)
    tmp_path.chmod(0o775)
    assert is_protected(tmp_path / "new", nobody)
    os.chown(tmp_path, 0, nobody.gid)
    assert not is_protected(tmp_path / "new", nobody)


@pytest.mark.skipif(shutil.which("setfacl") is None, reason="setfacl is not installed")
def test_directory_with_an_access_control_list(tmp_path: Path, nobody: Identity) -> None:
    trap(tmp_path)
    done = subprocess.run(["setfacl", "-m", f"u:{nobody.uid}:rwx", tmp_path], check=False)
    if done.returncode:
        pytest.skip("this file system has no access control lists")
    assert not is_protected(tmp_path / "new", nobody)


def test_links_that_lead_nowhere(tmp_path: Path, nobody: Identity) -> None:
    trap(tmp_path)
    (tmp_path / "circle").symlink_to("circle")
    assert not is_protected(tmp_path / "circle", nobody)
    assert not is_protected(tmp_path / "missing" / "new", nobody)


def test_rights_with_which_a_file_is_made(tmp_path: Path, nobody: Identity) -> None:
    directory, _ = trap(tmp_path)
    before = os.geteuid(), os.getegid(), os.getgroups()
    with maker(tmp_path / "new", None) as made_by:
        assert made_by is Maker.ITSELF
    with maker(tmp_path / "new", nobody) as made_by:
        assert (made_by, os.geteuid()) == (Maker.ROOT, 0)
    with maker(directory / "new", nobody) as made_by:
        assert made_by is Maker.USER
        assert (os.geteuid(), os.getegid()) == (nobody.uid, nobody.gid)
        assert os.getgroups() == sorted(nobody.groups)
        assert os.getresuid()[::2] == (0, 0)  # so that the user may not signal or trace it
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before
    with suppress(OSError), maker(directory / "missing" / "new", nobody):
        (directory / "missing" / "new").touch()
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before


def test_only_a_file_with_one_name_is_given(tmp_path: Path, nobody: Identity) -> None:
    path, other = tmp_path / "a", tmp_path / "b"
    path.touch()
    other.hardlink_to(path)
    with path.open("rb") as file:
        give_file(file.fileno(), nobody)
        assert path.stat().st_uid == 0
        other.unlink()
        give_file(file.fileno(), nobody)
        assert path.stat().st_uid == nobody.uid
    device = os.open(os.devnull, os.O_RDONLY)
    give_file(device, nobody)
    assert stat.S_ISCHR(os.fstat(device).st_mode)
    assert os.fstat(device).st_uid == 0
    os.close(device)
