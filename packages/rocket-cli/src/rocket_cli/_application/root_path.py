"""An application at a path other than the root of its server."""

from __future__ import annotations

from collections.abc import Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment


def rooted(application: WSGIApplication, root: str) -> WSGIApplication:
    """Return ``application``, wrapped so that ``root`` is its SCRIPT_NAME (PEP 3333).

    A path below ``root`` is shortened by it; another one is taken for one that a proxy has
    shortened. A SCRIPT_NAME that a trusted proxy has named is kept.
    """
    below = f"{root}/"

    def call(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if not environ["SCRIPT_NAME"]:
            environ["SCRIPT_NAME"] = root
            path: str = environ["PATH_INFO"]
            if path == root or path.startswith(below):
                environ["PATH_INFO"] = path[len(root) :]
        return application(environ, start_response)

    return call
