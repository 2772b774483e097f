"""How often TLS fails, and why."""

from __future__ import annotations

import logging
import ssl
import threading
from typing import Final

from rocket_core import Peer, RareLog

_log = logging.getLogger("rocket_tls.connection")

TIMEOUT: Final = "timeout"
NO_CERTIFICATE: Final = "no certificate yet"
NOT_PENDING: Final = "no validation pending"
UNREAD: Final = "answers not taken"
UNREADABLE: Final = "unreadable client certificate"

_NAMES: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "certificate required",
    "WRONG_VERSION_NUMBER": "no TLS",
    "HTTP_REQUEST": "http request",
}
"""Reasons that OpenSSL tells in other words than those who look for them would use."""


class TLSFaults:
    """Counts what fails in TLS by reason, and logs a warning a minute at most.

    ``_lock`` guards the counts.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: dict[str, int] = {}
        self._rare_log = RareLog(_log)

    def add(self, peer: Peer, reason: str, error: object = None) -> None:
        """Something has failed for ``reason``, with ``error``. Any thread may call this."""
        with self._lock:
            self._counts[reason] = self._counts.get(reason, 0) + 1
        self._rare_log.warning("%s: TLS failed: %s", peer, error or reason)

    def counts(self) -> dict[str, int]:
        """How often each reason has occurred. Any thread may call this."""
        with self._lock:
            return dict(self._counts)


def reason_of(error: ssl.SSLError) -> str:
    """The reason in a few words, of which there is a limited number."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    reason = error.reason or "unknown"
    return _NAMES.get(reason, reason.lower().replace("_", " "))
