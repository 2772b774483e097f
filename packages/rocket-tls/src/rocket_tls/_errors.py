"""Errors this package raises."""

from __future__ import annotations

from datetime import timedelta

from rocket_core import RocketError


class CertificateError(RocketError, ValueError):
    """A certificate or its key cannot be used, or cannot be issued.

    The message is one sentence: the file, what is wrong with it, and what would be right.
    """


class UnreadableError(CertificateError):
    """A file cannot be read at present. Unlike a fault in its content, this may pass unseen."""


class TLSError(RocketError, ConnectionError):
    """The client broke the rules of TLS, or refused what the server offered."""


class NoCertificateError(CertificateError):
    """None has been issued yet."""


class ACMEError(RocketError):
    """An authority did not issue a certificate.

    The message is one sentence that says why, and what would be right where that is known.

    Attributes:
        pause: the authority wants nothing more to be tried for this time; None: it did not say.
    """

    def __init__(self, message: str, pause: timedelta | None = None) -> None:
        super().__init__(message)
        self.pause = pause
