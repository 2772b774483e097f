"""How often TLS fails, and why."""

from __future__ import annotations

import logging
import ssl
import sys
import threading
from typing import TYPE_CHECKING, Final

from rocket_core import Peer, RareLog

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("rocket_tls.connection")

TIMEOUT: Final = "timeout"
NO_CERTIFICATE: Final = "no certificate yet"
NOT_PENDING: Final = "no validation pending"
UNREADABLE: Final = "unreadable client certificate"
NO_CHOICE: Final = "no certificate could be chosen"
_NOT_ASCII: Final = "server name not ASCII"

_NAMES: Final = {
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "certificate required",
    "WRONG_VERSION_NUMBER": "no TLS",
    "HTTP_REQUEST": "http request",
    "CALLBACK_FAILED": _NOT_ASCII,  # for no other reason, unless the callback itself tells one
}
"""Reasons that OpenSSL tells in other words than an operator would look for."""


def quieten() -> None:
    """Have the interpreter print nothing of a server name that is not ASCII (RFC 6066, section 3).

    The module `ssl` hands such a name to no callback. It fails the handshake, which is counted and
    logged as any other, and gives the error to `sys.unraisablehook`, which by default prints many
    lines on standard error, past every limit. Whatever else comes there goes where it went before.
    """
    with _hook_lock:
        previous = sys.unraisablehook
        if isinstance(previous, _QuietHook):
            return
        sys.unraisablehook = _QuietHook(previous)


class _QuietHook:
    """Drops what a client's server name causes."""

    def __init__(self, previous: Callable[[sys.UnraisableHookArgs], object]) -> None:
        self._previous = previous

    def __call__(self, unraisable: sys.UnraisableHookArgs, /) -> None:
        error = unraisable.exc_value
        # The module `ssl` decodes the name as bytes, and names these as where the error occurred.
        if (
            isinstance(error, UnicodeDecodeError)
            and type(unraisable.object) is bytes
            and error.object == unraisable.object
        ):
            return
        self._previous(unraisable)


_hook_lock: Final = threading.Lock()
"""Guards `sys.unraisablehook` against two threads that would both replace it."""


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
        told = reason if reason is _NOT_ASCII else error or reason
        self._rare_log.warning("%s: TLS failed: %s", peer, told)

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
