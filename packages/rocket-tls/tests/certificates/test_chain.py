from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from helpers import Files, load_context
from rocket_tls import CertificateError


def test_settings(files: Files) -> None:
    context = load_context(files.certificate, files.key)
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert context.maximum_version is ssl.TLSVersion.MAXIMUM_SUPPORTED
    assert ssl.OP_NO_RENEGOTIATION in context.options
    assert ssl.OP_NO_COMPRESSION in context.options
    assert ssl.OP_NO_TICKET not in context.options
    assert context.verify_mode is ssl.CERT_NONE


def test_every_load_makes_a_new_context(files: Files) -> None:
    first = load_context(files.certificate, files.key)
    assert load_context(files.certificate, files.key) is not first


def test_a_key_that_openssl_finds_too_weak_is_refused(files: Files) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, SHA256())
    )
    files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    with pytest.raises(CertificateError) as raised:
        load_context(files.certificate, files.key)

    assert str(raised.value) == (
        f"certificate file {files.certificate} is refused by OpenSSL (ee key too small); "
        "replace the certificate and its key"
    )
