"""The number of TLS failures, and their reasons."""

from __future__ import annotations

import logging
import ssl
import threading
from typing import Final

from rocket_core import Peer
from rocket_core.extending import RareLog

_log = logging.getLogger("rocket_tls.connection")

TIMEOUT: Final = "timeout"
NO_CERTIFICATE: Final = "no certificate yet"
NOT_PENDING: Final = "no validation pending"
UNREAD: Final = "answers not taken"
UNREADABLE: Final = "unreadable client certificate"
NO_PROTOCOL: Final = "no protocol in common"
NO_CHOICE: Final = "no certificate could be chosen"
_NOT_ASCII: Final = "server name not ASCII"

_NAMES: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "certificate required",
    "WRONG_VERSION_NUMBER": "no TLS",
    "HTTP_REQUEST": "http request",
    "CALLBACK_FAILED": _NOT_ASCII,  # where the callback itself has failed, it gives the reason
}
"""The reasons that have other names than OpenSSL gives them, for an operator to understand."""


class TLSFaults:
    """Counts the failures of TLS by their reason, and logs one warning a minute at most.

    Any thread may call its methods.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        """Guards _counts."""
        self._counts: dict[str, int] = {}
        self._rare_log = RareLog(_log)

    def add(self, peer: Peer, reason: str, error: object = None) -> None:
        """Count a failure for ``reason``, and log it with ``error``, which may say more."""
        with self._lock:
            self._counts[reason] = self._counts.get(reason, 0) + 1
        detail = reason if reason is _NOT_ASCII else error or reason
        self._rare_log.warning("%s: TLS failed: %s", peer, detail)

    def counts(self) -> dict[str, int]:
        """Return the number of failures by their reason."""
        with self._lock:
            return dict(self._counts)


def reason_of(error: ssl.SSLError) -> str:
    """Return the reason of an error in a few words. The number of reasons is limited."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate verify failed: {error.verify_message}"
    reason = error.reason or "unknown"
    return _NAMES.get(reason, reason.lower().replace("_", " "))
