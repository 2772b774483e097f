"""The site as it was made, served by Rocket itself; the session ``docs`` of nox runs this."""

from __future__ import annotations

import http.client
import importlib
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from sphinx.util.inventory import InventoryFile

from serving import SITE, chromium, served

_ROOT = Path(__file__).parents[2]
_LOADED = {("link", "href"), ("script", "src"), ("img", "src"), ("source", "src"), ("use", "href")}
"""What a browser loads with the page; anything else it follows if the reader wants to."""


@dataclass
class Page(HTMLParser):
    """What a page has and refers to."""

    anchors: set[str] = field(default_factory=set)
    links: set[str] = field(default_factory=set)
    loaded: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif (tag, name) in _LOADED and value:
                self.loaded.add(value)
            elif (tag, name) == ("a", "href") and value:
                self.links.add(value)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with served() as port:
        yield port


@pytest.fixture(scope="module")
def answers(port: int) -> dict[str, tuple[str, str]]:
    """Each address of the site that another one leads to: the type and the text of its content."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    answers: dict[str, tuple[str, str]] = {}
    waiting = ["/"]
    while waiting:
        path = waiting.pop()
        if path in answers:
            continue
        client.request("GET", path)
        response = client.getresponse()
        content = response.read()
        assert response.status == 200, path
        kind = str(response.headers["Content-Type"]).partition(";")[0]
        text = content.decode() if kind.startswith("text/") else ""
        answers[path] = kind, text
        waiting += {urlsplit(each).path for each in targets(path, kind, text) if internal(each)}
    client.close()
    return answers


@cache
def parsed(text: str) -> Page:
    page = Page()
    page.feed(text)
    return page


def targets(path: str, kind: str, text: str) -> set[str]:
    """The addresses that a page or style sheet refers to."""
    if kind == "text/html":
        page = parsed(text)
        found = page.links | page.loaded
    elif kind == "text/css":
        found = set(re.findall(r"""url\(["']?([^"')]+)""", text))
    else:
        found = set()
    return {urljoin(f"http://site{path}", each) for each in found}


def internal(address: str) -> bool:
    return urlsplit(address).netloc == "site"


def test_all_links_and_files_of_the_site_are_there(answers: dict[str, tuple[str, str]]) -> None:
    missing = set()
    for path, (kind, text) in answers.items():
        for address in filter(internal, targets(path, kind, text)):
            parts = urlsplit(address)
            there, found = answers[parts.path]  # it was answered
            anchor = unquote(parts.fragment)
            if anchor and there == "text/html" and anchor not in parsed(found).anchors:
                missing.add((path, address))
    assert not missing


def test_each_page_is_reached_from_the_first(answers: dict[str, tuple[str, str]]) -> None:
    pages = {"/" + str(each.relative_to(SITE)) for each in SITE.rglob("*.html")}
    assert len(pages) > 40
    assert pages <= answers.keys()


def test_nothing_is_loaded_from_another_host(answers: dict[str, tuple[str, str]]) -> None:
    for path, (kind, text) in answers.items():
        loaded = parsed(text).loaded if kind == "text/html" else targets(path, kind, text)
        for address in loaded:
            assert urlsplit(address).netloc in {"", "site"} or address.startswith("data:"), path


def public_modules() -> list[str]:
    """The modules that no part of whose name begins with an underscore."""
    found = []
    for source in sorted(_ROOT.glob("packages/*/src/*")):
        for file in source.rglob("*.py"):
            parts = file.relative_to(source.parent).with_suffix("").parts
            name = ".".join(parts).removesuffix(".__init__")
            if not any(part.startswith("_") for part in name.split(".")):
                found.append(name)
    return found


def public_names(module: Any) -> list[str]:
    defined = [name for name, each in vars(module).items() if module.__name__ == owner(each)]
    exported = getattr(module, "__all__", defined)
    return [name for name in exported if not name.startswith("_")]


def owner(value: object) -> str:
    return str(getattr(value, "__module__", ""))


@pytest.mark.parametrize("name", public_modules())
def test_reference_has_each_public_name(name: str) -> None:
    inventory = InventoryFile.loads((SITE / "objects.inv").read_bytes(), uri="")
    entries = {
        entry for kind, found in inventory.data.items() if kind[:3] == "py:" for entry in found
    }
    module = importlib.import_module(name)
    names = public_names(module)
    assert names
    assert {f"{name}.{each}" for each in names} <= entries


def test_search_finds_a_page(port: int) -> None:
    browser = chromium()
    if browser is None:
        if os.environ.get("CI"):
            pytest.fail("chromium-headless-shell is not installed")
        pytest.skip("chromium-headless-shell is not installed")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=10000"]
    address = f"http://127.0.0.1:{port}/search.html?q=keep_alive"
    found = subprocess.run(
        [browser, *options, "--dump-dom", address],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert "reference/api/rocket_core.html" in found.stdout


def test_commands_of_the_first_page_are_those_of_the_readme() -> None:
    first = (_ROOT / "docs/index.md").read_text("utf-8")
    readme = (_ROOT / "README.md").read_text("utf-8")
    block = re.search(r"^```sh\n(.*?)^```", first, re.MULTILINE | re.DOTALL)
    assert block is not None
    install, serve = block[1].splitlines()
    assert f"\n{install}\n" in readme
    assert serve == "~/rocket-venv/bin/rocket-cli serve"


def test_address_of_the_repository_is_that_of_the_packages() -> None:
    configuration = (_ROOT / "docs/conf.py").read_text("utf-8")
    for file in _ROOT.glob("packages/*/pyproject.toml"):
        project = tomllib.loads(file.read_text("utf-8"))["project"]
        assert f'repository_url = "{project["urls"]["Homepage"]}"\n' in configuration
