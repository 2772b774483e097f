"""Sets of networks."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final

from rocket_core._errors import AddressError

_UNIX: Final = "unix"
_WANTED: Final = "use an address, a network such as 10.0.0.0/8, or unix"
_REMEMBERED: Final = 1024
_MAPPED_BITS: Final = 96


class Networks:
    """A set of networks: ``host in networks`` tells whether it contains the host of a `Peer`.

    The result is remembered for a bounded number of hosts, so that the next test of a host is one
    look-up.
    """

    __slots__ = ("_known", "_networks", "_unix")

    def __init__(self, networks: Iterable[str]) -> None:
        """Parse IP addresses, networks such as ``10.0.0.0/8``, and ``unix`` for all Unix sockets.

        Raises `AddressError`, whose message says what is wrong and what would be right, and
        `TypeError` if ``networks`` is a string.
        """
        if isinstance(networks, str):
            raise TypeError(f"networks are a list of strings: use [{networks!r}]")
        self._networks: list[IPv4Network | IPv6Network] = []
        self._unix = False
        for text in networks:
            if text == _UNIX:
                self._unix = True
            else:
                self._networks.append(_parse(text))
        self._known: dict[str, bool] = {}

    def __contains__(self, host: str) -> bool:
        known = self._known.get(host)
        if known is None:
            known = self._find(host)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[host] = known
        return known

    def __bool__(self) -> bool:
        return self._unix or bool(self._networks)

    def _find(self, host: str) -> bool:
        try:
            address = ip_address(host)
        except ValueError:
            return self._unix
        return any(address in network for network in self._networks)


def _parse(text: str) -> IPv4Network | IPv6Network:
    try:
        network = ip_network(text)
    except ValueError as error:
        raise AddressError(f"{text!r} is not a network ({error}); {_WANTED}") from error
    if isinstance(network, IPv6Network):
        first = network.network_address
        if first.scope_id is not None:
            raise AddressError(
                f"network {text!r} has a zone, which the address of a client never has; {_WANTED}"
            )
        if network.prefixlen >= _MAPPED_BITS and first.ipv4_mapped is not None:
            raise AddressError(
                f"network {text!r} is an IPv4 network in IPv6 form; use the IPv4 network"
            )
    return network
