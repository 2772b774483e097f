"""Errors this package raises."""

from __future__ import annotations

from rocket_core import RocketError


class CertificateError(RocketError, ValueError):
    """A certificate or its key cannot be used, or cannot be issued.

    The message is one sentence: the file, what is wrong with it, and what would be right.
    """


class UnreadableError(CertificateError):
    """A file cannot be read at present. Unlike a fault in its content, this may pass unseen."""


class TLSError(RocketError, ConnectionError):
    """The client broke the rules of TLS, or refused what the server offered."""
