"""A directory of certificates with their private keys."""

# The annotations are objects, not strings (PEP 563), because `typing.get_type_hints` would look up
# the names of a class in the public module that its `__module__` names.

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rocket_tls._certificates.certificate_files import CertificateFiles
from rocket_tls._certificates.source import Password
from rocket_tls._errors import UnreadableError

_FULL_CHAIN: Final = "fullchain.pem"

_PAIRS_OF_A_DIRECTORY: Final = (
    (_FULL_CHAIN, "privkey.pem"),  # certbot
    ("tls.crt", "tls.key"),  # Kubernetes
)
"""The names of a certificate and its key in a directory that has one pair."""


@dataclass(frozen=True, slots=True)
class CertificateDirectory:
    """The certificates in a directory, each with its key, in PEM form.

    A pair is ``NAME.crt`` and ``NAME.key``; ``NAME.pem`` and ``NAME-key.pem``; ``NAME.pem`` that
    holds both; or, in a directory ``NAME`` within it, ``fullchain.pem`` and ``privkey.pem`` or
    ``tls.crt`` and ``tls.key``. A directory with a file ``fullchain.pem`` has one pair. Names that
    begin with a dot are ignored. The store notices pairs that appear, change or disappear.

    Attributes:
        path: the directory.
        password: the password of the keys that are encrypted, or a function that returns it.
    """

    path: Path
    password: Password | None = field(default=None, repr=False)

    def pairs(self) -> Sequence[CertificateFiles]:
        """Return the pairs in the order of their names. Raises `CertificateError` without any."""
        try:
            paths = sorted(each for each in self.path.iterdir() if each.name[0] != ".")
            if self.path / _FULL_CHAIN in paths:
                found = self._within(self.path)  # the other files are copies of its parts
            else:
                found = [pair for path in paths for pair in self._pairs_of(path)]
        except OSError as error:
            raise UnreadableError(
                f"certificate directory {self.path} cannot be read ({error.strerror}); "
                "name a directory that this user may read"
            ) from error
        if not found:
            raise UnreadableError(
                f"certificate directory {self.path} holds no certificate; "
                "store one there, as NAME.crt with its key NAME.key"
            )
        return found

    def _pairs_of(self, path: Path) -> list[CertificateFiles]:
        if path.suffix == ".crt":
            return [self._pair(path, path.with_suffix(".key"))]
        if path.suffix == ".pem" and not path.stem.endswith("-key"):
            return [self._pair(path, path.with_name(f"{path.stem}-key.pem"))]
        return self._within(path)

    def _within(self, path: Path) -> list[CertificateFiles]:
        return [
            self._pair(path / certificate, path / key)
            for certificate, key in _PAIRS_OF_A_DIRECTORY
            if (path / certificate).exists()
        ]

    def _pair(self, certificate: Path, key: Path) -> CertificateFiles:
        both = certificate.suffix == ".pem" and not key.exists()
        return CertificateFiles(certificate, None if both else key, self.password)
