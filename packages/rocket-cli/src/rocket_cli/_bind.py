"""The option ``--bind``: where to listen, and whether with TLS."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rocket_cli._errors import CommandError
from rocket_core import Address, AddressError, parse_address


@dataclass(frozen=True, slots=True)
class Bind:
    """An address to listen on.

    Attributes:
        address: the address.
        certificate: for TLS, the file of the certificate; None for plain HTTP.
        key: the file of its private key; None where that is in the same file.
    """

    address: Address
    certificate: Path | None = None
    key: Path | None = None


def parse_binds(texts: Iterable[str], certificate: Path | None, key: Path | None) -> list[Bind]:
    """Read addresses with or without a scheme, given ``--tls-cert`` and ``--tls-key``.

    Without a scheme a bind is HTTPS if there is a certificate, otherwise HTTP. Raises
    `CommandError`, also when TLS is wanted without a certificate.
    """
    if key is not None and certificate is None:
        raise CommandError(f"--tls-key {key} needs its certificate: give --tls-cert too")
    return [_parse(text, certificate, key) for text in texts]


def _parse(text: str, certificate: Path | None, key: Path | None) -> Bind:
    scheme, separator, address = text.partition("://")
    if not separator:
        scheme, address = "http" if certificate is None else "https", text
    if scheme not in {"http", "https"}:
        raise CommandError(f"--bind {text!r}: the scheme must be http:// or https://")
    if scheme == "https" and certificate is None:
        raise CommandError(f"--bind {text!r} needs a certificate: give --tls-cert too")
    try:
        where = parse_address(address)
    except AddressError as error:
        raise CommandError(f"--bind: {error}") from error
    return Bind(where, certificate, key) if scheme == "https" else Bind(where)
