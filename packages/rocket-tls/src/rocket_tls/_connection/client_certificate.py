"""The environ of a client's certificate."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

_COMPONENTS: Final = {
    NameOID.COUNTRY_NAME: "C",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.LOCALITY_NAME: "L",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.COMMON_NAME: "CN",
    NameOID.USER_ID: "UID",
    NameOID.EMAIL_ADDRESS: "Email",
}


def certificate_environ(der: bytes) -> dict[str, str]:
    """Return the environ of a verified certificate. Raises `ValueError` if it cannot be parsed."""
    certificate = x509.load_der_x509_certificate(der)
    found = {
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_CERT": ssl.DER_cert_to_PEM_cert(der),
        "SSL_CLIENT_M_SERIAL": f"{certificate.serial_number:X}",
    }
    found.update(_name("SSL_CLIENT_S_DN", certificate.subject))
    found.update(_name("SSL_CLIENT_I_DN", certificate.issuer))
    found.update(_alternative_names(certificate))
    return {key: value.encode().decode("latin-1") for key, value in found.items()}


def _name(key: str, name: x509.Name) -> Iterator[tuple[str, str]]:
    """Yield the whole name (RFC 4514), and the first value of each of its usual components."""
    yield key, name.rfc4514_string()
    seen = set()
    for attribute in name:
        component = _COMPONENTS.get(attribute.oid)
        if component is not None and component not in seen:
            seen.add(component)
            yield f"{key}_{component}", str(attribute.value)


def _alternative_names(certificate: x509.Certificate) -> Iterator[tuple[str, str]]:
    """Yield the subject alternative names (RFC 5280, section 4.2.1.6), numbered from 0 by kind."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError("the subject alternative names cannot be parsed") from error
    kinds: dict[str, list[str]] = {
        "Email": names.get_values_for_type(x509.RFC822Name),
        "DNS": names.get_values_for_type(x509.DNSName),
        "URI": names.get_values_for_type(x509.UniformResourceIdentifier),
        "IP": [str(each) for each in names.get_values_for_type(x509.IPAddress)],
    }
    for kind, values in kinds.items():
        for number, value in enumerate(values):
            yield f"SSL_CLIENT_SAN_{kind}_{number}", value
