from __future__ import annotations

import os
import re
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes, urljoin

from hypothesis import given
from hypothesis import strategies as st

from rocket_wsgi._static.directory import Item, _readable_size, list_items, render


class Links(HTMLParser):
    """Collects the links and the names of all elements of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.elements: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.add(tag)
        self.links += [value for name, value in attrs if name == "href" and value is not None]


def names(directory: Path, base: Path | None = None) -> list[str]:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        found = list_items(str(directory), descriptor, None if base is None else str(base))
    finally:
        os.close(descriptor)
    return [item.name for item in found]


def test_directories_come_first_and_hidden_names_are_left_out(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", ".env", "back\\slash"):
        (tmp_path / name).write_bytes(b"x")
    for name in ("z", "y", ".git"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "fifo")
    assert names(tmp_path) == ["y", "z", "a.txt", "b.txt"]


def test_links_out_of_the_base_are_not_listed(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_bytes(b"x" * 5000)
    (root / "file").write_bytes(b"x")
    (root / "in").symlink_to("file")
    (root / "out").symlink_to("../secret")
    (root / "dangling").symlink_to("nothing")
    assert names(root, tmp_path / "root") == ["file", "in"]
    assert names(root) == ["file", "in", "out"]


def test_page() -> None:
    items = [Item("docs", None, 0), Item("a & <b>.txt", 1536, 86400 * 365)]
    page = render("/x/", items, top=False).decode()
    assert "<h1>/x/</h1>" in page
    assert '<a href="../">' in page
    assert '<a href="./docs/">docs/</a>' in page
    assert '<a href="./a%20%26%20%3Cb%3E.txt">a &amp; &lt;b&gt;.txt</a>' in page
    assert "1.5 KiB</td><td>1971-01-01 00:00" in page
    assert '"../"' not in render("/", [], top=True).decode()


def test_names_that_are_not_utf_8() -> None:
    page = render("/\xff/", [Item(os.fsdecode(b"\xfe"), 1, 0)], top=True).decode()
    assert '<a href="./%FE">\ufffd</a>' in page


ELEMENTS = {"html", "head", "meta", "title", "style", "body", "h1", "table", "tr", "th", "td", "a"}

filenames = st.text(
    alphabet=st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1
).filter(lambda name: name not in (".", ".."))


@given(filenames)
def test_no_name_injects_an_element_or_another_url(name: str) -> None:
    page = Links()
    page.feed(
        render(f"/{name}/".encode().decode("latin-1"), [Item(name, None, 0)], top=True).decode()
    )
    assert page.elements <= ELEMENTS
    (link,) = page.links
    url = urljoin("http://host/dir/", unescape(link))
    assert url.startswith("http://host/dir/")
    assert unquote_to_bytes(url.removeprefix("http://host/dir/")) == name.encode() + b"/"


def test_sizes() -> None:
    assert _readable_size(0) == "0 B"
    assert _readable_size(1023) == "1023 B"
    assert _readable_size(1024) == "1.0 KiB"
    assert _readable_size(5 << 30) == "5.0 GiB"
    assert re.fullmatch(r"[0-9.]+ TiB", _readable_size(1 << 60))
