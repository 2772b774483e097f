from __future__ import annotations

import io
import os
from pathlib import Path

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


def test_no_span() -> None:
    assert FileWrapper(io.BytesIO(b"abc")).span() is None
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as file, os.fdopen(writer, "wb"):
        assert FileWrapper(file).span() is None
    assert FileWrapper(file).span() is None
