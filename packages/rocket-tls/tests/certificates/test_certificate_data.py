"""A certificate and its key given by code."""

from __future__ import annotations

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from helpers import chain_of
from rocket_tls import (
    CertificateData,
    CertificateStore,
)


def test_objects_of_cryptography(leaf: trustme.LeafCert) -> None:
    certificates = x509.load_pem_x509_certificates(chain_of(leaf))
    key = load_pem_private_key(leaf.private_key_pem.bytes(), password=None)
    store = CertificateStore([CertificateData(certificates, key)])
    assert store.chains[0].names == {"localhost"}
    assert store.chains[0].certificates == tuple(certificates)
