from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tempfile
from pathlib import Path
from typing import IO, Any

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


def test_span_of_a_file_with_holes_only(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    os.truncate(path, 1000)
    with path.open("rb") as file:
        assert FileWrapper(file).span() == (file.fileno(), 0, 1000)


@pytest.mark.parametrize(
    "name", ["/proc/self/cmdline", "/sys/kernel/mm/transparent_hugepage/enabled"]
)
def test_no_span_of_generated_files(name: str) -> None:
    if not Path(name).is_file():
        pytest.skip(f"there is no {name}")
    with Path(name).open("rb") as file:
        assert FileWrapper(file).span() is None


def test_span_of_a_temporary_file() -> None:
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"0123456789")
        file.seek(3)
        assert FileWrapper(file).span() == (file.fileno(), 3, 7)


@pytest.mark.parametrize("module", [gzip, bz2, lzma])
def test_no_span_of_objects_that_decode_their_file(tmp_path: Path, module: Any) -> None:
    path = tmp_path / "file"
    with module.open(path, "wb") as file:
        file.write(b"abc" * 1000)
    with module.open(path, "rb") as file:
        assert FileWrapper(file).span() is None
    with path.open(encoding="latin-1") as text:
        assert FileWrapper(text).span() is None


class Rotated(io.FileIO):
    """A file whose method `read` returns other bytes than the file has."""

    def read(self, size: int | None = -1, /) -> bytes:
        return bytes(byte ^ 1 for byte in super().read(size) or b"")


class Part:
    """The beginning of a file. All attributes except `read` are those of the file."""

    def __init__(self, file: IO[bytes], left: int) -> None:
        self.file = file
        self._left = left

    def read(self, size: int) -> bytes:
        data = self.file.read(min(size, self._left))
        self._left -= len(data)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


class Proxy:
    """A wrapper like `File` of Django."""

    read = property(lambda self: self.file.read)
    tell = property(lambda self: self.file.tell)
    fileno = property(lambda self: self.file.fileno)

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file


def test_a_wrapper_counts_as_its_file_where_it_reads_the_same(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    with (
        path.open("rb") as file,
        Rotated(path) as rotated,
        io.BufferedReader(Rotated(path)) as buffered,
        io.FileIO(path) as raw,
    ):
        assert FileWrapper(raw).span() == (raw.fileno(), 0, 10)
        assert FileWrapper(Proxy(file)).span() == (file.fileno(), 0, 10)
        assert FileWrapper(Part(file, 3)).span() is None
        assert list(FileWrapper(Part(file, 3))) == [b"012"]
        assert FileWrapper(rotated).span() is None
        assert FileWrapper(buffered).span() is None


def test_no_span() -> None:
    assert FileWrapper(io.BytesIO(b"abc")).span() is None
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as file, os.fdopen(writer, "wb"):
        assert FileWrapper(file).span() is None
    assert FileWrapper(file).span() is None
