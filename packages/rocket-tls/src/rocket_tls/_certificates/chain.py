"""A certificate with its chain and its key, checked and ready for service."""

# The annotations are objects, not strings (PEP 563), because `typing.get_type_hints` would look up
# the names of a class in the public module that its `__module__` names. The types of cryptography,
# which takes long to import, are strings, and their names have to be passed to `get_type_hints`.

import ssl
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from rocket_tls._errors import CertificateError, UnreadableError
from rocket_tls._files import memory_file

if TYPE_CHECKING:
    from cryptography import x509


@dataclass(frozen=True, eq=False, slots=True)
class CertificateChain:
    """A certificate that is in service, or could be.

    Attributes:
        source: what messages call the certificate, such as ``certificate file chain.pem``.
        certificates: the server's certificate, followed by its chain.
        names: the host names (in lower case, perhaps with ``*`` as the first label) and the IP
            addresses that the certificate is for.
        not_before: the beginning of its validity, in UTC.
        expires: the end of its validity, in UTC.
    """

    source: str
    certificates: tuple["x509.Certificate", ...] = field(repr=False)
    names: frozenset[str]
    not_before: datetime
    expires: datetime
    _pem: bytes = field(repr=False)
    _password: bytes = field(repr=False)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Make ``context`` serve this certificate. Raises `CertificateError`."""
        try:
            with memory_file(self._pem) as path:
                context.load_cert_chain(path, password=self._password)
        except ssl.SSLError as error:
            reason = error.reason.lower().replace("_", " ") if error.reason else "no reason given"
            raise CertificateError(
                f"{self.source} is refused by OpenSSL ({reason}); "
                "replace the certificate and its key"
            ) from error
        except OSError as error:
            raise UnreadableError(
                f"{self.source} cannot be handed to OpenSSL ({error.strerror}); "
                "make a directory for temporary files that this user may write to"
            ) from error
