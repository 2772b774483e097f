"""A certificate with its chain and its key, checked, ready to be served."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from rocket_tls._context.memory_file import readable
from rocket_tls._errors import CertificateError, UnreadableError

if TYPE_CHECKING:
    from cryptography import x509


@dataclass(frozen=True, eq=False, slots=True)
class CertificateChain:
    """A certificate that is, or can be, in service.

    Attributes:
        source: where it comes from, as messages name it.
        certificates: the server's certificate, followed by its chain.
        names: the host names (in lower case, ``*.`` and a host name among them) and IP addresses
            that it is for.
        not_before: when it becomes valid.
        expires: when it ceases to be.
    """

    source: str
    certificates: tuple[x509.Certificate, ...] = field(repr=False)
    names: frozenset[str]
    not_before: datetime
    expires: datetime
    _pem: bytes = field(repr=False)
    _password: bytes = field(repr=False)

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have ``context`` serve it. Raises `CertificateError`."""
        try:
            with readable(self._pem) as path:
                context.load_cert_chain(path, password=self._password)
        except ssl.SSLError as error:
            reason = error.reason.lower().replace("_", " ") if error.reason else "no reason given"
            raise CertificateError(
                f"{self.source} is refused by OpenSSL ({reason}); have the certificate issued anew"
            ) from error
        except OSError as error:
            raise UnreadableError(
                f"{self.source} cannot be handed to OpenSSL ({error.strerror}); "
                "a file for this process alone must be possible"
            ) from error
