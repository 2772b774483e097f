"""The environ of a TLS connection, with the names of Apache's mod_ssl."""

from __future__ import annotations

import ssl

from rocket_tls._context.server_side import ServerSide


def tls_environ(tls: ssl.SSLObject, version: str) -> dict[str, str]:
    """Return the environ of a connection that has completed its handshake, in ``version`` of TLS.

    Text that is not ASCII is UTF-8, each byte as one character, as PEP 3333 has it. Raises
    `ValueError` if the client's certificate cannot be parsed.
    """
    cipher = tls.cipher()
    found = {
        "SSL_PROTOCOL": version,
        "SSL_CIPHER": cipher[0] if cipher else "",
        "SSL_CLIENT_VERIFY": "NONE",
    }
    name = tls.server_name if isinstance(tls, ServerSide) else None
    if name is not None:
        found["SSL_TLS_SNI"] = name
    # OpenSSL has verified a certificate that it returns, or the handshake has failed. Without
    # mutual TLS there is none.
    der = tls.getpeercert(binary_form=True)
    if der is not None:
        from rocket_tls._connection.client_certificate import certificate_environ

        found |= certificate_environ(der)
    return found
