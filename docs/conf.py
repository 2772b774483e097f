"""How Sphinx makes the site from the Markdown files of the repository; `nox -s docs` runs it."""

from __future__ import annotations

import sys
from pathlib import Path

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
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "pictures",
    "python_api",
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
myst_html_meta = {
    "description lang=en": "Rocket is a threaded web server in pure Python, in which a thread is "
    "only ever held by the application, never by a client."
}

inline_pictures = ["pictures/connection-life.svg", "pictures/top.svg"]

# The Python API
public_modules = [
    "rocket_core",
    "rocket_core.http1",
    "rocket_core.extending",
    "rocket_core.testing",
    "rocket_wsgi",
    "rocket_wsgi.compat",
    "rocket_wsgi.django",
    "rocket_wsgi.engineio",
    "rocket_wsgi.extending",
    "rocket_wsgi.redis_bus",
    "rocket_tls",
    "rocket_cli",
]
default_role = "py:obj"
autodoc_default_options = {
    "members": True,
    # The methods of private bases belong to a class, those of the standard library do not.
    "inherited-members": "BaseException, Enum, Exception, Executor, Future, Generic, Mapping, "
    "OSError, Protocol, Thread, dict, int, str, tuple",
    "show-inheritance": True,
}
autodoc_member_order = "alphabetical"
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
autodoc_use_type_comments = False  # their search fails for classes that name a public module
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_attr_annotations = True
nitpick_ignore_regex = [
    ("py:.*", r"(cryptography|engineio|redis|x509)(\..*)?"),
    ("py:class", r"(PrivateKeyTypes|StartResponse)"),
]

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
html_css_files = ["site.css"]
html_domain_indices = False
html_show_sphinx = False
html_copy_source = False
html_theme_options = {
    "source_repository": repository_url,
    "source_branch": "main",
    "source_directory": "docs/",
}
