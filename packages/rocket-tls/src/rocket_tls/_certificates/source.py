"""What a `CertificateStore` asks of the sources of its certificates.

`CertificateFiles`, `CertificateDirectory`, `CertificateData` and `ACME` are sources, and so is any
other object with the methods of `Source`. A source for which CAs validate names within TLS
handshakes has those of `HandshakeValidator`, too.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import NamedTuple, Protocol, runtime_checkable

Password = bytes | Callable[[], bytes]
"""The password of an encrypted key, or a function that returns it each time a key is loaded."""


class PairContent(NamedTuple):
    """What was read from a pair, in PEM form (RFC 7468).

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

    The content may change, and the pair remains the same.
    """

    @property
    def identity(self) -> Hashable:
        """What this pair has in common with its later versions, and with no other pair.

        A source that makes new objects each time is understood by this.
        """

    @property
    def certificate_name(self) -> str:
        """What messages call the certificate, such as ``certificate file /etc/tls/chain.pem``."""

    @property
    def key_name(self) -> str:
        """What messages call the key."""

    def revision(self) -> Hashable:
        """Return a value that differs after each change of the content.

        This is called in the handshake of each client that the pair is chosen for, by any thread
        and by several at once, so it must not wait.
        """

    def read(self) -> PairContent:
        """Return the content; one thread of the store at a time calls this.

        Raises `CertificateError`, whose message goes to the log; whatever it raises, the content
        in service stays.
        """


class Source(Protocol):
    """A place that certificates come from."""

    def pairs(self) -> Sequence[Pair]:
        """Return the pairs there are at present; none at all while there is no certificate yet.

        One thread of the store at a time calls this, once a second at most and while clients
        wait. Raises `CertificateError`, whose message goes to the log; whatever it raises, the
        pairs that were returned last stay in service.
        """


@runtime_checkable
class HandshakeValidator(Protocol):
    """A source that proves the control of names to a CA in handshakes (RFC 8737)."""

    def expects_validation(self) -> bool:
        """Return whether a CA may validate a name now.

        This is called for each new connection, by any thread, so it must not wait.
        """

    def validation_certificate(self, server_name: str) -> bytes | None:
        """Return the certificate that proves the control of a name, with its key, in PEM form.

        ``server_name`` is in lower case. None means that no validation of it is pending. Any
        thread may call this.
        """
