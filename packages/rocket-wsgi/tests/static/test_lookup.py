from __future__ import annotations

import os
import stat
import threading
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rocket_wsgi._static.lookup import open_beneath, split_path


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/", [""]),
        ("/a", ["a"]),
        ("/a/b.c", ["a", "b.c"]),
        ("/a/", ["a", ""]),
        ("/.well-known/x", [".well-known", "x"]),
        ("/a..b/c..", ["a..b", "c.."]),
        ("/\xc3\xbc", ["\xfc"]),
        ("/nul", ["nul"]),
    ],
)
def test_names(path: str, names: list[str]) -> None:
    assert split_path(path) == names


@pytest.mark.parametrize(
    "path",
    [
        "/..",
        "/../a",
        "/a/../b",
        "/a/..",
        "/.",
        "/./a",
        "//",
        "//a",
        "/a//b",
        "/.git/config",
        "/a/.env",
        "/a/.well-known/b",
        "/.well-known/.x",
        "/a\x00",
        "/a\\b",
        "/..\\..\\a",
    ],
)
def test_paths_without_a_file(path: str) -> None:
    assert split_path(path) is None


@pytest.mark.parametrize(
    "path",
    [
        "/c:/x",
        "/a:stream",
        "/NUL",
        "/a/con.txt",
        "/com1",
        "/lpt\xb9.x/y",
        "/a.",
        "/a /b",
        "/a/aux ",
        "/a?",
    ],
)
def test_paths_without_a_file_on_windows(path: str) -> None:
    assert split_path(path, windows=True) is None


@pytest.mark.parametrize("path", ["/console", "/a/com", "/com10", "/null.txt", "/a.b/c"])
def test_names_on_windows(path: str) -> None:
    assert split_path(path, windows=True) is not None


def read(root: Path, names: Sequence[str], *, follow_links: bool = False) -> bytes:
    descriptor = open_beneath(str(root), names, follow_links=follow_links)
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_bytes(b"secret")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_bytes(b"secret")
    root = tmp_path / "root"
    (root / "a" / "b" / "c").mkdir(parents=True)
    for path in ("top", "a/one", "a/b/two", "a/b/c/three"):
        (root / path).write_bytes(path.encode())
    (root / "inward").symlink_to("a/b")
    (root / "a" / "file").symlink_to("../top")
    (root / "out").symlink_to(tmp_path / "outside")
    (root / "a" / "out").symlink_to("../../secret")
    (root / "a" / "b" / "out").symlink_to("../../../outside")
    (root / "absolute").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to("loop")
    (root / "dangling").symlink_to("nothing")
    (tmp_path / "root-beside").mkdir()
    (tmp_path / "root-beside" / "x").write_bytes(b"secret")
    (root / "beside").symlink_to("../root-beside/x")
    return root


@pytest.mark.parametrize("path", ["top", "a/one", "a/b/two", "a/b/c/three"])
def test_files(tree: Path, path: str) -> None:
    assert read(tree, path.split("/")) == path.encode()


def test_links_within_the_root(tree: Path) -> None:
    assert read(tree, ["inward", "two"]) == b"a/b/two"
    assert read(tree, ["inward", "c", "three"]) == b"a/b/c/three"
    assert read(tree, ["a", "file"]) == b"top"


@pytest.mark.parametrize(
    "path",
    [
        "out/file",
        "a/b/out/file",
        "a/out",
        "absolute",
        "beside",
        "loop",
        "dangling",
        "out",
        "nothing",
        "top/x",
        "a/x",
    ],
)
def test_not_found(tree: Path, path: str) -> None:
    before = len(list(Path("/dev/fd").iterdir()))
    with pytest.raises(OSError):  # noqa: PT011 - the error depends on the system
        read(tree, path.split("/"))
    assert len(list(Path("/dev/fd").iterdir())) == before


@pytest.mark.parametrize("path", ["out/file", "a/out", "absolute", "beside"])
def test_links_out_of_the_root_with_follow_links(tree: Path, path: str) -> None:
    assert read(tree, path.split("/"), follow_links=True) == b"secret"


def test_the_root_may_be_a_link_that_changes(tmp_path: Path) -> None:
    for release in ("one", "two"):
        (tmp_path / release / "css").mkdir(parents=True)
        (tmp_path / release / "css" / "x").write_bytes(release.encode())
        (tmp_path / release / "y").symlink_to("css/x")
    current = tmp_path / "current"
    for release in ("one", "two"):
        current.unlink(missing_ok=True)
        current.symlink_to(release)
        assert read(current, ["css", "x"]) == release.encode()
        assert read(current, ["y"]) == release.encode()


def test_a_fifo_is_opened_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    descriptor = open_beneath(str(tmp_path), ["fifo"], follow_links=False)
    assert not stat.S_ISREG(os.fstat(descriptor).st_mode)
    os.close(descriptor)


def test_no_race_leads_out_of_the_root(tmp_path: Path) -> None:
    """A directory that alternates with a link as fast as possible never leads out of the root."""
    root = tmp_path / "root"
    for path in (root / "real", tmp_path / "outside"):
        path.mkdir(parents=True)
    (root / "real" / "x").write_bytes(b"inside")
    (tmp_path / "outside" / "x").write_bytes(b"outside")
    (root / "good").symlink_to("real")
    (root / "bad").symlink_to("../outside")
    (root / "spare").symlink_to("real")
    ended = threading.Event()

    def switch() -> None:
        while not ended.is_set():
            for target in ("../outside", "real"):
                (root / "new").symlink_to(target)
                (root / "new").replace(root / "good")

    thread = threading.Thread(target=switch)
    thread.start()
    found = set()
    try:
        for _ in range(3000):
            try:
                found.add(read(root, ["good", "x"]))
            except OSError:
                found.add(b"")
    finally:
        ended.set()
        thread.join()
    assert found <= {b"inside", b""}


up = st.sampled_from(["..", ".", "", "%2e%2e", "%2f", "..%2f", "%5c..", "%00", "%c0%ae%c0%ae", "~"])
known = st.sampled_from(["a", "b", "top", "file", "secret", "outside", "root", "root-beside"])
links = st.sampled_from(["out", "inward", "absolute", "beside", "loop"])


@given(st.lists(up | known | links, min_size=1, max_size=8))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
def test_no_path_leads_out_of_the_root(tree: Path, path: list[str]) -> None:
    names = split_path(unquote_to_bytes("/" + "/".join(path)).decode("latin-1"))
    if names is None or not names[-1]:
        return
    try:
        descriptor = open_beneath(str(tree), names, follow_links=False)
    except OSError:
        return
    found = Path(f"/proc/self/fd/{descriptor}").readlink()
    os.close(descriptor)
    assert found.is_relative_to(tree)


@given(st.text(alphabet=st.characters(max_codepoint=255)))
def test_names_are_only_names(text: str) -> None:
    for name in split_path("/" + text) or ():
        assert "/" not in name
        assert "\0" not in name
        assert name not in (".", "..")
