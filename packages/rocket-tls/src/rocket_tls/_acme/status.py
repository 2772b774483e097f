"""The state of a certificate that an `ACME` obtains."""

# The annotations are objects, not strings (PEP 563), because `typing.get_type_hints` would look up
# the names of a class in the public module that its `__module__` names.

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ACMEStatus:
    """The result of the work of all processes that share the directory of an `ACME`.

    Attributes:
        expires: the end of the certificate's validity; None if there is no certificate.
        renews: when it is to be renewed; None if that is due at once, or not known yet.
        failures: how many attempts in a row to obtain a certificate have failed.
        error: the message of the last failure; empty without one.
        retries: when the next attempt after that is due.
    """

    expires: datetime | None
    renews: datetime | None
    failures: int
    error: str
    retries: datetime | None
