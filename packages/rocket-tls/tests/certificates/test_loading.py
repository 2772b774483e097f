"""Every fault of a certificate or key, and the message about it."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from helpers import Files, chain_of, load_context
from rocket_tls import CertificateError, CertificateFiles
from rocket_tls._certificates.loading import load_chain
from rocket_tls._certificates.source import PairContent


def refusal(certificate: Path, key: Path | None) -> str:
    with pytest.raises(CertificateError) as raised:
        load_context(certificate, key)
    return str(raised.value)


def test_a_missing_file(files: Files) -> None:
    files.key.unlink()
    assert refusal(files.certificate, files.key) == (
        f"key file {files.key} cannot be read (No such file or directory); "
        "name a PEM file that this user may read"
    )
    files.certificate.unlink()
    assert refusal(files.certificate, files.key) == (
        f"certificate file {files.certificate} cannot be read (No such file or directory); "
        "name a PEM file that this user may read"
    )


def test_an_unreadable_file(files: Files, tmp_path: Path) -> None:
    assert refusal(tmp_path, files.key) == (
        f"certificate file {tmp_path} cannot be read (Is a directory); "
        "name a PEM file that this user may read"
    )


def test_no_certificate(files: Files) -> None:
    assert refusal(files.key, files.key) == (
        f"certificate file {files.key} holds no certificate; "
        "it must hold the server's certificate in PEM form, followed by its chain"
    )


def test_a_damaged_certificate(files: Files) -> None:
    files.certificate.write_bytes(files.certificate.read_bytes().replace(b"\nM", b"\nMMMM", 1))
    assert refusal(files.certificate, files.key) == (
        f"certificate file {files.certificate}: its certificate number 1 is incomplete, damaged "
        "or of an unknown kind; store the whole certificate there"
    )


def test_every_incomplete_chain(files: Files, ca: trustme.CA) -> None:
    leaf = ca.create_child_ca().issue_cert("localhost")
    whole, key = chain_of(leaf), leaf.private_key_pem.bytes()
    pair = CertificateFiles(files.certificate, files.key)
    second = whole.rindex(b"-----BEGIN")
    load_chain(pair, PairContent(whole, key))
    load_chain(pair, PairContent(whole.rstrip(), key))
    for size in range(second + 1, len(whole.rstrip())):
        with pytest.raises(CertificateError, match="certificate number 2 is incomplete"):
            load_chain(pair, PairContent(whole[:size], key))


def test_no_key(files: Files) -> None:
    assert refusal(files.certificate, None) == (
        f"certificate file {files.certificate} holds no private key; "
        "append the key to it, or name the key's own file"
    )
    files.key.write_bytes(b"")
    assert refusal(files.certificate, files.key) == (
        f"key file {files.key} holds no private key; "
        "it must hold the certificate's private key in PEM form"
    )


def test_a_damaged_key(files: Files) -> None:
    whole = files.key.read_bytes()
    for damaged in (whole[:-20], whole.replace(b"\nM", b"\nMMMM", 1)):
        files.key.write_bytes(damaged)
        assert refusal(files.certificate, files.key) == (
            f"key file {files.key}: the private key is incomplete, damaged or of an unknown kind; "
            "store the whole key there"
        )


@pytest.mark.parametrize("form", [PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL])
def test_an_encrypted_key(files: Files, leaf: trustme.LeafCert, form: PrivateFormat) -> None:
    key = load_pem_private_key(leaf.private_key_pem.bytes(), password=None)
    files.key.write_bytes(key.private_bytes(Encoding.PEM, form, BestAvailableEncryption(b"secret")))
    assert refusal(files.certificate, files.key) == (
        f"key file {files.key} is encrypted; give its password, or store the key without one, "
        "as in: openssl pkey -in FILE -out NEW-FILE"
    )


def test_the_key_of_another_certificate(files: Files, ca: trustme.CA) -> None:
    ca.issue_cert("localhost").private_key_pem.write_to_path(files.key)
    assert refusal(files.certificate, files.key) == (
        f"key file {files.key} does not belong to certificate file {files.certificate}; "
        "name the key that the certificate was made for"
    )


@pytest.mark.parametrize("turn", [1, -1], ids=["in order", "reversed"])
def test_a_chain_in_any_order_is_sorted(
    files: Files, ca: trustme.CA, caplog: pytest.LogCaptureFixture, turn: int
) -> None:
    leaf = ca.create_child_ca().create_child_ca().issue_cert("localhost")
    blocks = [blob.bytes() for blob in leaf.cert_chain_pems]
    assert len(blocks) == 3
    pair = CertificateFiles(files.certificate, files.key)
    content = PairContent(b"".join(blocks[::turn]), leaf.private_key_pem.bytes())
    assert [each.public_bytes(Encoding.PEM) for each in load_chain(pair, content).certificates] == (
        blocks
    )
    assert not caplog.records


def test_a_certificate_outside_the_chain_logs_a_warning(
    files: Files, leaf: trustme.LeafCert, caplog: pytest.LogCaptureFixture
) -> None:
    files.certificate.write_bytes(trustme.CA().cert_pem.bytes() + chain_of(leaf))
    load_context(files.certificate, files.key)
    assert caplog.messages == [
        (
            f"certificate file {files.certificate}: its certificate number 1 is not part of the "
            "chain; remove it"
        )
    ]


def test_a_renewed_certificate_beside_the_old_one_is_preferred(
    files: Files, leaf: trustme.LeafCert
) -> None:
    key = load_pem_private_key(leaf.private_key_pem.bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    old = x509.load_pem_x509_certificate(leaf.cert_chain_pems[0].bytes())
    renewed = (
        x509.CertificateBuilder()
        .subject_name(old.subject)
        .issuer_name(old.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(old.not_valid_before_utc)
        .not_valid_after(old.not_valid_after_utc + timedelta(days=1))
        .sign(key, SHA256())
    )
    content = PairContent(
        old.public_bytes(Encoding.PEM) + renewed.public_bytes(Encoding.PEM),
        leaf.private_key_pem.bytes(),
    )
    pair = CertificateFiles(files.certificate, files.key)
    assert load_chain(pair, content).certificates[0] == renewed


@pytest.mark.parametrize("key_type", list(trustme.KeyType))
def test_keys_of_all_kinds_are_accepted(
    files: Files, ca: trustme.CA, key_type: trustme.KeyType
) -> None:
    files.write(ca.issue_cert("localhost", key_type=key_type))
    load_context(files.certificate, files.key)


def test_text_around_the_pem_blocks_is_ignored(files: Files) -> None:
    text = b"-- made by hand\nsubject=CN = localhost\n"
    files.certificate.write_bytes(text + files.certificate.read_bytes() + b"\nthe end\n")
    files.key.write_bytes(text + files.key.read_bytes())
    load_context(files.certificate, files.key)


def test_a_certificate_without_a_name_is_served_with_a_warning(
    files: Files, ca: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    files.write(ca.issue_cert(common_name="localhost"))
    load_context(files.certificate, files.key)
    assert caplog.messages == [
        (
            f"certificate file {files.certificate}: the certificate names no host and no IP "
            "address; clients will refuse it"
        )
    ]


def test_an_expired_certificate_is_served_with_a_warning(
    files: Files, ca: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    end = datetime(2020, 1, 2, 3, 4, tzinfo=UTC)
    files.write(ca.issue_cert("localhost", not_before=end - timedelta(days=1), not_after=end))
    load_context(files.certificate, files.key)
    assert caplog.record_tuples == [
        (
            "rocket_tls.certificate",
            logging.WARNING,
            (
                f"certificate file {files.certificate}: the certificate expired on "
                "2020-01-02 03:04 UTC; clients refuse it until it is replaced"
            ),
        )
    ]


def test_a_certificate_that_is_not_valid_yet_is_served_with_a_warning(
    files: Files, ca: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    begin = datetime(2345, 1, 2, 3, 4, tzinfo=UTC)
    files.write(ca.issue_cert("localhost", not_before=begin, not_after=begin + timedelta(days=1)))
    load_context(files.certificate, files.key)
    assert caplog.record_tuples == [
        (
            "rocket_tls.certificate",
            logging.WARNING,
            (
                f"certificate file {files.certificate}: the certificate is not valid before "
                "2345-01-02 03:04 UTC; clients will refuse it until then"
            ),
        )
    ]
