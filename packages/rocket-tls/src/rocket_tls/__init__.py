"""TLS for servers made with rocket-core.

A `TLSListener` takes the place of a `Listener`; nothing else changes::

    listener = TLSListener("0.0.0.0:443", Path("fullchain.pem"), Path("privkey.pem"))
    with Server(Shout, [listener]) as server:
        server.wait()
"""

from rocket_tls._acme.acme import ACME
from rocket_tls._acme.settings import LETS_ENCRYPT, Challenge
from rocket_tls._acme.status import ACMEStatus
from rocket_tls._certificates.certificate_data import CertificateData
from rocket_tls._certificates.certificate_directory import CertificateDirectory
from rocket_tls._certificates.certificate_files import CertificateFiles
from rocket_tls._certificates.chain import CertificateChain
from rocket_tls._certificates.source import HandshakeValidator, Pair, PairContent, Source
from rocket_tls._certificates.store import CertificateStore
from rocket_tls._context.settings import ClientCertificates, Profile, TLSSettings
from rocket_tls._errors import ACMEError, CertificateError, TLSError
from rocket_tls._listener import TLSListener
from rocket_tls._local_authority.issued_certificate import IssuedCertificate
from rocket_tls._local_authority.local_authority import LocalAuthority
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
    "HandshakeValidator",
    "IssuedCertificate",
    "LocalAuthority",
    "Pair",
    "PairContent",
    "Profile",
    "Source",
    "TLSError",
    "TLSListener",
    "TLSSettings",
    "__version__",
]

for _name in __all__:
    if isinstance(globals()[_name], type):
        globals()[_name].__module__ = __name__
del _name
