"""Certificates and keys as text in PEM form (RFC 7468)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


def to_pem(objects: Iterable[x509.Certificate | x509.CertificateRevocationList]) -> bytes:
    """Return certificates, or certificate revocation lists, one after the other."""
    from cryptography.hazmat.primitives.serialization import Encoding

    return b"".join(each.public_bytes(Encoding.PEM) for each in objects)


def key_to_pem(key: PrivateKeyTypes, password: bytes | None = None) -> bytes:
    """Return a private key (PKCS #8), encrypted if there is a ``password``."""
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
