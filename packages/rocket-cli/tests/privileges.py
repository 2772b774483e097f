"""Tests that need root: files for another user, in directories that this user can change."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


@pytest.fixture(name="tmp_path")
def public_path() -> Iterator[Path]:
    """Make a directory that every user may enter, unlike the directories of pytest."""
    with TemporaryDirectory(prefix="rocket-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def trap(tmp_path: Path) -> tuple[Path, Path]:
    """Make a directory of the user nobody, and beside it a file that only root may read."""
    directory, secret = tmp_path / "theirs", tmp_path / "secret"
    directory.mkdir()
    nobody = pwd.getpwnam("nobody")
    os.chown(directory, nobody.pw_uid, nobody.pw_gid)
    secret.write_text("secret")
    secret.chmod(0o600)
    return directory, secret
