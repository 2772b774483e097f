"""Paths that stand for a descriptor."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rocket_wsgi.extending import descriptor_of, open_log


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("/dev/stdout", 1),
        ("/dev//stderr", 2),
        ("/dev/fd/0", 0),
        ("/dev/fd/17", 17),
        ("/proc/self/fd/3", 3),
        ("/dev/fd/x", None),
        ("/dev/fd/1/x", None),
        ("/dev/null", None),
        ("stdout", None),
        ("", None),
    ],
)
def test_paths_that_stand_for_a_descriptor(path: str, number: int | None) -> None:
    assert descriptor_of(path) == number


def test_links_to_standard_streams(tmp_path: Path) -> None:
    """Links to other descriptors are not followed: these may be files of the process."""
    for name, target in {
        "a": "/dev/stdout",
        "b": "a",
        "c": "/proc/self/fd/2",
        "d": "/dev/fd/7",
        "e": "e",
        "f": "nowhere",
    }.items():
        (tmp_path / name).symlink_to(target)
    found = {each.name: descriptor_of(each) for each in tmp_path.iterdir()}
    assert found == {"a": 1, "b": 1, "c": 2, "d": None, "e": None, "f": None}


def test_an_inherited_descriptor_is_used(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    try:
        with pytest.raises(OSError, match="Bad file descriptor"):
            open_log(f"/dev/fd/{writer}")  # not inheritable, so this process opened it
        os.set_inheritable(writer, True)
        opened = open_log(f"/dev/fd/{writer}")
        os.write(opened, b"a line")
        os.close(opened)
        assert os.read(reader, 100) == b"a line"
    finally:
        os.close(reader)
        os.close(writer)
    with pytest.raises(OSError, match="Bad file descriptor"):
        open_log(f"/dev/fd/{writer}")
