"""The files of a certificate of the local authority."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """The files of a certificate that a `LocalAuthority` has issued.

    Attributes:
        certificate: the file with the server's certificate, in PEM form.
        key: the file with its private key, in PEM form; only its owner can read it.
    """

    certificate: Path
    key: Path
