"""The certificate requests and validation certificates of ACME."""

from __future__ import annotations

import base64
import hashlib
import ipaddress
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID, ObjectIdentifier

from rocket_tls._names import general_name
from rocket_tls._pem import key_to_pem, to_pem

_ACME_IDENTIFIER: Final = ObjectIdentifier("1.3.6.1.5.5.7.1.31")
_OCTET_STRING: Final = b"\x04\x20"
"""The tag and the length of a SHA-256 digest (X.690, section 8.7)."""
_LIFE: Final = timedelta(days=1)


def identifier(name: str) -> dict[str, str]:
    """Return a name as an order has it (RFC 8555, section 9.7.7; RFC 8738, section 3)."""
    kind = "dns" if isinstance(general_name(name), x509.DNSName) else "ip"
    return {"type": kind, "value": name}


def validation_name(name: str) -> str:
    """Return the SNI with which the CA validates a name.

    (RFC 8737, section 3; RFC 8738, section 6)
    """
    if isinstance(general_name(name), x509.IPAddress):
        return ipaddress.ip_address(name).reverse_pointer
    return name


def make_request(key: ec.EllipticCurvePrivateKey, names: tuple[str, ...]) -> bytes:
    """Return a certificate signing request for ``names``, in DER form (RFC 2986)."""
    alternatives = x509.SubjectAlternativeName(map(general_name, names))
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return (
        builder.add_extension(alternatives, critical=False)
        .sign(key, SHA256())
        .public_bytes(Encoding.DER)
    )


def make_validation(name: str, key_authorization: str) -> bytes:
    """Return a certificate that proves the control of a name, with its key, in PEM form.

    (RFC 8737, section 3)
    """
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
        .add_extension(x509.SubjectAlternativeName([general_name(name)]), critical=False)
        .add_extension(proof, critical=True)
        .sign(key, SHA256())
    )
    return to_pem([certificate]) + key_to_pem(key)


def certificate_id(certificate: x509.Certificate) -> str | None:
    """Return the identifier of a certificate for its CA (RFC 9773, section 4.1).

    None means that the certificate does not name the key of its issuer, and so has none.
    """
    try:
        issuer = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return None
    if issuer.key_identifier is None:
        return None
    serial = certificate.serial_number
    # An INTEGER of DER has a sign, and so one bit more.
    content = serial.to_bytes(serial.bit_length() // 8 + 1, "big")
    return f"{base64url(issuer.key_identifier)}.{base64url(content)}"


def base64url(data: bytes) -> str:
    """Return base64url without padding, as JSON Web Signatures have it (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
