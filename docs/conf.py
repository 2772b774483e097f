"""How Sphinx makes the site from the Markdown files of the repository; `nox -s docs` runs it."""

from __future__ import annotations

import sys
from pathlib import Path

from pygments.lexers.special import TextLexer  # type: ignore[import-untyped]
from sphinx.application import Sphinx

from rocket_cli import __version__

_DOCS = Path(__file__).parent
sys.path.insert(0, str(_DOCS / "_extensions"))

project = "Rocket"
author = "The Rocket developers"
copyright = author  # noqa: A001 - the name that Sphinx gives it
release = version = __version__
language = "en"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "repository_links",
]
exclude_patterns = ["_*", "recipes/*"]
root_doc = "index"
nitpicky = True

# Links to files of the repository that are not on the site lead there.
repository_url = "https://github.com/rocket-server/rocket"

# Markdown: anchors of headings as GitHub makes them.
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 6
myst_heading_slug_func = "github"

# Links to other sites are checked by `nox -s docs -- --external` only.
linkcheck_timeout = 15
linkcheck_ignore = [r"https?://(localhost|127\.0\.0\.1)\b"]

# The prompt is not part of what the button copies, and neither is the output.
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True
copybutton_only_copy_prompt_lines = True

html_theme = "furo"
html_title = "Rocket"
html_static_path = ["_static"]
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "source_repository": repository_url,
    "source_branch": "main",
    "source_directory": "docs/",
}


def setup(app: Sphinx) -> None:
    """Show diagrams in Mermaid as their text."""
    app.add_lexer("mermaid", TextLexer)
