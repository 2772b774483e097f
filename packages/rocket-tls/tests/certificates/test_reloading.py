"""Changes of files, and faults that pass without a change of the files."""

from __future__ import annotations

import errno
import logging
import math
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from helpers import Files
from rocket_tls import CertificateChain, CertificateFiles, CertificateStore
from rocket_tls._certificates import served_pair as served_pair_module
from rocket_tls._certificates import store as store_module


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


def test_certificates_that_could_not_be_loaded_are_counted(
    reloading: CertificateStore, files: Files, ca: trustme.CA
) -> None:
    old = current(reloading)
    assert reloading.failed == 0
    files.certificate.write_bytes(b"")
    assert current(reloading) is old
    assert reloading.failed == 1
    assert current(reloading) is old  # which does not try it again
    assert reloading.failed == 1
    files.write(ca.issue_cert("localhost"))
    assert current(reloading) is not old
    assert reloading.failed == 0


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


def count_looks(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    looks: list[int] = []
    revision = CertificateFiles.revision

    def counted(files: CertificateFiles) -> object:
        looks.append(1)
        return revision(files)

    monkeypatch.setattr(CertificateFiles, "revision", counted)
    return looks


def test_one_look_serves_the_clients_that_connected_before(
    reloading: CertificateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_PAUSE", math.inf)
    reloading.choose("localhost", "", time.monotonic())  # looks at all sources
    monkeypatch.setattr(served_pair_module, "_FRESH", math.inf)
    connected = time.monotonic()
    looks = count_looks(monkeypatch)
    for _ in range(10):
        reloading.choose("localhost", "", connected)
    assert len(looks) == 1
    reloading.choose("localhost", "", time.monotonic())
    assert len(looks) == 2


def test_a_client_that_connected_long_before_has_a_look_of_its_own(
    reloading: CertificateStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_PAUSE", math.inf)
    reloading.choose("localhost", "", time.monotonic())
    monkeypatch.setattr(served_pair_module, "_FRESH", 0.0)
    connected = time.monotonic()
    looks = count_looks(monkeypatch)
    for _ in range(10):
        reloading.choose("localhost", "", connected)
    assert len(looks) == 10


def test_a_look_that_finds_a_change_serves_no_other_client(
    reloading: CertificateStore, files: Files, ca: trustme.CA, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until it is in service, each client looks; afterwards, all get it."""
    monkeypatch.setattr(store_module, "_PAUSE", math.inf)
    monkeypatch.setattr(served_pair_module, "_FRESH", math.inf)
    old = reloading.choose("localhost", "", time.monotonic())
    early, late = time.monotonic(), time.monotonic()
    files.certificate.write_bytes(b"")
    assert reloading.choose("localhost", "", early) is old
    files.write(ca.issue_cert("localhost"))
    new = reloading.choose("localhost", "", time.monotonic())
    assert new is not old
    assert reloading.choose("localhost", "", late) is new
