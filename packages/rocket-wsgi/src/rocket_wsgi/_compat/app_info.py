"""The original Rocket's ``app_info``: the application, or the directory of files."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rocket_wsgi._static.files import StaticFiles

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication


def files_of(info: Mapping[str, Any]) -> StaticFiles:
    """Return the files of the directory ``document_root``.

    Raises `TypeError` for a missing directory, and what `StaticFiles` raises.
    """
    root = info.get("document_root")
    if not isinstance(root, str | os.PathLike):
        raise TypeError(
            f"app_info needs a directory, not {root!r}; use {{'document_root': 'path', ...}}"
        )
    return StaticFiles(root, listing=bool(info.get("display_index")))


def application_of(info: Mapping[str, Any]) -> WSGIApplication:
    """Return the application ``wsgi_app``.

    Raises `TypeError` for a missing application, and `ValueError` for ``futures``, which is not
    supported.
    """
    if info.get("futures"):
        raise ValueError("app_info has 'futures', which is not supported; remove it")
    application: WSGIApplication | None = info.get("wsgi_app")
    if not callable(application):
        raise TypeError(
            f"app_info needs a WSGI application, not {application!r}; "
            "use {'wsgi_app': application}"
        )
    return application
