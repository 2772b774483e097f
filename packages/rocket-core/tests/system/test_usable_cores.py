from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from rocket_core._system.usable_cores import granted_cores, usable_cores

if TYPE_CHECKING:
    from pathlib import Path

BOUND = {0, 1, 2, 3}


@pytest.fixture(autouse=True)
def _four_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: BOUND, raising=False)


def group(tmp_path: Path, own: str, **limits: str) -> tuple[Path, Path]:
    """A membership in the group ``own``, and control groups with these ``cpu.max``."""
    membership = tmp_path / "membership"
    membership.write_text(f"4:memory:/elsewhere\n0::{own}\n")
    groups = tmp_path / "groups"
    (groups / own.removeprefix("/")).mkdir(parents=True)
    for name, limit in limits.items():
        (groups / name.replace("_", "/").removeprefix("root") / "cpu.max").write_text(limit)
    return membership, groups


def test_with_the_gil_one_thread_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: True, raising=False)
    assert usable_cores() == 1


def test_without_the_gil_every_granted_core_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert usable_cores() == granted_cores()


def test_processors_the_process_is_not_bound_to_do_not_count(tmp_path: Path) -> None:
    assert granted_cores(tmp_path / "none", tmp_path) == len(BOUND)


@pytest.mark.parametrize(
    ("limit", "cores"),
    [
        ("max 100000\n", 4),
        ("200000 100000\n", 2),
        ("150000 100000\n", 2),
        ("10000 100000\n", 1),
        ("6400000 100000\n", 4),
        ("", 4),
    ],
)
def test_quota_of_the_group_counts(tmp_path: Path, limit: str, cores: int) -> None:
    assert granted_cores(*group(tmp_path, "/unit", unit=limit)) == cores


def test_quota_of_a_container_is_that_of_its_root(tmp_path: Path) -> None:
    assert granted_cores(*group(tmp_path, "/", root="100000 100000")) == 1


def test_the_tightest_group_around_counts(tmp_path: Path) -> None:
    limits = {"outer": "200000 100000", "outer_inner": "300000 100000"}
    assert granted_cores(*group(tmp_path, "/outer/inner", **limits)) == 2


def test_groups_of_the_first_version_set_no_limit(tmp_path: Path) -> None:
    membership = tmp_path / "membership"
    membership.write_text("4:cpu:/elsewhere\n")
    assert granted_cores(membership, tmp_path) == len(BOUND)
