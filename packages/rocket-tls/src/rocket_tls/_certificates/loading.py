"""Checking certificates and keys before they are served."""

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
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from rocket_tls._certificates.chain import CertificateChain
from rocket_tls._certificates.sources import Content, Pair, password_of
from rocket_tls._errors import CertificateError

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

_UNREADABLE: Final = (x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError)
"""What extensions raise that `cryptography` cannot read."""

_UNUSABLE: Final = (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion)


def load_chain(pair: Pair, content: Content) -> CertificateChain:
    """Check what was read from ``pair``: a key, its certificate, and in any order the chain.

    A certificate out of its period of validity is accepted: clients may be told to go on, which
    they cannot with a server that does not start.

    Raises `CertificateError`.
    """
    wanted = "the server's certificate in PEM form, followed by its chain"
    found = load_certificates(pair.certificate_name, content.certificate, wanted)
    key = _private_key(pair, content.key)
    public = _bytes_of(key.public_key())
    own = [each for each in found if _bytes_of(each.public_key()) == public]
    if not own:
        raise CertificateError(
            f"{pair.key_name} does not belong to {pair.certificate_name}; "
            "name the key that the certificate was made for"
        )
    # Of two with the same key, one renewed the other.
    leaf = max(own, key=lambda each: each.not_valid_after_utc)
    certificates = tuple(_in_order(pair, leaf, found))
    # OpenSSL is given the bytes that were checked, and reads them from a file only.
    password = secrets.token_hex(16).encode()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password))
    chain = CertificateChain(
        pair.certificate_name,
        certificates,
        _names(leaf),
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
        pem + b"".join(each.public_bytes(Encoding.PEM) for each in certificates),
        password,
    )
    if not chain.names:
        _log.warning(
            "%s: the certificate names no host and no IP address; clients will refuse it",
            chain.source,
        )
    return chain


def load_certificates(name: str, content: bytes, wanted: str) -> list[x509.Certificate]:
    """The certificates in a file that messages call ``name``, which must hold ``wanted``.

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
        except _UNUSABLE as error:
            raise CertificateError(
                f"{name}: its certificate number {number} is "
                "incomplete, damaged or of an unknown kind; put the whole certificate there again"
            ) from error
        found.append(certificate)
    return found


def _private_key(pair: Pair, content: bytes) -> PrivateKeyTypes:
    name = pair.key_name
    block = _KEY.search(content)
    if block is None:
        raise CertificateError(
            f"{pair.certificate_name} holds no private key; "
            "append the key to it, or name the key's own file"
            if name.removeprefix("key ") == pair.certificate_name.removeprefix("certificate ")
            else f"{name} holds no private key; "
            "it must hold the certificate's private key in PEM form"
        )
    encrypted = block["label"].startswith(b"ENCRYPTED") or b"4,ENCRYPTED" in (block["body"] or b"")
    password = password_of(pair) if encrypted else None
    if encrypted and password is None:
        raise CertificateError(
            f"{name} is encrypted; give its password, or store the key without one, "
            "as in: openssl pkey -in FILE -out NEW-FILE"
        )
    try:
        return load_pem_private_key(block[0], password=password)
    except _UNUSABLE as error:
        raise CertificateError(
            f"{name}: the private key cannot be decrypted; give the right password"
            if encrypted
            else f"{name}: the private key is incomplete, damaged or of an unknown kind; "
            "put the whole key there again"
        ) from error


def _in_order(
    pair: Pair, leaf: x509.Certificate, found: list[x509.Certificate]
) -> Iterator[x509.Certificate]:
    """``leaf``, then each one's issuer (RFC 8446, section 4.4.2), then what is not of the chain."""
    others = [each for each in found if each != leaf]
    last: x509.Certificate | None = leaf
    while last is not None:
        yield last
        last = next((each for each in others if _issued(each, last)), None)
        if last is not None:
            others.remove(last)
    for each in others:
        number = found.index(each) + 1
        _log.warning(
            "%s: its certificate number %d is not part of the chain", pair.certificate_name, number
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
    except (x509.ExtensionNotFound, *_UNREADABLE):
        return frozenset()
    hosts = alternatives.get_values_for_type(x509.DNSName)
    addresses = alternatives.get_values_for_type(x509.IPAddress)
    return frozenset([*(host.lower() for host in hosts), *(str(each) for each in addresses)])


def _bytes_of(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
