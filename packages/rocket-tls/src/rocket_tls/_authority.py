"""Certificates for development, from a certificate authority in a directory."""

from __future__ import annotations

import fcntl
import hashlib
import ipaddress
import os
import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rocket_tls._errors import CertificateError

_NAME: Final = "Rocket local authority"
_ROOT_LIFE: Final = timedelta(days=3650)
_LEAF_LIFE: Final = timedelta(days=397)  # browsers accept no more than 398 days
_NEAR_EXPIRY: Final = timedelta(days=30)
_CLOCKS_DIFFER: Final = timedelta(hours=1)

_HOST_NAME: Final = re.compile(
    r"(?=.{1,253}$)(?:\*\.)?(?:[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)"
    r"(?:\.[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9])?)*",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """The files of a certificate that a `LocalAuthority` has issued.

    Attributes:
        certificate: the server's certificate, in PEM form.
        key: its private key, in PEM form, readable by its owner alone.
    """

    certificate: Path
    key: Path


class _Pair(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


class LocalAuthority:
    """A certificate authority for one's own machine.

    Clients that trust its root certificate trust every certificate it issues. Keys are of the curve
    P-256. What was made before is used again, and made anew within 30 days of its expiry: the root
    after ten years, others after 397 days. Several processes may share a directory.
    """

    def __init__(self, directory: Path) -> None:
        """Open the authority kept in ``directory``, or make one there.

        A directory that does not exist is made, for its owner alone. Raises `CertificateError` when
        it cannot be written to.
        """
        self._directory = directory
        self._root = IssuedCertificate(directory / "root.pem", directory / "root-key.pem")
        with self._locked():
            self._open_root()

    @property
    def certificate(self) -> Path:
        """The root certificate, in PEM form, for clients to trust."""
        return self._root.certificate

    def issue(self, names: Iterable[str]) -> IssuedCertificate:
        """A certificate for ``names``: host names, ``*.`` and a host name, and IP addresses.

        Raises `CertificateError` for anything else, and when the directory cannot be written to.
        """
        alternatives = _alternatives(names)
        readable = re.sub("[^A-Za-z0-9.-]", "_", str(alternatives[0].value))[:64]
        listing = "\n".join(sorted(str(each.value) for each in alternatives))
        stem = f"{readable}-{hashlib.sha256(listing.encode()).hexdigest()[:12]}"
        issued = IssuedCertificate(
            self._directory / f"{stem}.pem", self._directory / f"{stem}-key.pem"
        )
        with self._locked():
            root = self._open_root()
            if _stored(issued, root.certificate) is None:
                _store(issued, _make_leaf(root, alternatives))
        return issued

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes out, and explain what the system refuses."""
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self._directory, os.O_RDONLY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield
            finally:
                os.close(descriptor)
        except OSError as error:
            raise CertificateError(
                f"cannot keep certificates in {self._directory} ({error.strerror}); "
                "name a directory that this user may write to"
            ) from error

    def _open_root(self) -> _Pair:
        pair = _stored(self._root)
        if pair is None:
            pair = _make_root()
            _store(self._root, pair)
        return pair


def _alternatives(names: Iterable[str]) -> list[x509.DNSName | x509.IPAddress]:
    alternatives: list[x509.DNSName | x509.IPAddress] = []
    for name in dict.fromkeys(names):
        try:
            alternatives.append(x509.IPAddress(ipaddress.ip_address(name)))
            continue
        except ValueError:
            host = name.lower()
        with suppress(UnicodeError):
            host = host if host.isascii() else host.encode("idna").decode()
        if not _HOST_NAME.fullmatch(host):
            raise CertificateError(
                f"cannot issue a certificate for {name!r}; give a host name or an IP address"
            )
        alternatives.append(x509.DNSName(host))
    if not alternatives:
        raise CertificateError(
            "cannot issue a certificate for no name; give a host name or an IP address"
        )
    return alternatives


# -- storing -----------------------------------------------------------------------------------


def _stored(files: IssuedCertificate, issuer: x509.Certificate | None = None) -> _Pair | None:
    """What is in ``files``; None when it must be made anew. ``issuer`` None: it is a root."""
    try:
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
        key = load_pem_private_key(files.key.read_bytes(), password=None)
        certificate.verify_directly_issued_by(certificate if issuer is None else issuer)
    except (FileNotFoundError, ValueError, TypeError, InvalidSignature):
        return None
    if (
        not isinstance(key, ec.EllipticCurvePrivateKey)
        or key.public_key() != certificate.public_key()
        or certificate.not_valid_after_utc - _now() < _NEAR_EXPIRY
    ):
        return None
    return _Pair(certificate, key)


def _store(files: IssuedCertificate, pair: _Pair) -> None:
    # The key first: who finds a new certificate finds its key.
    _replace(
        files.key,
        pair.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        mode=0o600,
    )
    _replace(files.certificate, pair.certificate.public_bytes(Encoding.PEM), mode=0o644)


def _replace(path: Path, content: bytes, *, mode: int) -> None:
    """Write a file that others see either whole or not at all."""
    descriptor, name = tempfile.mkstemp(prefix=".", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink()
        raise


# -- making ------------------------------------------------------------------------------------


def _now() -> datetime:
    return datetime.now(UTC)


def _make_root() -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # Two roots of one name would be taken for each other.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{_NAME} {serial:x}")])
    builder = (
        _builder(name, name, key, serial)
        .not_valid_after(_now() + _ROOT_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return _Pair(builder.sign(key, SHA256()), key)


def _make_leaf(root: _Pair, alternatives: list[x509.DNSName | x509.IPAddress]) -> _Pair:
    key = ec.generate_private_key(ec.SECP256R1())
    issuer = root.certificate
    end = min(_now() + _LEAF_LIFE, issuer.not_valid_after_utc)
    subject = x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, _NAME)])
    issuer_key = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    builder = (
        _builder(subject, issuer.subject, key, x509.random_serial_number())
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key),
            critical=False,
        )
    )
    return _Pair(builder.sign(root.key, SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, serial: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(_now() - _CLOCKS_DIFFER)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
