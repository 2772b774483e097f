"""TLS for servers made with rocket-core.

A `TLSListener` takes the place of a `Listener`; nothing else changes::

    listener = TLSListener("0.0.0.0:443", Path("fullchain.pem"), Path("privkey.pem"))
    with Server(Shout, [listener]) as server:
        server.wait()
"""

from rocket_tls._acme.acme import ACME, ACMEStatus
from rocket_tls._acme.settings import LETS_ENCRYPT, Challenge
from rocket_tls._certificates.chain import CertificateChain
from rocket_tls._certificates.local_authority import IssuedCertificate, LocalAuthority
from rocket_tls._certificates.sources import CertificateData, CertificateDirectory, CertificateFiles
from rocket_tls._certificates.store import CertificateStore
from rocket_tls._connection.connection import TLSConnection
from rocket_tls._context.contexts import load_context
from rocket_tls._context.settings import ClientCertificates, Profile, TLSSettings
from rocket_tls._errors import ACMEError, CertificateError, TLSError
from rocket_tls._listener import TLSListener
from rocket_tls._version import __version__

__all__ = [
    "ACME",
    "LETS_ENCRYPT",
    "ACMEError",
    "ACMEStatus",
    "CertificateChain",
    "CertificateData",
    "CertificateDirectory",
    "CertificateError",
    "CertificateFiles",
    "CertificateStore",
    "Challenge",
    "ClientCertificates",
    "IssuedCertificate",
    "LocalAuthority",
    "Profile",
    "TLSConnection",
    "TLSError",
    "TLSListener",
    "TLSSettings",
    "__version__",
    "load_context",
]
