"""SSL contexts: the settings of the server's side, with a certificate."""

from __future__ import annotations

import ssl
from pathlib import Path

from rocket_tls._errors import CertificateError, UnreadableError
from rocket_tls._files import CertificateFiles
from rocket_tls._validation import validate


def load_context(certificate: Path, key: Path | None = None) -> ssl.SSLContext:
    """A context that serves a certificate.

    TLS 1.2 or 1.3, with the ciphers of this Python; neither compression nor renegotiation (RFC
    9325, sections 3.3 and 3.5); HTTP/1.1 by ALPN (RFC 7301).

    Args:
        certificate: a PEM file with the server's certificate, followed by its chain.
        key: a PEM file with its private key; None: it is in the file ``certificate``.

    Raises:
        CertificateError: they cannot be used.
    """
    return context_for(CertificateFiles(certificate, certificate if key is None else key))


def context_for(files: CertificateFiles) -> ssl.SSLContext:
    """As `load_context`."""
    validate(files, files.read())
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    try:
        # The files are read once more here, and may have changed. An empty passphrase keeps OpenSSL
        # from asking for one on the terminal.
        context.load_cert_chain(files.certificate, files.key, password="")
    except ssl.SSLError as error:
        reason = error.reason.lower().replace("_", " ") if error.reason else "no reason given"
        raise CertificateError(
            f"certificate file {files.certificate} with key file {files.key} is refused by "
            f"OpenSSL ({reason}); have the certificate issued anew"
        ) from error
    except OSError as error:
        raise UnreadableError(
            f"certificate file {files.certificate} or key file {files.key} cannot be read "
            f"({error.strerror}); name PEM files that this user may read"
        ) from error
    return context
