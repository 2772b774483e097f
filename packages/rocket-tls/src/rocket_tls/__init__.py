"""TLS for servers made with rocket-core.

A `TLSListener` takes the place of a `Listener`; nothing else changes::

    listener = TLSListener("0.0.0.0:443", Path("fullchain.pem"), Path("privkey.pem"))
    with Server(Shout, [listener]) as server:
        server.wait()
"""

from rocket_tls._authority import IssuedCertificate, LocalAuthority
from rocket_tls._connection import TLSConnection
from rocket_tls._context import load_context
from rocket_tls._errors import CertificateError, TLSError
from rocket_tls._listener import TLSListener
from rocket_tls._version import __version__

__all__ = [
    "CertificateError",
    "IssuedCertificate",
    "LocalAuthority",
    "TLSConnection",
    "TLSError",
    "TLSListener",
    "__version__",
    "load_context",
]
