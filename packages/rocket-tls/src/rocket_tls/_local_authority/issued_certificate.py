"""The files of a certificate of the local authority."""

# The annotations are objects, not strings (PEP 563), because `typing.get_type_hints` would look up
# the names of a class in the public module that its `__module__` names.

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class IssuedCertificate:
    """The files of a certificate that a `LocalAuthority` has issued.

    Attributes:
        certificate: the file with the server's certificate, in PEM form.
        key: the file with its private key, in PEM form; only its owner can read it.
    """

    certificate: Path
    key: Path
