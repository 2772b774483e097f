"""A certificate and its private key in files."""

# The annotations are objects, not strings (PEP 563), because `typing.get_type_hints` would look up
# the names of a class in the public module that its `__module__` names.

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rocket_tls._certificates.source import PairContent, Password
from rocket_tls._errors import UnreadableError
from rocket_tls._files import file_state, read_file

_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate and its private key in files, in PEM form.

    Attributes:
        certificate: the file with the server's certificate and its chain.
        key: the file with the private key; None if it is in the same file.
        password: the password of the key, or a function that returns it, if that is encrypted.
    """

    certificate: Path
    key: Path | None = None
    password: Password | None = field(default=None, repr=False)
    _watched: tuple[str, ...] = field(init=False, repr=False, compare=False)
    """The paths of the files as strings, because each handshake looks at them."""

    def __post_init__(self) -> None:
        paths = [self.certificate] if self.key is None else [self.certificate, self.key]
        object.__setattr__(self, "_watched", tuple(map(str, paths)))

    @property
    def key_file(self) -> Path:
        """The file with the key."""
        return self.certificate if self.key is None else self.key

    @property
    def identity(self) -> Hashable:
        """The path of the certificate, because its key may move to another file."""
        return self.certificate

    @property
    def certificate_name(self) -> str:
        """The name of the certificate in messages."""
        return f"certificate file {self.certificate}"

    @property
    def key_name(self) -> str:
        """The name of the key in messages."""
        return f"key file {self.key_file}"

    def pairs(self) -> Sequence["CertificateFiles"]:
        """Return this pair as the only one."""
        return (self,)

    def revision(self) -> Hashable:
        """Return the states of both files. This is one call of `os.stat` for each file."""
        return tuple(map(file_state, self._watched))

    def read(self) -> PairContent:
        """Read both files. Raises `CertificateError`."""
        # A process that replaces both files may do so at any moment:
        # 1. The certificate is read.
        # 2. That process replaces the certificate, and then the key.
        # 3. The key is read, and belongs to another certificate.
        # So the states before and after must be equal, or both files are read again.
        before = self.revision()
        for _ in range(_ATTEMPTS):
            certificate = read_file("certificate file", self.certificate)
            key = certificate if self.key is None else read_file("key file", self.key)
            after = self.revision()
            if after == before:
                return PairContent(certificate, key, before, self.password)
            before = after
        raise UnreadableError(
            f"{self.certificate_name} keeps changing while it is read; "
            "it is read again for the next connection"
        )
