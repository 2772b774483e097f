"""Applications by name, for the servers that have no command of their own."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication


def load(target: str) -> WSGIApplication:
    """The application MODULE:NAME."""
    module, _, name = target.partition(":")
    application: WSGIApplication = getattr(import_module(module), name)
    return application
