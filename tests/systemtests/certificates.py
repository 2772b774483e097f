"""A certificate authority for the tests, and a server certificate that it signed."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """PEM files: the authority, and a certificate for 127.0.0.1 with its key."""

    ca: Path
    cert: Path
    key: Path

    @classmethod
    def create(cls, folder: Path, kind: trustme.KeyType = trustme.KeyType.ECDSA) -> Self:
        """Make new ones in `folder`, with a key of the server of this kind."""
        files = cls(folder / "ca.pem", folder / "cert.pem", folder / "key.pem")
        authority = trustme.CA()
        server = authority.issue_cert("127.0.0.1", key_type=kind)
        authority.cert_pem.write_to_path(files.ca)
        for blob in server.cert_chain_pems:
            blob.write_to_path(files.cert, append=True)
        server.private_key_pem.write_to_path(files.key)
        return files

    @property
    def trusted_by_chromium(self) -> str:
        """The option with which Chromium accepts the certificate."""
        certificate = x509.load_pem_x509_certificate(self.cert.read_bytes())
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        digest = base64.b64encode(hashlib.sha256(key).digest()).decode()
        return f"--ignore-certificate-errors-spki-list={digest}"

    @property
    def options(self) -> list[str]:
        """What `rocket-cli serve` needs in order to serve HTTPS on a free port."""
        files = ["--tls-cert", str(self.cert), "--tls-key", str(self.key)]
        return ["--bind", "https://127.0.0.1:0", *files]
