"""What the server's tests cannot show: faults that pass without a change of the files."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from conftest import Files
from rocket_tls._files import CertificateFiles
from rocket_tls._reloading import ReloadingContext


@pytest.fixture
def reloading(files: Files) -> ReloadingContext:
    return ReloadingContext(CertificateFiles(files.certificate, files.key))


def test_files_that_stay_are_not_read_again(
    reloading: ReloadingContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = reloading.current()
    monkeypatch.delattr(CertificateFiles, "read")
    assert reloading.current() is context


def test_what_could_not_be_read_is_tried_again(
    reloading: ReloadingContext,
    files: Files,
    ca: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = reloading.current()
    files.write(ca.issue_cert("localhost"))

    def exhausted(path: Path) -> bytes:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", exhausted)
        assert reloading.current() is old
        assert reloading.current() is old
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "Too many open files" in caplog.text

    assert reloading.current() is not old


def test_what_was_refused_is_not_tried_again(
    reloading: ReloadingContext, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = reloading.current()
    files.certificate.write_bytes(b"")
    assert reloading.current() is old
    monkeypatch.delattr(CertificateFiles, "read")
    assert reloading.current() is old


def test_the_same_fault_is_told_again_after_a_success(
    reloading: ReloadingContext, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    away = files.key.with_suffix(".away")
    for _ in range(2):
        files.key.rename(away)
        reloading.current()
        away.rename(files.key)
        files.key.touch()
        reloading.current()
    assert len(caplog.records) == 2


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.touch(),
        lambda path: path.write_bytes(path.read_bytes() + b"\n"),
        lambda path: os.utime(path, ns=(1, path.stat().st_mtime_ns)),
        lambda path: path.chmod(0o640),
    ],
    ids=["touch", "size", "times", "mode"],
)
def test_every_change_is_noticed(
    reloading: ReloadingContext, files: Files, change: Callable[[Path], object]
) -> None:
    old = reloading.current()
    change(files.key)
    assert reloading.current() is not old
