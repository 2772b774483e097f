"""HTTP/2: where it is offered, and whether the settings for it go together.

Over TLS, client and server agree on a protocol in the handshake (ALPN). Without TLS, a client of
HTTP/2 simply begins with it (prior knowledge, RFC 9113, section 3.3), and the worker recognises
that. A worker allows it to clients that reach it at an address of this machine, and to trusted
proxies: anywhere else, a proxy that knows HTTP/1.1 only may stand between client and server, and
would take what follows for one message.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from rocket_cli._errors import CommandError
from rocket_cli._settings.bind import Bind
from rocket_cli._settings.chosen import Chosen
from rocket_core import Address, TCPAddress

_HTTP_1: Final = ("http/1.1", "http/1.0")


def tls_protocols(chosen: Chosen) -> tuple[str, ...]:
    """Return the protocols that listeners with TLS offer, the most preferred first."""
    return ("h2", *_HTTP_1) if chosen["http2"] else _HTTP_1


def check_cleartext(chosen: Chosen, plain: Iterable[Bind]) -> None:
    """Raise `CommandError` if no client may use HTTP/2 without TLS, although it is asked for.

    ``plain`` are the addresses without TLS.
    """
    if not chosen["h2c"]:
        return
    h2c = chosen.origin("h2c")
    if not chosen["http2"]:
        raise CommandError(
            f"{h2c} has no effect, because {chosen.origin('http2')} is off: leave one of them out"
        )
    addresses = [bind.address for bind in plain]
    if not addresses:
        raise CommandError(
            f"{h2c} has no effect, because all addresses use HTTPS, where HTTP/2 needs no option: "
            "leave it out, or add an address such as --bind http://127.0.0.1:8000"
        )
    if not chosen["trusted-proxies"] and not any(map(_may_be_local, addresses)):
        raise CommandError(
            f"{h2c} has no effect without --trusted-proxies, because no address is that of a Unix "
            "socket or 127.0.0.1: name the networks of the proxies"
        )


def _may_be_local(address: Address) -> bool:
    """Return whether clients may reach ``address`` inside of this machine."""
    if not isinstance(address, TCPAddress):
        return True
    try:
        host = ip_address(address.host)
    except ValueError:  # a host name, or all addresses
        return True
    return host.is_loopback or host.is_unspecified
