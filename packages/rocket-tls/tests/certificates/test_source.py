"""Sources of certificates that are made outside this package."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from datetime import UTC, datetime, timedelta

import pytest
import trustme

from helpers import Serve, chain_of, der_of, exchange
from rocket_tls import (
    ACME,
    CertificateData,
    CertificateDirectory,
    CertificateError,
    CertificateFiles,
    CertificateStore,
    HandshakeValidator,
    Pair,
    PairContent,
    Source,
)

pytestmark = pytest.mark.usefixtures("impatient")


class Secret:
    """A pair that a vault would have, under a name and with a version."""

    certificate_name = "certificate of the vault"
    key_name = "key of the vault"

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    @property
    def identity(self) -> Hashable:
        return "secret"

    def revision(self) -> Hashable:
        return self._vault.version

    def read(self) -> PairContent:
        self._vault.reads += 1
        if self._vault.fault is not None:
            raise self._vault.fault
        leaf = self._vault.leaf
        assert leaf is not None
        key = leaf.private_key_pem.bytes()
        return PairContent(chain_of(leaf), key, self._vault.version)


class Vault:
    """A source that makes a new pair whenever it is asked. It is not hashable."""

    __hash__ = None  # type: ignore[assignment]

    def __init__(self) -> None:
        self.leaf: trustme.LeafCert | None = None
        self.version = 0
        self.reads = 0
        self.fault: Exception | None = None
        self.unlisted = False

    def __eq__(self, other: object) -> bool:
        return self is other

    def put(self, leaf: trustme.LeafCert) -> None:
        self.leaf, self.version = leaf, self.version + 1

    def pairs(self) -> Sequence[Pair]:
        if self.fault is not None and self.unlisted:
            raise self.fault
        return [] if self.leaf is None else [Secret(self)]

    def __repr__(self) -> str:
        return "<the vault>"


@pytest.fixture
def vault(ca: trustme.CA) -> Vault:
    """A vault with a certificate."""
    vault = Vault()
    vault.put(ca.issue_cert("localhost"))
    return vault


@pytest.fixture
def store(vault: Vault) -> CertificateStore:
    return CertificateStore([vault])


def test_a_custom_source_is_served_from_its_first_certificate_on(
    serve: Serve, ca: trustme.CA
) -> None:
    vault = Vault()
    served = serve(CertificateStore([vault]), None)
    with pytest.raises(OSError, match="INTERNAL_ERROR"):
        served.certificate()
    for _ in range(2):
        vault.put(leaf := ca.issue_cert("localhost"))
        assert served.certificate() == der_of(leaf)
    with served.connect() as client:
        assert exchange(client, "shout hello") == b"HELLO\n"
    assert served.tls_errors == {"no certificate yet": 1}
    assert vault.reads == 2


def test_a_custom_source_that_fails_leaves_its_certificate_in_service(
    vault: Vault, store: CertificateStore, caplog: pytest.LogCaptureFixture
) -> None:
    (before,) = store.chains
    vault.fault = CertificateError("the vault is sealed; unseal it")
    vault.version += 1
    for _ in range(3):
        assert store.choose("localhost", "") is before
    assert caplog.messages == [
        "the vault is sealed; unseal it (the previous certificate stays in service)"
    ]


def test_an_unexpected_error_of_a_custom_source_leaves_its_certificate_in_service(
    vault: Vault, store: CertificateStore, caplog: pytest.LogCaptureFixture
) -> None:
    (before,) = store.chains
    vault.fault = ConnectionRefusedError("no route to the vault")
    vault.version += 1
    for _ in range(3):
        assert store.choose("localhost", "") is before
    vault.unlisted = True
    for _ in range(3):
        assert store.choose("localhost", "") is before
    assert caplog.messages == [
        (
            "certificate of the vault cannot be loaded (ConnectionRefusedError: no route to the "
            "vault) (the previous certificate stays in service)"
        ),
        (
            "source of certificates <the vault> cannot be loaded (ConnectionRefusedError: no route "
            "to the vault) (the previous certificates stay in service)"
        ),
    ]
    vault.fault = None
    assert store.choose("localhost", "") is not before


def test_certificates_of_custom_sources_are_inspected_and_warned_of(
    ca: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    end = datetime.now(UTC) - timedelta(days=1)
    vault = Vault()
    vault.put(ca.issue_cert("localhost", not_before=end - timedelta(days=9), not_after=end))
    (chain,) = CertificateStore([vault]).chains
    assert chain.source == "certificate of the vault"
    assert caplog.messages[0].startswith("certificate of the vault: the certificate expired on ")


def sources_are_typed(
    files: CertificateFiles, directory: CertificateDirectory, data: CertificateData, acme: ACME
) -> tuple[Sequence[Source], Sequence[Pair], HandshakeValidator]:
    """The type checker verifies that the sources of this package are what the protocols say."""
    return [files, directory, data, acme, Vault()], [files, data], acme
