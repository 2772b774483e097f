"""The page that ``--reload`` serves while the application cannot be loaded."""

from __future__ import annotations

import html
import traceback
from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from rocket_cli._errors import CommandError

_PAGE: Final = files("rocket_cli._application").joinpath("broken.html")
_OWN: Final = (f"{Path(__file__).parents[1]}/", "<frozen ")
"""The beginnings of file names in a traceback that say nothing about the application."""


def broken(error: CommandError) -> WSGIApplication:
    """Return a WSGI application (PEP 3333) that answers every request 500, with the error."""
    text = f"{error.message}\n\n{_traceback(error)}".rstrip() + "\n"
    page = Template(_PAGE.read_text(encoding="utf-8")).substitute(
        message=html.escape(error.message), traceback=html.escape(_traceback(error))
    )

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        wants_html = "text/html" in environ.get("HTTP_ACCEPT", "")
        body = (page if wants_html else text).encode(errors="backslashreplace")
        kind = "html" if wants_html else "plain"
        headers = [
            ("Content-Type", f"text/{kind}; charset=utf-8"),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),  # the error will soon be fixed
        ]
        start_response("500 Internal Server Error", headers)
        return [body]

    return application


def _traceback(error: CommandError) -> str:
    """Return the traceback of an error of the application, without the frames outside its code."""
    if error.__cause__ is None:
        return ""
    found = traceback.TracebackException.from_exception(error.__cause__)
    own = [frame for frame in found.stack if not frame.filename.startswith(_OWN)]
    importlib = str(Path(traceback.__file__).parent / "importlib")
    found.stack = traceback.StackSummary.from_list(
        [frame for frame in own if not frame.filename.startswith(importlib)]
    )
    return "".join(found.format())
