"""Errors that the package raises."""

from __future__ import annotations


class ApplicationError(Exception):
    """The application violated a rule of PEP 3333."""


class BusError(Exception):
    """A bus could not take a message within its time. No subscriber is likely to get it."""
