"""The option ``--bind``: where to listen, and whether with TLS."""

from __future__ import annotations

from dataclasses import dataclass

from rocket_core import Address, AddressError, parse_address

from rocket_cli._errors import CommandError


@dataclass(frozen=True, slots=True)
class Bind:
    """An address to listen on, and whether clients speak TLS to it."""

    address: Address
    secure: bool


_SECURE = {"http": False, "https": True}


def parse_bind(text: str, *, secure: bool) -> Bind:
    """Read an address with or without a scheme; ``secure`` decides where there is none.

    Raises `CommandError`.
    """
    scheme, separator, address = text.partition("://")
    if not separator:
        address = text
    elif scheme in _SECURE:
        secure = _SECURE[scheme]
    else:
        raise CommandError(f"--bind {text!r}: the scheme must be http:// or https://")
    try:
        return Bind(parse_address(address), secure)
    except AddressError as error:
        raise CommandError(f"--bind: {error}") from error
