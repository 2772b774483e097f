"""The files of docs/recipes as parts of pages."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from systemtests.processes import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

RECIPES = ROOT / "docs" / "recipes"

LANGUAGES = {
    "Dockerfile": "dockerfile",
    "haproxy.cfg": "text",
    "kubernetes.yaml": "yaml",
    "mysite.service": "ini",
    "mysite.socket": "ini",
    "nginx-stream.conf": "nginx",
    "nginx.conf": "nginx",
}


def shown(*names: str) -> dict[str, Callable[[], str]]:
    """Return what makes a block of each file."""
    return {name: partial(_block, name) for name in names}


def _block(name: str) -> str:
    text = (RECIPES / name).read_text(encoding="utf-8")
    return f"```{LANGUAGES[name]}\n{text.rstrip()}\n```\n"
