from __future__ import annotations

import os
import threading
import zlib
from typing import TYPE_CHECKING, Any

import brotli
import pytest

from conftest import Serve
from rocket_core.testing import PATIENCE, Answer
from rocket_wsgi import StaticFiles
from rocket_wsgi._compression.coders import Coder, Coders
from rocket_wsgi._compression.compressed_files import CompressedFiles
from rocket_wsgi._file_worker import files_only

if TYPE_CHECKING:
    from pathlib import Path

    from served import Served

BODY = b"all work and no play makes Jack a dull boy\n" * 100


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Note the sizes of the files that are compressed by gzip."""
    noted: list[int] = []
    make = Coders.choose

    def choose(self: Coders, accepted: str) -> Coder | None:
        found = make(self, accepted)
        if found is None:
            return None
        compress = found.compress_file

        def compress_file(data: bytes) -> bytes:
            noted.append(len(data))
            return compress(data)

        return found._replace(compress_file=compress_file)

    monkeypatch.setattr(Coders, "choose", choose)
    return noted


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.txt").write_bytes(BODY)
    (root / "b.txt").write_bytes(BODY[:1023])
    (root / "c.png").write_bytes(BODY)
    (root / "d.txt").write_bytes(os.urandom(5000))
    (root / "large.js").write_bytes(os.urandom(500_000).hex().encode())
    for path in root.iterdir():
        os.utime(path, (1e9, 1e9))
    return root


@pytest.fixture
def served(serve: Serve, root: Path) -> Served:
    return serve(files_only, static={"/": StaticFiles(root)}, compress=True)


def ask(
    served: Served, path: str, accepted: str = "gzip", method: str = "GET", more: str = ""
) -> Answer:
    client = served.open()
    client.send(
        f"{method} {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {accepted}\r\n{more}\r\n".encode()
    )
    return client.answer(method)


def test_file_is_compressed_once(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    compressed = counted(monkeypatch)
    for _ in range(3):
        answer = ask(served, "/a.txt")
        assert answer["content-encoding"] == "gzip"
        assert answer["vary"] == "Accept-Encoding"
        assert answer["etag"].startswith('W/"')
        assert "accept-ranges" not in answer
        assert int(answer["content-length"]) == len(answer.body) < len(BODY) / 4
        assert zlib.decompress(answer.body, 31) == BODY
    head = ask(served, "/a.txt", method="HEAD")
    assert head["content-length"] == answer["content-length"]
    assert head["etag"] == answer["etag"]
    assert compressed == [len(BODY)]


def test_other_clients_get_the_file_itself(served: Served) -> None:
    answer = ask(served, "/a.txt", "identity")
    assert answer.body == BODY
    assert answer["vary"] == "Accept-Encoding"
    assert answer["etag"].startswith('"')
    assert brotli.decompress(ask(served, "/a.txt", "br").body) == BODY


@pytest.mark.parametrize("path", ["/b.txt", "/c.png"])
def test_small_files_and_other_types_are_not(served: Served, path: str) -> None:
    answer = ask(served, path)
    assert "content-encoding" not in answer
    assert "vary" not in answer


def test_file_that_gains_nothing(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    compressed = counted(monkeypatch)
    for _ in range(2):
        answer = ask(served, "/d.txt")
        assert "content-encoding" not in answer
        assert answer["vary"] == "Accept-Encoding"
    assert compressed == [5000]


def test_range_is_one_of_the_file_itself(served: Served) -> None:
    answer = ask(served, "/a.txt", more="Range: bytes=5-9\r\n")
    assert answer.status == 206
    assert answer.body == BODY[5:10]
    assert "content-encoding" not in answer


def test_conditions(served: Served) -> None:
    tag = ask(served, "/a.txt")["etag"]
    for each in (tag, tag.removeprefix("W/")):
        answer = ask(served, "/a.txt", more=f"If-None-Match: {each}\r\n")
        assert (answer.status, answer["etag"]) == (304, tag)
        assert ask(served, "/a.txt", more=f"If-Match: {each}\r\n").status == 412
    assert ask(served, "/a.txt", more="If-Match: *\r\n").status == 200


def test_changed_file_is_compressed_again(served: Served, root: Path) -> None:
    assert zlib.decompress(ask(served, "/a.txt").body, 31) == BODY
    (root / "a.txt").write_bytes(BODY[::-1])
    assert zlib.decompress(ask(served, "/a.txt").body, 31) == BODY[::-1]


def test_no_transform(serve: Serve, root: Path) -> None:
    files = StaticFiles(root, cache_control="no-transform")
    answer = ask(serve(files_only, static={"/": files}, compress=True), "/a.txt")
    assert "content-encoding" not in answer
    assert "vary" not in answer


def test_precompressed_file_comes_first(serve: Serve, root: Path) -> None:
    (root / "a.txt.gz").write_bytes(b"precompressed")
    files = StaticFiles(root, precompressed=True)
    served = serve(files_only, static={"/": files}, compress=True)
    assert ask(served, "/a.txt").body == b"precompressed"
    answer = ask(served, "/large.js")
    assert answer["content-encoding"] == "gzip"
    assert answer["vary"] == "Accept-Encoding"


def test_client_that_reads_slowly_holds_no_thread(serve: Serve, root: Path) -> None:
    """More than the output buffer holds is left to the system, as any other file is."""
    served = serve(
        files_only, threads=1, narrow=True, static={"/": StaticFiles(root)}, compress=True
    )
    slow = served.open(receive_buffer=4096)
    slow.send(b"GET /large.js HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")
    assert ask(served, "/a.txt")["content-encoding"] == "gzip"
    assert zlib.decompress(slow.answer().body, 31) == (root / "large.js").read_bytes()


# -- what is remembered ----------------------------------------------------------------------------


class Store:
    """Compressed files, and how to ask for them."""

    def __init__(self, root: Path, capacity: int = 1 << 20) -> None:
        self._root = root
        self.noted: list[str] = []
        self.files = CompressedFiles(Coders(), capacity)

    def get(self, name: str, compress: Any = zlib.compress) -> bytes | None:
        def noting(data: bytes) -> bytes:
            self.noted.append(name)
            return compress(data)  # type: ignore[no-any-return]

        coder = Coders().choose("gzip")
        assert coder is not None
        path = self._root / name
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return self.files.get(
                descriptor, os.fstat(descriptor), coder._replace(compress_file=noting)
            )
        finally:
            os.close(descriptor)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    for name in "abcd":
        (tmp_path / name).write_bytes(name.encode() * 3000)
    return tmp_path


def test_least_recently_used_is_removed(many: Path) -> None:
    store = Store(many, capacity=3 * 1500)

    def compress(data: bytes) -> bytes:
        return data[:900]

    for name in "abcadabca":
        store.get(name, compress)
    assert "".join(store.noted) == "abcdbc"


def test_content_beyond_the_capacity_is_not_remembered(many: Path) -> None:
    store = Store(many, capacity=1000)
    for _ in range(2):
        assert store.get("a", lambda data: data[:900]) == b"a" * 900
    assert store.noted == ["a", "a"]


def test_nothing_waits_while_another_thread_compresses(many: Path) -> None:
    store = Store(many)
    begun, end = threading.Event(), threading.Event()

    def compress(data: bytes) -> bytes:
        begun.set()
        assert end.wait(PATIENCE)
        return b"done"

    thread = threading.Thread(target=store.get, args=("a", compress))
    thread.start()
    assert begun.wait(PATIENCE)
    assert store.get("a") is None
    assert store.get("b") is not None
    end.set()
    thread.join(PATIENCE)
    assert store.get("a") == b"done"


def test_failure_is_not_remembered(many: Path) -> None:
    def fails(data: bytes) -> bytes:
        raise MemoryError

    store = Store(many)
    with pytest.raises(MemoryError):
        store.get("a", fails)
    assert store.get("a", lambda data: b"done") == b"done"
