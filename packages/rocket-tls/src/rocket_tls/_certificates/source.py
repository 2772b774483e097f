"""The protocols of the sources of a `CertificateStore`.

`CertificateFiles`, `CertificateDirectory`, `CertificateData` and `ACME` are sources, and so is any
other object with the methods of `Source`. A source that answers a CA in TLS handshakes also has the
methods of `HandshakeValidator`.
"""

# The annotations are objects, not strings (PEP 563), because `typing.get_type_hints` would look up
# the names of a class in the public module that its `__module__` names.

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

Password = bytes | Callable[[], bytes]
"""The password of an encrypted key, or a function that returns it each time a key is loaded."""


class PairContent(NamedTuple):
    """The content of a pair at one moment, in PEM form (RFC 7468).

    Attributes:
        certificate: the server's certificate and its chain, in any order.
        key: the private key.
        revision: the pair's `Pair.revision` of this content.
        password: the password of the key, if that is encrypted.
    """

    certificate: bytes
    key: bytes
    revision: Hashable = ()
    password: Password | None = None


class Pair(Protocol):
    """A certificate with its chain, and its private key.

    The content of a pair may change while the pair remains the same.
    """

    @property
    def identity(self) -> Hashable:
        """A value that is the same for all versions of this pair, and different for other pairs.

        By this value the store recognizes the pair when the source returns another object for it.
        """

    @property
    def certificate_name(self) -> str:
        """The name of the certificate in messages, such as ``certificate file chain.pem``."""

    @property
    def key_name(self) -> str:
        """The name of the key in messages."""

    def revision(self) -> Hashable:
        """Return a value that differs after each change of the content.

        The store calls this in the handshake of each client that the pair is chosen for. Several
        threads may do so at the same time, and they must not wait.
        """

    def read(self) -> PairContent:
        """Return the present content.

        One thread at a time calls this. Raises `CertificateError`, whose message goes to the log.
        After any error the previous content stays in service.
        """


class Source(Protocol):
    """A place that certificates come from."""

    def pairs(self) -> Sequence[Pair]:
        """Return the pairs that exist now, and none while there is no certificate yet.

        One thread at a time calls this, once a second at most, in the handshake of a client.
        Raises `CertificateError`, whose message goes to the log. After any error the pairs that
        were returned last stay in service.
        """


@runtime_checkable
class HandshakeValidator(Protocol):
    """A source that proves the control of names to a CA in handshakes (RFC 8737)."""

    def expects_validation(self) -> bool:
        """Return whether a CA may validate a name now.

        A listener calls this for each new connection, on its thread, which must not wait.
        """

    def validation_certificate(self, server_name: str) -> bytes | None:
        """Return the certificate that proves the control of a name, with its key, in PEM form.

        ``server_name`` is in lower case. None means that no validation of it is pending. Any
        thread may call this.
        """
