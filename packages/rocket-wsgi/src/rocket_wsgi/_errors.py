"""Errors that the package raises."""

from __future__ import annotations


class ApplicationError(Exception):
    """The application violated a rule of PEP 3333."""
