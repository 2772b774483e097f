"""The CAs that issue the certificates of clients, and the certificates they revoked."""

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

from rocket_tls._certificates.loading import load_certificates
from rocket_tls._errors import CertificateError, UnreadableError
from rocket_tls._files import FileState, file_state, memory_file, read_file
from rocket_tls._pem import to_pem
from rocket_tls._texts import date_text

_log = logging.getLogger("rocket_tls.certificate")

# A block, or the beginning of one in a file that is still being written.
_CRL: Final = re.compile(rb"-----BEGIN X509 CRL-----(?:[^-]*-----END X509 CRL-----)?", re.ASCII)

_SIGNING_KEYS: Final = (
    DSAPublicKey,
    EllipticCurvePublicKey,
    Ed448PublicKey,
    Ed25519PublicKey,
    RSAPublicKey,
)
"""The types of the keys that can sign."""


class Trust:
    """The CAs of clients and their revocation lists, as loaded from their files.

    It never changes: after a change of the files another one takes its place.
    """

    def __init__(self, ca: Path, crl: Path | None) -> None:
        """Load and check both files. Raises `CertificateError`."""
        self._paths = [ca] if crl is None else [ca, crl]
        self._states = self._file_states()
        self._authorities = load_certificates(
            f"client_ca file {ca}",
            read_file("client_ca file", ca),
            "the CAs of clients' certificates in PEM form",
        )
        self._lists = [] if crl is None else self._load_lists(crl)
        try:
            self.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
        except (OSError, ssl.SSLError) as error:
            raise UnreadableError(f"client_ca file {ca} cannot be handed to OpenSSL") from error

    @property
    def changed(self) -> bool:
        """Whether the files have changed since they were loaded. One call of `os.stat` each."""
        return self._file_states() != self._states

    def _file_states(self) -> list[FileState]:
        return list(map(file_state, self._paths))

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have ``context`` verify clients' certificates. Raises `ssl.SSLError`, `OSError`."""
        with memory_file(to_pem([*self._authorities, *self._lists])) as path:
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
                    "of an unknown kind; store the whole list there"
                ) from error
            if not signed:
                raise CertificateError(
                    f"client_crl file {path}: its list number {number} is not signed by a "
                    "CA of client_ca; store a list of one of these"
                )
            end = revoked.next_update_utc
            if end is not None and end < datetime.now(UTC):
                _log.warning(
                    "client_crl file %s: its list number %d expired on %s; all clients of its "
                    "CA are refused until it is replaced",
                    path,
                    number,
                    date_text(end),
                )
            lists.append(revoked)
        return lists

    def _public_keys(self) -> list[CertificateIssuerPublicKeyTypes]:
        keys = [each.public_key() for each in self._authorities]
        return [key for key in keys if isinstance(key, _SIGNING_KEYS)]
