"""What can go wrong, each in one line for the person who runs the benchmark."""

from __future__ import annotations


class BenchError(Exception):
    """A measurement that cannot be made, and why."""


class UnavailableError(BenchError):
    """Something is not installed, or not allowed here."""


class ServerError(BenchError):
    """A server did not start, or ended while it was measured."""
