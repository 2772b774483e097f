"""What an authority that speaks ACME is given to sign, and what it validates in a handshake."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID, ObjectIdentifier

_ACME_IDENTIFIER: Final = ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_OCTET_STRING: Final = b"\x04\x20"
"""Tag and length of a digest by SHA-256 (X.690, section 8.7)."""
_LIFE: Final = timedelta(days=1)


def identifier(name: str) -> dict[str, str]:
    """A name or address as orders have it (RFC 8555, section 9.7.7; RFC 8738, section 3)."""
    kind = "dns" if isinstance(_alternative(name), x509.DNSName) else "ip"
    return {"type": kind, "value": name}


def validation_name(name: str) -> str:
    """What the authority asks for by SNI (RFC 8737, section 3; RFC 8738, section 6)."""
    alternative = _alternative(name)
    if isinstance(alternative, x509.IPAddress):
        return ipaddress.ip_address(name).reverse_pointer
    return name


def make_request(key: ec.EllipticCurvePrivateKey, names: tuple[str, ...]) -> bytes:
    """A request for a certificate for ``names`` in DER form (RFC 2986)."""
    alternatives = x509.SubjectAlternativeName([_alternative(each) for each in names])
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return (
        builder.add_extension(alternatives, critical=False)
        .sign(key, SHA256())
        .public_bytes(Encoding.DER)
    )


def make_validation(name: str, key_authorization: str) -> bytes:
    """The certificate, with its key, that shows the control of a name (RFC 8737, section 3)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ACME validation")])
    digest = hashlib.sha256(key_authorization.encode("ascii")).digest()
    proof = x509.UnrecognizedExtension(_ACME_IDENTIFIER, _OCTET_STRING + digest)
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _LIFE)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.SubjectAlternativeName([_alternative(name)]), critical=False)
        .add_extension(proof, critical=True)
        .sign(key, SHA256())
    )
    return certificate.public_bytes(Encoding.PEM) + pem_of(key)


def pem_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key in PEM form."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def certificate_id(certificate: x509.Certificate) -> str | None:
    """By which its authority is asked about a certificate (RFC 9773, section 4.1), if at all."""
    try:
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return None
    if issuer.key_identifier is None:
        return None
    serial = certificate.serial_number
    # An INTEGER of DER has a sign, so one bit more.
    content = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    return f"{base64url(issuer.key_identifier)}.{base64url(content)}"


def base64url(data: bytes) -> str:
    """As JSON Web Signatures have it (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _alternative(name: str) -> x509.DNSName | x509.IPAddress:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
