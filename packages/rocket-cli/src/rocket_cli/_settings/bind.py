"""An address to listen on, and its protocol."""

from __future__ import annotations

from dataclasses import dataclass

from rocket_core import Address, parse_address


@dataclass(frozen=True, slots=True)
class Bind:
    """An address to listen on.

    Attributes:
        address: the address.
        scheme: ``http`` or ``https``; None means HTTPS if there is a certificate, otherwise HTTP.
    """

    address: Address
    scheme: str | None = None

    def __str__(self) -> str:
        return f"{self.address}" if self.scheme is None else f"{self.scheme}://{self.address}"

    def secure(self, *, certificate: bool) -> bool:
        """Return whether to use TLS; ``certificate`` says whether there is a certificate."""
        return self.scheme == "https" or (self.scheme is None and certificate)


def parse_bind(text: str) -> Bind:
    """Read an address with or without a scheme.

    Raises `ValueError`, whose message says what is wrong and what would be right.
    """
    scheme, separator, address = text.partition("://")
    if not separator:
        return Bind(parse_address(text))
    if scheme not in {"http", "https"}:
        raise ValueError(f"{text!r}: the scheme must be http:// or https://")
    return Bind(parse_address(address), scheme)
