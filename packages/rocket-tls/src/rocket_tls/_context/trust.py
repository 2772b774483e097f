"""Whose certificates clients may show, and which of them are revoked."""

from __future__ import annotations

import logging
import re
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.dsa import DSAPublicKey
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed448 import Ed448PublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding

from rocket_tls._certificates.loading import load_certificates
from rocket_tls._certificates.sources import Signature, read_file, signature_of
from rocket_tls._context.memory_file import readable
from rocket_tls._errors import CertificateError, UnreadableError

_log = logging.getLogger("rocket_tls.certificate")

# A block, or its beginning where the file is still being written.
_CRL: Final = re.compile(rb"-----BEGIN X509 CRL-----(?:[^-]*-----END X509 CRL-----)?", re.ASCII)

_ISSUERS: Final = (
    DSAPublicKey,
    EllipticCurvePublicKey,
    Ed448PublicKey,
    Ed25519PublicKey,
    RSAPublicKey,
)
"""Keys that can sign."""


class Trust:
    """Authorities and their lists of revoked certificates, as they were in their files."""

    def __init__(self, ca: Path, crl: Path | None) -> None:
        """Load and check both files. Raises `CertificateError`."""
        self._paths = [ca] if crl is None else [ca, crl]
        self._signature = self._look()
        self._authorities = load_certificates(
            f"client_ca file {ca}",
            read_file("client_ca file", ca),
            "the authorities of clients' certificates in PEM form",
        )
        self._lists = [] if crl is None else self._load_lists(crl)
        try:
            self.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        except (OSError, ssl.SSLError) as error:
            raise UnreadableError(f"client_ca file {ca} cannot be handed to OpenSSL") from error

    @property
    def changed(self) -> bool:
        """Whether the files are others than those that were loaded."""
        return self._look() != self._signature

    def _look(self) -> Signature:
        return tuple(map(signature_of, self._paths))

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have ``context`` verify clients' certificates. Raises `ssl.SSLError`, `OSError`."""
        pem = [each.public_bytes(Encoding.PEM) for each in self._authorities]
        pem += [each.public_bytes(Encoding.PEM) for each in self._lists]
        with readable(b"".join(pem)) as path:
            context.load_verify_locations(path)
        if self._lists:
            context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF

    def _load_lists(self, path: Path) -> list[x509.CertificateRevocationList]:
        blocks = _CRL.findall(read_file("client_crl file", path))
        if not blocks:
            raise CertificateError(
                f"client_crl file {path} holds no list of revoked certificates; "
                "it must hold one in PEM form"
            )
        lists = []
        for number, block in enumerate(blocks, 1):
            try:
                revoked = x509.load_pem_x509_crl(block)
                signed = any(map(revoked.is_signature_valid, self._public_keys()))
            except (ValueError, TypeError, UnsupportedAlgorithm) as error:
                raise CertificateError(
                    f"client_crl file {path}: its list number {number} is incomplete, damaged or "
                    "of an unknown kind; put the whole list there again"
                ) from error
            if not signed:
                raise CertificateError(
                    f"client_crl file {path}: its list number {number} is not signed by an "
                    "authority of client_ca; store a list of one of these"
                )
            end = revoked.next_update_utc
            if end is not None and end < datetime.now(UTC):
                _log.warning(
                    "client_crl file %s: its list number %d expired on %s; "
                    "all clients of its authority are refused",
                    path,
                    number,
                    f"{end:%Y-%m-%d %H:%M} UTC",
                )
            lists.append(revoked)
        return lists

    def _public_keys(self) -> list[CertificateIssuerPublicKeyTypes]:
        keys = [each.public_key() for each in self._authorities]
        return [key for key in keys if isinstance(key, _ISSUERS)]
