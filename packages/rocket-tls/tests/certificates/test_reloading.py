"""Changes of files, and faults that pass without a change of the files."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from helpers import Files
from rocket_tls import CertificateChain, CertificateFiles, CertificateStore


@pytest.fixture
def reloading(files: Files) -> CertificateStore:
    return CertificateStore([CertificateFiles(files.certificate, files.key)])


def current(store: CertificateStore) -> CertificateChain:
    return store.choose("localhost", "127.0.0.1")


def test_files_that_did_not_change_are_not_read_again(
    reloading: CertificateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    chain = current(reloading)
    monkeypatch.delattr(CertificateFiles, "read")
    assert current(reloading) is chain


def test_an_unreadable_file_is_tried_again(
    reloading: CertificateStore,
    files: Files,
    ca: trustme.CA,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = current(reloading)
    files.write(ca.issue_cert("localhost"))

    def exhausted(path: Path) -> bytes:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", exhausted)
        assert current(reloading) is old
        assert current(reloading) is old
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "Too many open files" in caplog.text

    assert current(reloading) is not old


def test_invalid_content_is_not_tried_again(
    reloading: CertificateStore, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = current(reloading)
    files.certificate.write_bytes(b"")
    assert current(reloading) is old
    monkeypatch.delattr(CertificateFiles, "read")
    assert current(reloading) is old


def test_the_same_fault_is_logged_again_after_a_success(
    reloading: CertificateStore, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    away = files.key.with_suffix(".away")
    for _ in range(2):
        files.key.rename(away)
        current(reloading)
        away.rename(files.key)
        files.key.touch()
        current(reloading)
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
    reloading: CertificateStore, files: Files, change: Callable[[Path], object]
) -> None:
    old = current(reloading)
    change(files.key)
    assert current(reloading) is not old
