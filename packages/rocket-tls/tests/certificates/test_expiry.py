from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import trustme

from helpers import chain_of
from rocket_tls import CertificateChain, CertificateData, CertificateStore
from rocket_tls._certificates.expiry import ExpiryWarnings

BEGIN = datetime(2020, 1, 1, tzinfo=UTC)


def chain(ca: trustme.CA, days: int) -> CertificateChain:
    leaf = ca.issue_cert("localhost", not_before=BEGIN, not_after=BEGIN + timedelta(days=days))
    store = CertificateStore([CertificateData(chain_of(leaf), leaf.private_key_pem.bytes())])
    return store.chains[0]


def told(days: int, ca: trustme.CA, caplog: pytest.LogCaptureFixture) -> list[tuple[int, str]]:
    """Return the warnings in a certificate's life, each with the hours that are left."""
    issued = chain(ca, days)
    warnings = ExpiryWarnings(issued)
    caplog.clear()
    found = []
    for left in range(24 * days, -3, -1):
        warnings.check(issued.expires - timedelta(hours=left))
        found += [(left, message.partition(": the certificate ")[2]) for message in caplog.messages]
        caplog.clear()
    return found


def test_warnings_come_once_each(ca: trustme.CA, caplog: pytest.LogCaptureFixture) -> None:
    assert told(90, ca, caplog) == [
        (30 * 24, "expires in 30 days, on 2020-03-31 00:00 UTC"),
        (14 * 24, "expires in 14 days, on 2020-03-31 00:00 UTC"),
        (7 * 24, "expires in 7 days, on 2020-03-31 00:00 UTC"),
        (24, "expires in 1 day, on 2020-03-31 00:00 UTC"),
        (0, "expired on 2020-03-31 00:00 UTC; clients refuse it until it is replaced"),
    ]


def test_there_is_no_warning_in_the_first_half_of_a_short_life(
    ca: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    assert [left for left, _ in told(6, ca, caplog)] == [24, 0]


def test_a_warning_that_was_missed_is_logged_later(
    ca: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    issued = chain(ca, 90)
    warnings = ExpiryWarnings(issued)
    caplog.clear()
    warnings.check(issued.expires - timedelta(hours=5))
    assert caplog.messages == [
        "certificate given by code: the certificate expires in 5 hours, on 2020-03-31 00:00 UTC"
    ]


def test_loading_a_certificate_near_its_expiry_logs_a_warning(
    ca: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    now = datetime.now(UTC)
    leaf = ca.issue_cert(
        "localhost", not_before=now - timedelta(days=80), not_after=now + timedelta(days=9.5)
    )
    CertificateStore([CertificateData(chain_of(leaf), leaf.private_key_pem.bytes())])
    assert len(caplog.messages) == 1
    assert "expires in 9 days" in caplog.text
