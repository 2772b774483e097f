"""What applications are told of a TLS connection, under the names of Apache's mod_ssl."""

from __future__ import annotations

import ssl

from rocket_tls._context.contexts import ServerSide


def describe(tls: ssl.SSLObject) -> dict[str, str]:
    """Of a connection after its handshake.

    Text that is not ASCII is in UTF-8, as the bytes that PEP 3333 has strings stand for. Raises
    `ValueError` when the client's certificate cannot be read.
    """
    cipher = tls.cipher()
    found = {
        "SSL_PROTOCOL": tls.version() or "",
        "SSL_CIPHER": cipher[0] if cipher else "",
        "SSL_CLIENT_VERIFY": "NONE",
    }
    name = tls.server_name if isinstance(tls, ServerSide) else None
    if name is not None:
        found["SSL_TLS_SNI"] = name
    if tls.context.verify_mode is ssl.CERT_NONE:
        return found
    # What OpenSSL could not verify has failed the handshake.
    der = tls.getpeercert(binary_form=True)
    if der is not None:
        from rocket_tls._connection.client_certificate import describe_certificate

        found |= describe_certificate(der)
    return found
