"""The errors that this package raises."""

from __future__ import annotations

from datetime import timedelta

from rocket_core import RocketError


class CertificateError(RocketError, ValueError):
    """A certificate or its key cannot be used, or cannot be issued.

    The message is one sentence: the file, what is wrong with it, and what would be right.
    """


class UnreadableError(CertificateError):
    """A file cannot be read at present. A later attempt may succeed with the same file."""


class TLSError(RocketError, ConnectionError):
    """The client violated the TLS protocol, or refused what the server offered."""


class SourceFailedError(UnreadableError):
    """A source of certificates raised an error that is not a `CertificateError`."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(f"{name} cannot be loaded ({type(error).__name__}: {error})")


class NoCertificateError(CertificateError):
    """No source has a certificate yet."""


class ACMEError(RocketError):
    """A certificate authority did not issue a certificate (RFC 8555).

    The message is one sentence that says why, and what would be right where that is known.

    Attributes:
        pause: the time that the CA wants to pass before the next attempt; None if it did
            not say.
    """

    def __init__(self, message: str, pause: timedelta | None = None) -> None:
        super().__init__(message)
        self.pause = pause
