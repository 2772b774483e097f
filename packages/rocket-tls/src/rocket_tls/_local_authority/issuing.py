"""Making certificates for development, and keeping them in files."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from rocket_tls._errors import CertificateError
from rocket_tls._files import replace_file
from rocket_tls._local_authority.issued_certificate import IssuedCertificate
from rocket_tls._names import canonical_name, general_name
from rocket_tls._pem import key_to_pem, to_pem

_NAME: Final = "Rocket local authority"
_ROOT_LIFE: Final = timedelta(days=3650)
_LEAF_LIFE: Final = timedelta(days=397)
"""Browsers accept no more than 398 days."""

_NEAR_EXPIRY: Final = timedelta(days=30)
_CLOCK_SKEW: Final = timedelta(hours=1)
"""The validity begins earlier by this, for clients whose clocks are slow."""

AlternativeNames = list[x509.DNSName | x509.IPAddress]
"""The names that a certificate is for."""


class KeyedCertificate(NamedTuple):
    """A certificate and its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def alternative_names(names: Iterable[str]) -> AlternativeNames:
    """Parse host names, perhaps with ``*`` as the first label, and IP addresses.

    Raises `CertificateError`.
    """
    alternatives: AlternativeNames = []
    for name in dict.fromkeys(names):
        canonical = canonical_name(name)
        if canonical is None:
            raise CertificateError(
                f"cannot issue a certificate for {name!r}; give a host name or an IP address"
            )
        alternatives.append(general_name(canonical))
    if not alternatives:
        raise CertificateError(
            "cannot issue a certificate without a name; give a host name or an IP address"
        )
    return alternatives


def file_stem(alternatives: AlternativeNames) -> str:
    """Return the beginning of the names of the files of a certificate for ``alternatives``."""
    readable = re.sub("[^A-Za-z0-9.-]", "_", str(alternatives[0].value))[:64]
    listing = "\n".join(sorted(str(each.value) for each in alternatives))
    return f"{readable}-{hashlib.sha256(listing.encode()).hexdigest()[:12]}"


# -- files -------------------------------------------------------------------------------------


def load(
    files: IssuedCertificate, issuer: x509.Certificate | None = None
) -> KeyedCertificate | None:
    """Return what is in ``files``; None if it must be made again.

    ``issuer`` is the root that must have signed it; None if it is a root.
    """
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
    return KeyedCertificate(certificate, key)


def store(files: IssuedCertificate, made: KeyedCertificate) -> None:
    """Replace what is in ``files``. Raises `OSError`."""
    # The key first: a server that finds the new certificate finds its key, too.
    replace_file(files.key, key_to_pem(made.key), mode=0o600)
    replace_file(files.certificate, to_pem([made.certificate]), mode=0o644)


# -- making ------------------------------------------------------------------------------------


def _now() -> datetime:
    return datetime.now(UTC)


def make_root() -> KeyedCertificate:
    """Make the certificate of a new CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    # A client that knows two roots of one name takes one for the other, so the name is unique.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{_NAME} {serial:x}")])
    builder = (
        _builder(name, name, key, serial)
        .not_valid_after(_now() + _ROOT_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
    )
    return KeyedCertificate(builder.sign(key, SHA256()), key)


def make_leaf(root: KeyedCertificate, alternatives: AlternativeNames) -> KeyedCertificate:
    """Make a certificate for a server, signed by ``root``."""
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
    return KeyedCertificate(builder.sign(root.key, SHA256()), key)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, serial: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(_now() - _CLOCK_SKEW)
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
