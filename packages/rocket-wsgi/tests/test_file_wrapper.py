from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from rocket_wsgi import FileWrapper


def test_blocks() -> None:
    assert list(FileWrapper(io.BytesIO(b"abcdefg"), 3)) == [b"abc", b"def", b"g"]


def test_close_is_passed_on() -> None:
    file = io.BytesIO(b"")
    FileWrapper(file).close()
    assert file.closed
    assert not hasattr(FileWrapper(Silent()), "close")


class Silent:
    def read(self, size: int) -> bytes:
        return b""


def test_span_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with path.open("rb") as file:
        file.read(4)
        span = FileWrapper(file).span()
        assert span == (file.fileno(), 4, 6)
        file.seek(20)
        assert FileWrapper(file).span() == (file.fileno(), 20, 0)


def test_span_of_a_temporary_file() -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"0123456789")
        file.seek(3)
        assert FileWrapper(file).span() == (file.fileno(), 3, 7)


@pytest.mark.parametrize("module", [gzip, bz2, lzma])
def test_no_span_of_what_reads_differently(tmp_path: Path, module: Any) -> None:
    path = tmp_path / "file"
    with module.open(path, "wb") as file:
        file.write(b"abc" * 1000)
    with module.open(path, "rb") as file:
        assert FileWrapper(file).span() is None
    with path.open(encoding="latin-1") as text:
        assert FileWrapper(text).span() is None


def test_no_span() -> None:
    assert FileWrapper(io.BytesIO(b"abc")).span() is None
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as file, os.fdopen(writer, "wb"):
        assert FileWrapper(file).span() is None
    assert FileWrapper(file).span() is None
