"""Links between Markdown files that work in the repository also work on the site.

A page may include a file from outside of ``docs``, such as the README of a package, with the option
``relative-docs: .``. A relative link is resolved from the file in which it is written. It leads to
the page that is made from its target or includes it; to the page of the README, if the target is a
folder; otherwise to the repository's address (`repository_url`). Other files in ``docs`` can be
downloaded from the site. A link whose target does not exist is a warning.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.transforms import SphinxTransform
from sphinx.util import logging

_log = logging.getLogger(__name__)
_INCLUDE = re.compile(r"^:::\{include\} (\S+)$", re.MULTILINE)
_ROOT = Path(__file__).parents[2]


def _pages(env: BuildEnvironment) -> dict[Path, str]:
    """The page of each Markdown file: its own, or one that includes it."""
    pages: dict[Path, str] = {}
    for docname in env.found_docs:
        file = Path(env.doc2path(docname))
        pages[file] = docname
        for target in _INCLUDE.findall(file.read_text(encoding="utf-8")):
            pages[_joined(file.parent, target)] = docname
    return pages


def _joined(folder: Path, target: str) -> Path:
    return Path(os.path.normpath(folder / target))


class RepositoryLinks(SphinxTransform):
    """Resolves the relative links of a page."""

    default_priority = 5  # before MyST's own

    def apply(self, **_: Any) -> None:
        """Replace each link that MyST has read by one that leads to where its target is."""
        self._found = _pages(self.env)
        kinds = (addnodes.pending_xref, addnodes.download_reference)
        for kind in kinds:
            for node in list(self.document.findall(kind)):
                if node.get("reftype") == "myst":
                    self._resolve(node)

    def _resolve(self, node: nodes.Element) -> None:
        page = Path(self.env.doc2path(self.env.docname))
        target, _, anchor = self._destination(node, page).partition("#")
        if not target:
            return  # an anchor of this page, which MyST finds
        # MyST has adapted targets that begin with ".." to the page (`relative-docs` of an include).
        written_in = page if target.startswith("..") else Path(node.source or page)
        file = _joined(written_in.parent, target)
        docname = self._found.get(file) or self._found.get(file / "README.md")
        if docname is not None:
            self._replace(node, self._reference(node, docname, anchor))
        elif not file.exists():
            _log.warning("no such file: %s", target, location=node, type="link")
        elif file.is_file() and file.is_relative_to(self.env.srcdir):
            node.replace_self(self._download(node, file))
        else:
            self._replace(node, self._external(file, anchor))

    def _destination(self, node: nodes.Element, page: Path) -> str:
        """What was written as the target, from which MyST may have made the name of a page."""
        target = str(node["reftarget"])
        if node.get("refdomain") == "doc":
            file = Path(self.env.srcdir, f"{target}.md")
            anchor = node.get("reftargetid")
            target = os.path.relpath(file, page.parent) + (f"#{anchor}" if anchor else "")
        return target

    @staticmethod
    def _replace(node: nodes.Element, other: nodes.Element) -> None:
        other.source, other.line = node.source, node.line
        other += node.children
        node.replace_self(other)

    def _reference(self, node: nodes.Element, docname: str, anchor: str) -> nodes.Element:
        return addnodes.pending_xref(
            refdomain="doc",
            refdoc=self.env.docname,
            refexplicit=node["refexplicit"],
            reftype="myst",
            reftarget=docname,
            reftargetid=anchor or None,
        )

    def _download(self, node: nodes.Element, file: Path) -> nodes.Element:
        download = addnodes.download_reference(
            refdoc=self.env.docname,
            refdomain=None,
            refexplicit=node["refexplicit"],
            reftype="myst",
            reftarget="/" + str(file.relative_to(self.env.srcdir)),
        )
        download.source, download.line = node.source, node.line
        download += node.children
        return download

    def _external(self, file: Path, anchor: str) -> nodes.Element:
        kind = "tree" if file.is_dir() else "blob"
        path = file.relative_to(_ROOT).as_posix()
        address = f"{self.config.repository_url}/{kind}/main/{path}"
        return nodes.reference(refuri=address + (f"#{anchor}" if anchor else ""), internal=False)


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the transform and its setting."""
    app.add_config_value("repository_url", "", "env", str)
    app.add_transform(RepositoryLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
