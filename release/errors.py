"""What can go wrong, in one line for the person who makes the release."""

from __future__ import annotations


class ReleaseError(Exception):
    """A step of a release is refused, and why."""
