"""Warnings of certificates that expire."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rocket_tls._certificates.chain import CertificateChain

_log = logging.getLogger("rocket_tls.certificate")

_WARNINGS: Final = tuple(timedelta(days=days) for days in (30, 14, 7, 1))
"""What is left of a certificate's time when a warning is due."""


class ExpiryWarnings:
    """Says once each that a certificate has 30, 14, 7 and 1 days left, and that it has expired.

    Nothing is said in the first half of a certificate's life: there are some for a week only.
    """

    def __init__(self, chain: CertificateChain) -> None:
        self._chain = chain
        life = chain.expires - chain.not_before
        times = [chain.expires - left for left in _WARNINGS if left < life / 2]
        self._due = [*times, chain.expires]

    def check(self, now: datetime | None = None) -> None:
        """Say what is due. The caller sees to it that one thread at a time does this."""
        now = datetime.now(UTC) if now is None else now
        if not self._due or now < self._due[0]:
            return
        self._due = [each for each in self._due if each > now]
        when = f"{self._chain.expires:%Y-%m-%d %H:%M} UTC"
        if now >= self._chain.expires:
            _log.warning(
                "%s: the certificate expired on %s; clients will refuse it",
                self._chain.source,
                when,
            )
        else:
            _log.warning(
                "%s: the certificate expires in %s, on %s",
                self._chain.source,
                _left(self._chain.expires - now),
                when,
            )


def warn_of_beginning(chain: CertificateChain) -> None:
    """Say that a certificate is not valid yet, if so."""
    if datetime.now(UTC) < chain.not_before:
        _log.warning(
            "%s: the certificate is not valid before %s; clients will refuse it until then",
            chain.source,
            f"{chain.not_before:%Y-%m-%d %H:%M} UTC",
        )


def _left(time: timedelta) -> str:
    count, unit = (time.days, "day") if time.days else (time.seconds // 3600, "hour")
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
