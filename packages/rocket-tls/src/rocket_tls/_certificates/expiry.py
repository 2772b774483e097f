"""Warnings in the log about the period in which a certificate is valid."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from rocket_tls._texts import date_text

if TYPE_CHECKING:
    from rocket_tls._certificates.chain import CertificateChain

_log = logging.getLogger("rocket_tls.certificate")

_WARNINGS: Final = tuple(timedelta(days=days) for days in (30, 14, 7, 1))
"""The times before the expiry of a certificate at which a warning is due."""


class ExpiryWarnings:
    """Warns once each when a certificate has 30, 14, 7 and 1 days left, and when it has expired.

    There are no warnings in the first half of a certificate's life: some live for a week only.
    """

    def __init__(self, chain: CertificateChain) -> None:
        self._chain = chain
        life = chain.expires - chain.not_before
        times = [chain.expires - left for left in _WARNINGS if left < life / 2]
        self._due = [*times, chain.expires]

    def check(self, now: datetime | None = None) -> None:
        """Log the warning that is due, if any. The caller lets one thread at a time do this."""
        now = datetime.now(UTC) if now is None else now
        if not self._due or now < self._due[0]:
            return
        self._due = [each for each in self._due if each > now]
        if now >= self._chain.expires:
            _log.warning(
                "%s: the certificate expired on %s; clients refuse it until it is replaced",
                self._chain.source,
                date_text(self._chain.expires),
            )
        else:
            _log.warning(
                "%s: the certificate expires in %s, on %s",
                self._chain.source,
                _time_left(self._chain.expires - now),
                date_text(self._chain.expires),
            )


def warn_if_not_valid_yet(chain: CertificateChain) -> None:
    """Log a warning if the period of validity is still to begin."""
    if datetime.now(UTC) < chain.not_before:
        _log.warning(
            "%s: the certificate is not valid before %s; clients will refuse it until then",
            chain.source,
            date_text(chain.not_before),
        )


def _time_left(time: timedelta) -> str:
    count, unit = (time.days, "day") if time.days else (time.seconds // 3600, "hour")
    return f"{count} {unit}" if count == 1 else f"{count} {unit}s"
