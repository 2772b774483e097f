"""A certificate and its private key given by code."""

# The annotations are objects, not strings (PEP 563), because `typing.get_type_hints` would look up
# the names of a class in the public module that its `__module__` names. The types of cryptography,
# which takes long to import, are strings, and their names have to be passed to `get_type_hints`.

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from rocket_tls._certificates.source import PairContent, Password
from rocket_tls._pem import key_to_pem, to_pem

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes


@dataclass(frozen=True, eq=False)
class CertificateData:
    """A certificate and its private key, as bytes in PEM form or as objects of `cryptography`.

    Attributes:
        certificate: the server's certificate and its chain.
        key: the private key.
        password: the password of the key, or a function that returns it, if that is encrypted.
    """

    certificate: bytes | Sequence["x509.Certificate"]
    key: "bytes | PrivateKeyTypes" = field(repr=False)
    password: Password | None = field(default=None, repr=False)

    certificate_name: ClassVar[str] = "certificate given by code"
    key_name: ClassVar[str] = "key given by code"

    @property
    def identity(self) -> Hashable:
        """The object itself, because its content never changes."""
        return self

    def pairs(self) -> Sequence["CertificateData"]:
        """Return this pair as the only one."""
        return (self,)

    def revision(self) -> Hashable:
        """Return the same value always."""
        return ()

    def read(self) -> PairContent:
        """Return both in PEM form."""
        certificate, key = self.certificate, self.key
        return PairContent(
            certificate if isinstance(certificate, bytes) else to_pem(certificate),
            key if isinstance(key, bytes) else key_to_pem(key),
            self.revision(),
            self.password,
        )
