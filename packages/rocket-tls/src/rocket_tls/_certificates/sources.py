"""Where certificates come from: files, directories of files, and code."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, TypeAlias

from rocket_tls._errors import CertificateError, UnreadableError

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from rocket_tls._acme.acme import ACME

Password = bytes | Callable[[], bytes]
"""The password of an encrypted key, or what returns it whenever the key is loaded."""

Signature = tuple[tuple[int, ...] | None, ...]
"""What changes whenever one of the files is replaced or written to."""

_ATTEMPTS: Final = 5


class Content(NamedTuple):
    """A certificate with its chain, and its key, in PEM form (RFC 7468)."""

    certificate: bytes
    key: bytes
    signature: Signature = ()


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate and its private key in files, in PEM form.

    Attributes:
        certificate: the file with the server's certificate and its chain.
        key: the file with its private key; None: it is in the same file.
        password: of the key, where it is encrypted.
    """

    certificate: Path
    key: Path | None = None
    password: Password | None = field(default=None, repr=False)

    @property
    def key_file(self) -> Path:
        """The file that the key is in."""
        return self.certificate if self.key is None else self.key

    @property
    def certificate_name(self) -> str:
        """What messages call the certificate."""
        return f"certificate file {self.certificate}"

    @property
    def key_name(self) -> str:
        """What messages call the key."""
        return f"key file {self.key_file}"

    def members(self) -> Sequence[CertificateFiles]:
        """Itself."""
        return (self,)

    def signature(self) -> Signature:
        """Two calls of `os.stat`: cheap enough for each new connection."""
        if self.key is None:
            return (signature_of(self.certificate),)
        return (signature_of(self.certificate), signature_of(self.key))

    def read(self) -> Content:
        """Read both files, of one state. Raises `CertificateError`."""
        before = self.signature()
        for _ in range(_ATTEMPTS):
            certificate = read_file("certificate file", self.certificate)
            key = certificate if self.key is None else read_file("key file", self.key)
            after = self.signature()
            if after == before:
                return Content(certificate, key, before)
            before = after  # replaced meanwhile: the one may be old and the other new
        raise UnreadableError(f"{self.certificate_name} changes while it is read; let it rest")


@dataclass(frozen=True, eq=False)
class CertificateData:
    """A certificate and its private key given by code, as bytes in PEM form or as objects.

    Attributes:
        certificate: the server's certificate and its chain.
        key: its private key.
        password: of the key, where it is encrypted.
    """

    certificate: bytes | Sequence[x509.Certificate]
    key: bytes | PrivateKeyTypes = field(repr=False)
    password: Password | None = field(default=None, repr=False)

    certificate_name: ClassVar = "certificate given by code"
    key_name: ClassVar = "key given by code"

    def members(self) -> Sequence[CertificateData]:
        """Itself."""
        return (self,)

    def signature(self) -> Signature:
        """Always the same."""
        return ()

    def read(self) -> Content:
        """Both in PEM form."""
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            NoEncryption,
            PrivateFormat,
        )

        certificate = self.certificate
        if not isinstance(certificate, bytes):
            certificate = b"".join(each.public_bytes(Encoding.PEM) for each in certificate)
        key = self.key
        if not isinstance(key, bytes):
            key = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Content(certificate, key)


@dataclass(frozen=True, slots=True)
class CertificateDirectory:
    """The certificates in a directory, each with its key, in PEM form.

    A pair is ``NAME.crt`` and ``NAME.key``; ``NAME.pem`` and ``NAME-key.pem``; ``NAME.pem`` that
    holds both; or, in a directory ``NAME`` within it, ``fullchain.pem`` and ``privkey.pem`` or
    ``tls.crt`` and ``tls.key``. A directory with a ``fullchain.pem`` itself is that of one pair.
    Names that begin with a dot are left out. Pairs that come, change or go are noticed.

    Attributes:
        path: the directory.
        password: of the keys that are encrypted.
    """

    path: Path
    password: Password | None = field(default=None, repr=False)

    def members(self) -> Sequence[CertificateFiles]:
        """The pairs, in the order of their names. Raises `CertificateError` when there is none."""
        try:
            paths = sorted(each for each in self.path.iterdir() if each.name[0] != ".")
            if self.path / "fullchain.pem" in paths:
                found = self._within(self.path)  # among copies of its parts
            else:
                found = [pair for path in paths for pair in self._pairs(path)]
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

    def _pairs(self, path: Path) -> list[CertificateFiles]:
        if path.suffix == ".crt":
            return [self._pair(path, path.with_suffix(".key"))]
        if path.suffix == ".pem" and not path.stem.endswith("-key"):
            return [self._pair(path, path.with_name(f"{path.stem}-key.pem"))]
        return self._within(path)

    def _within(self, path: Path) -> list[CertificateFiles]:
        inner = (("fullchain.pem", "privkey.pem"), ("tls.crt", "tls.key"))
        return [
            self._pair(path / certificate, path / key)
            for certificate, key in inner
            if (path / certificate).exists()
        ]

    def _pair(self, certificate: Path, key: Path) -> CertificateFiles:
        both = certificate.suffix == ".pem" and not key.exists()
        return CertificateFiles(certificate, None if both else key, self.password)


Source: TypeAlias = "CertificateFiles | CertificateData | CertificateDirectory | ACME"
"""What a `CertificateStore` is made of."""

Pair = CertificateFiles | CertificateData
"""One certificate with its key."""


def password_of(pair: Pair) -> bytes | None:
    """The password of the pair's key, asked for anew. Raises `CertificateError`."""
    if pair.password is None or isinstance(pair.password, bytes):
        return pair.password
    try:
        return pair.password()
    except Exception as error:  # whatever the callback does, the message must name the key
        raise CertificateError(
            f"the password of {pair.key_name} cannot be had ({error}); mend the callback"
        ) from error


def signature_of(path: Path) -> tuple[int, ...] | None:
    """What changes whenever the file does; None when there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    # The time of the last change of status also tells of permissions that were put right, and of
    # tools that set the time of modification back.
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def read_file(kind: str, path: Path) -> bytes:
    """The content of a file that messages call ``kind``. Raises `UnreadableError`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(
            f"{kind} {path} cannot be read ({error.strerror}); "
            "name a PEM file that this user may read"
        ) from error
