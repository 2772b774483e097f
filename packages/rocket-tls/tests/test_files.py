"""Files that are replaced in one step, and files for OpenSSL."""

from __future__ import annotations

import stat
import tempfile
from pathlib import Path

import pytest

from helpers import Files, load_context
from rocket_tls import CertificateError, _files
from rocket_tls._files import file_state, replace_file


def test_a_replaced_file_is_another_file_with_its_own_mode(tmp_path: Path) -> None:
    path = tmp_path / "file"
    replace_file(path, b"old", mode=0o644)
    before = file_state(path)
    with path.open("rb") as reader:
        replace_file(path, b"new", mode=0o600)
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new"
    assert file_state(path) != before
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_replaced_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "directory").mkdir()
    with pytest.raises(OSError, match=r".+"):
        replace_file(tmp_path / "directory", b"", mode=0o600)
    assert [each.name for each in tmp_path.iterdir()] == ["directory"]


def test_a_missing_file_has_no_state(tmp_path: Path) -> None:
    assert file_state(tmp_path / "nowhere") is None


def test_without_proc_openssl_reads_a_temporary_file(
    files: Files, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(_files, "_DESCRIPTORS", tmp_path / "nowhere")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    load_context(files.certificate, files.key)
    assert not list((tmp_path / "temporary").iterdir())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "nowhere"))
    with pytest.raises(CertificateError, match="cannot be handed to OpenSSL"):
        load_context(files.certificate, files.key)
