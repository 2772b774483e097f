"""The room that all bodies in files may take together is limited."""

from __future__ import annotations

import logging
import re
import tempfile
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from rocket_core._connection import disk_budget as module
from rocket_core._connection.disk_budget import DiskBudget
from rocket_core._connection.spool import MEMORY_BOUND
from rocket_core.extending import Spool, SpoolError, spool_fault
from rocket_core.testing import PATIENCE

KILOBYTE = 1024
SIZE = 256 * KILOBYTE


class Source:
    def __init__(self, pace: float) -> None:
        self._pace = pace

    def pace(self, now: float) -> float:
        return self._pace


def spool(disk: DiskBudget, pace: float, size: int = SIZE) -> Spool:
    made = Spool(disk=disk, source=Source(pace))
    fill(made, size)
    return made


def fill(body: Spool, size: int) -> None:
    for _ in range(0, size, 32 * KILOBYTE):
        body.add(bytes(32 * KILOBYTE))


def test_bytes_in_files_are_counted_until_their_bodies_close() -> None:
    disk = DiskBudget(SIZE * 4, 0)
    bodies = [spool(disk, 1) for _ in range(4)]
    assert disk.held == SIZE * 4
    assert bodies[0].open().read() == bytes(SIZE)
    for each in bodies:
        each.close()
        each.close()
    assert disk.held == 0


def test_body_of_the_slowest_client_makes_room() -> None:
    disk = DiskBudget(SIZE * 3, 0)
    fast, slow, middle = (spool(disk, pace) for pace in (300, 100, 200))
    another = spool(disk, 150)
    with pytest.raises(SpoolError):
        slow.add(b"more")
    with pytest.raises(SpoolError):
        slow.open()
    for each in (fast, middle, another):
        assert len(each.open().read()) == SIZE
        each.close()
    slow.close()
    assert disk.held == 0


def test_body_of_the_slowest_client_makes_room_for_a_file() -> None:
    disk = DiskBudget(SIZE * 100, 0, files=4)
    fast, slow, middle = (spool(disk, pace) for pace in (300, 100, 200))
    assert disk.lend_file()
    assert not disk.lend_file()
    another = spool(disk, 50)
    with pytest.raises(SpoolError):
        slow.add(b"more")
    for each in (fast, middle, another):
        assert len(each.open().read()) == SIZE
    with pytest.raises(SpoolError):  # all of them are complete, or responses
        spool(disk, 1000)
    disk.return_file()
    spool(disk, 1000).close()
    for each in (fast, middle, another, slow):
        each.close()
    assert disk.held == 0
    assert [disk.lend_file() for _ in range(5)] == [True] * 4 + [False]


def test_file_that_cannot_be_opened_counts_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    disk = DiskBudget(SIZE * 100, 0, files=1)

    def fails() -> None:
        raise OSError("no descriptor is left")

    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "TemporaryFile", fails)
        with pytest.raises(SpoolError):
            spool(disk, 1)
    spool(disk, 1).close()


def test_small_body_finds_room_however_slow_its_client() -> None:
    disk = DiskBudget(SIZE * 4, 0)
    large = [spool(disk, 1000 + number, SIZE * 2) for number in range(2)]
    small = spool(disk, 1, MEMORY_BOUND * 2)
    assert len(small.open().read()) == MEMORY_BOUND * 2
    with pytest.raises(SpoolError):
        large[0].add(b"x")
    large[1].add(b"x")
    for each in (*large, small):
        each.close()


def test_growing_body_is_refused_when_its_own_client_is_the_slowest() -> None:
    disk = DiskBudget(SIZE * 2, 0)
    first = spool(disk, 10)
    second = Spool(disk=disk, source=Source(1))
    with pytest.raises(SpoolError):
        fill(second, SIZE * 2)
    first.add(b"x")
    first.close()
    second.close()
    assert disk.held == 0


def test_complete_body_is_never_given_up() -> None:
    disk = DiskBudget(SIZE, 0)
    first = spool(disk, 0)
    file = first.open()
    with pytest.raises(SpoolError):
        spool(disk, 1000)
    assert not disk.admits(2 * SIZE)
    first.cut()
    assert len(file.read()) == SIZE
    first.close()
    spool(disk, 1).close()


def test_part_of_the_file_system_stays_free(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    usage = SimpleNamespace(total=300 << 20, free=(30 << 20) + SIZE)
    monkeypatch.setattr(module, "shutil", SimpleNamespace(disk_usage=lambda _: usage))
    disk = DiskBudget()
    assert disk.admits(SIZE)
    body = spool(disk, 1, MEMORY_BOUND * 2)
    usage.free = 30 << 20
    caplog.set_level(logging.INFO)
    with pytest.raises(SpoolError):
        fill(body, SIZE)
    assert not disk.admits(2 << 20)
    (record,) = caplog.records
    assert "leave 30 MiB free" in record.getMessage()
    body.close()


def test_bodies_go_elsewhere_when_the_temporary_directory_is_gone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    disk = DiskBudget()
    assert disk.admits(1)
    body = spool(disk, 1)
    assert len(body.open().read()) == SIZE
    body.close()


def test_without_any_directory_bodies_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    monkeypatch.setattr(module, "_ELSEWHERE", (str(tmp_path / "nor this"),))
    disk = DiskBudget()
    for _ in range(3):
        body = Spool(disk=disk)
        with pytest.raises(SpoolError):
            fill(body, SIZE)
        body.close()
    (record,) = (each for each in caplog.records if each.levelno >= logging.WARNING)
    assert "cannot keep it in a file: No such file or directory" in record.getMessage()


def test_no_room_is_lost_when_many_threads_cut_each_others_bodies() -> None:
    disk = DiskBudget(SIZE * 3, 0)
    outcomes: list[bool] = []

    def work(pace: float) -> None:
        for _ in range(20):
            body = Spool(disk=disk, source=Source(pace))
            try:
                fill(body, SIZE)
                outcomes.append(body.open().read() == bytes(SIZE))
            except SpoolError:
                outcomes.append(True)
            body.close()

    threads = [threading.Thread(target=work, args=(pace,)) for pace in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(PATIENCE)
    assert outcomes == [True] * 160
    assert disk.held == 0


def test_no_fault_while_bodies_can_be_kept() -> None:
    assert spool_fault(0) == ""


def test_fault_without_a_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    monkeypatch.setattr(module, "_ELSEWHERE", (str(tmp_path / "nor this"),))
    assert spool_fault() == (
        "no directory for temporary files can be written (No such file or directory): "
        "set TMPDIR to one that can"
    )


def test_fault_where_nothing_may_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert re.fullmatch(
        rf"{tmp_path} has only \d+ MiB free, of which spool_free keeps 1073741824 MiB: "
        "free some, or set TMPDIR to another directory",
        spool_fault(1 << 50),
    )


def test_no_fault_where_another_directory_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    monkeypatch.setattr(module, "_ELSEWHERE", (str(tmp_path),))
    assert spool_fault(0) == ""
