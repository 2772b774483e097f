"""Checking certificates and keys before they go into service."""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes, PublicKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from rocket_tls._certificates.chain import CertificateChain
from rocket_tls._certificates.source import Pair, PairContent, Password
from rocket_tls._errors import CertificateError
from rocket_tls._pem import key_to_pem, to_pem

_log = logging.getLogger("rocket_tls.certificate")

# A block, or as much of one as a file has that is still being written: a block without its end, or
# the first half of the line that begins it.
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

_BAD_EXTENSION: Final = (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError)
"""The errors of `cryptography` for an extension that it cannot parse."""

_BAD_BLOCK: Final = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)
"""The errors of `cryptography` for a certificate or a key that it cannot load."""


def load_chain(pair: Pair, content: PairContent) -> CertificateChain:
    """Check what was read from ``pair``: a key, its certificate, and the chain in any order.

    A certificate outside its period of validity is accepted: a client may be told to go on with
    such a server, and cannot go on with a server that does not start.

    Raises `CertificateError`.
    """
    wanted = "the server's certificate in PEM form, followed by its chain"
    found = load_certificates(pair.certificate_name, content.certificate, wanted)
    key = _private_key(pair, content)
    public = _bytes_of(key.public_key())
    own = [each for each in found if _bytes_of(each.public_key()) == public]
    if not own:
        raise CertificateError(
            f"{pair.key_name} does not belong to {pair.certificate_name}; "
            "name the key that the certificate was made for"
        )
    # Two certificates with the same key are one certificate and its renewal.
    leaf = max(own, key=lambda each: each.not_valid_after_utc)
    certificates = tuple(_in_order(pair, leaf, found))
    # OpenSSL gets the bytes that were checked. The password protects the key in the temporary file
    # that it reads them from.
    password = secrets.token_hex(16).encode()
    chain = CertificateChain(
        pair.certificate_name,
        certificates,
        _names(leaf),
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        key_to_pem(key, password) + to_pem(certificates),
        password,
    )
    if not chain.names:
        _log.warning(
            "%s: the certificate names no host and no IP address; clients will refuse it",
            chain.source,
        )
    return chain


def load_certificates(name: str, content: bytes, wanted: str) -> list[x509.Certificate]:
    """Return the certificates in a file that messages call ``name``, and that must hold ``wanted``.

    Raises `CertificateError`.
    """
    blocks = _CERTIFICATE.findall(content)
    if not blocks:
        raise CertificateError(f"{name} holds no certificate; it must hold {wanted}")
    found = []
    for number, block in enumerate(blocks, 1):
        try:
            certificate = x509.load_pem_x509_certificate(block)
            certificate.public_key()
        except _BAD_BLOCK as error:
            raise CertificateError(
                f"{name}: its certificate number {number} is "
                "incomplete, damaged or of an unknown kind; store the whole certificate there"
            ) from error
        found.append(certificate)
    return found


def _private_key(pair: Pair, content: PairContent) -> PrivateKeyTypes:
    name = pair.key_name
    block = _KEY.search(content.key)
    if block is None:
        raise CertificateError(
            f"{pair.certificate_name} holds no private key; "
            "append the key to it, or name the key's own file"
            if name.removeprefix("key ") == pair.certificate_name.removeprefix("certificate ")
            else f"{name} holds no private key; "
            "it must hold the certificate's private key in PEM form"
        )
    encrypted = block["label"].startswith(b"ENCRYPTED") or b"4,ENCRYPTED" in (block["body"] or b"")
    password = _password_of(name, content.password) if encrypted else None
    if encrypted and password is None:
        raise CertificateError(
            f"{name} is encrypted; give its password, or store the key without one, "
            "as in: openssl pkey -in FILE -out NEW-FILE"
        )
    try:
        return load_pem_private_key(block[0], password=password)
    except _BAD_BLOCK as error:
        raise CertificateError(
            f"{name}: the private key cannot be decrypted; give the right password"
            if encrypted
            else f"{name}: the private key is incomplete, damaged or of an unknown kind; "
            "store the whole key there"
        ) from error


def _password_of(name: str, password: Password | None) -> bytes | None:
    if password is None or isinstance(password, bytes):
        return password
    try:
        return password()
    except Exception as error:  # whatever the function does, the message must name the key
        raise CertificateError(
            f"{name}: the password callback failed: {type(error).__name__}: {error}"
        ) from error


def _in_order(
    pair: Pair, leaf: x509.Certificate, found: list[x509.Certificate]
) -> Iterator[x509.Certificate]:
    """Yield ``leaf``, the issuer of each (RFC 8446, section 4.4.2), then what is not of the chain.

    What does not belong to the chain is logged.
    """
    others = [each for each in found if each != leaf]
    last: x509.Certificate | None = leaf
    while last is not None:
        yield last
        last = next((each for each in others if _issued(each, last)), None)
        if last is not None:
            others.remove(last)
    for each in others:
        _log.warning(
            "%s: its certificate number %d is not part of the chain; remove it",
            pair.certificate_name,
            found.index(each) + 1,
        )
        yield each


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _names(certificate: x509.Certificate) -> frozenset[str]:
    try:
        alternatives = certificate.extensions.get_extension_for_class(
            x509.SubjectAlternativeName
        ).value
    except (x509.ExtensionNotFound, *_BAD_EXTENSION):
        return frozenset()
    hosts = alternatives.get_values_for_type(x509.DNSName)
    addresses = alternatives.get_values_for_type(x509.IPAddress)
    return frozenset([*(host.lower() for host in hosts), *(str(each) for each in addresses)])


def _bytes_of(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
