"""Whether a certificate and a key can be served, and if not, why, in words for an operator."""

from __future__ import annotations

import logging
import re
from datetime import UTC, datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from rocket_tls._errors import CertificateError
from rocket_tls._files import CertificateFiles, Content

_log = logging.getLogger("rocket_tls.certificate")

# A block, or what a file that is still being written has of one: no end, or half a first line.
_CERTIFICATE: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----(?:[^-]*-----END CERTIFICATE-----)?"
    rb"|^-(?!----END [A-Z0-9 ]+-----\s*\Z)[^\n]*\Z",
    re.ASCII | re.MULTILINE,
)
_KEY: Final = re.compile(
    rb"-----BEGIN (?P<label>[A-Z0-9 ]*PRIVATE KEY)-----"
    rb"(?:(?P<body>.*?)-----END (?P=label)-----)?",
    re.ASCII | re.DOTALL,
)
_UNUSABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)


def validate(files: CertificateFiles, content: Content) -> None:
    """Check what was read from ``files``.

    A certificate out of its period of validity is warned of in the log and accepted: clients may
    be told to go on, which they cannot with a server that does not start.

    Raises `CertificateError`.
    """
    chain = _certificates(files, content.certificate)
    public = _bytes_of(_public_key(files, content.key))
    owners = [_bytes_of(certificate.public_key()) == public for certificate in chain]
    if not owners[0]:
        raise CertificateError(
            f"certificate file {files.certificate} must begin with the server's own certificate, "
            f"the one that key file {files.key} belongs to; put it before the others"
            if any(owners)
            else f"key file {files.key} does not belong to the certificate in "
            f"{files.certificate}; name the key that the certificate was made for"
        )
    _warn_of_period(files, chain[0])


def _certificates(files: CertificateFiles, content: bytes) -> list[x509.Certificate]:
    blocks = _CERTIFICATE.findall(content)
    if not blocks:
        raise CertificateError(
            f"certificate file {files.certificate} holds no certificate; "
            "it must hold the server's certificate in PEM form, followed by its chain"
        )
    chain = []
    for number, block in enumerate(blocks, 1):
        try:
            certificate = x509.load_pem_x509_certificate(block)
            certificate.public_key()
        except _UNUSABLE as error:
            raise CertificateError(
                f"certificate file {files.certificate}: its certificate number {number} is "
                "incomplete, damaged or of an unknown kind; put the whole certificate there again"
            ) from error
        chain.append(certificate)
    return chain


def _public_key(files: CertificateFiles, content: bytes) -> PublicKeyTypes:
    block = _KEY.search(content)
    if block is None:
        raise CertificateError(
            f"certificate file {files.certificate} holds no private key; "
            "append the key to it, or name the key's own file"
            if files.key == files.certificate
            else f"key file {files.key} holds no private key; "
            "it must hold the certificate's private key in PEM form"
        )
    if block["label"].startswith(b"ENCRYPTED") or b"4,ENCRYPTED" in (block["body"] or b""):
        raise CertificateError(
            f"key file {files.key} is encrypted; store the key without a passphrase, "
            f"as in: openssl pkey -in {files.key} -out NEW-FILE"
        )
    try:
        return load_pem_private_key(block[0], password=None).public_key()
    except _UNUSABLE as error:
        raise CertificateError(
            f"key file {files.key}: the private key is incomplete, damaged or of an unknown kind; "
            "put the whole key there again"
        ) from error


def _bytes_of(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _warn_of_period(files: CertificateFiles, certificate: x509.Certificate) -> None:
    now = datetime.now(UTC)
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if now > end:
        _log.warning(
            "certificate file %s: the certificate expired on %s; clients will refuse it",
            files.certificate,
            f"{end:%Y-%m-%d %H:%M} UTC",
        )
    elif now < begin:
        _log.warning(
            "certificate file %s: the certificate is not valid before %s; "
            "clients will refuse it until then",
            files.certificate,
            f"{begin:%Y-%m-%d %H:%M} UTC",
        )
