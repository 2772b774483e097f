"""What applications are told of a TLS connection, under the names of Apache's mod_ssl."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Final

from cryptography import x509
from cryptography.x509.oid import NameOID

from rocket_tls._contexts import ServerSocket

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


def describe(sock: ssl.SSLSocket) -> dict[str, str]:
    """Of a connection after its handshake.

    Text that is not ASCII is in UTF-8, as the bytes that PEP 3333 has strings stand for. Raises
    `ValueError` when the client's certificate cannot be read.
    """
    cipher = sock.cipher()
    found = {
        "SSL_PROTOCOL": sock.version() or "",
        "SSL_CIPHER": cipher[0] if cipher else "",
        "SSL_CLIENT_VERIFY": "NONE",
    }
    name = sock.server_name if isinstance(sock, ServerSocket) else None
    if name is not None:
        found["SSL_TLS_SNI"] = name
    if sock.context.verify_mode is ssl.CERT_NONE:
        return found
    # What OpenSSL could not verify has failed the handshake.
    der = sock.getpeercert(binary_form=True)
    if der is not None:
        found |= _certificate(der)
    return found


def _certificate(der: bytes) -> dict[str, str]:
    certificate = x509.load_der_x509_certificate(der)
    found = {
        "SSL_CLIENT_VERIFY": "SUCCESS",
        "SSL_CLIENT_CERT": ssl.DER_cert_to_PEM_cert(der),
        "SSL_CLIENT_M_SERIAL": f"{certificate.serial_number:X}",
    }
    found.update(_name("SSL_CLIENT_S_DN", certificate.subject))
    found.update(_name("SSL_CLIENT_I_DN", certificate.issuer))
    found.update(_alternatives(certificate))
    return {key: value.encode().decode("latin-1") for key, value in found.items()}


def _name(key: str, name: x509.Name) -> Iterator[tuple[str, str]]:
    """The whole name (RFC 4514), and the first value of each of its usual components."""
    yield key, name.rfc4514_string()
    seen = set()
    for attribute in name:
        component = _COMPONENTS.get(attribute.oid)
        if component is not None and component not in seen:
            seen.add(component)
            yield f"{key}_{component}", str(attribute.value)


def _alternatives(certificate: x509.Certificate) -> Iterator[tuple[str, str]]:
    """The subject's alternative names (RFC 5280, section 4.2.1.6), numbered from 0 by kind."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return
    except (x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise ValueError("extensions that cannot be read") from error
    kinds: dict[str, list[str]] = {
        "Email": names.get_values_for_type(x509.RFC822Name),
        "DNS": names.get_values_for_type(x509.DNSName),
        "URI": names.get_values_for_type(x509.UniformResourceIdentifier),
        "IP": [str(each) for each in names.get_values_for_type(x509.IPAddress)],
    }
    for kind, values in kinds.items():
        for number, value in enumerate(values):
            yield f"SSL_CLIENT_SAN_{kind}_{number}", value
