"""The listeners of the original Rocket's interfaces."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from rocket_core import TCPAddress
from rocket_wsgi._compat.early_listener import EarlyListener

Interface = tuple[Any, ...]
"""``(host, port)``, or ``(host, port, key, certificate)`` with paths of files in PEM format.

A fifth element is the path of the certificates of authorities (CAs) for client certificates.
"""

_WANTED: Final = "use (host, port) or, with paths, (host, port, key, certificate[, authorities])"


def make_listeners(
    interfaces: Interface | Sequence[Interface], backlog: int
) -> Sequence[EarlyListener]:
    """Make a listener for each interface; none is bound yet.

    Raises:
        TypeError: a host or port has the wrong type.
        ImportError: an interface has a certificate, and rocket-tls is not installed.
        ValueError: an interface has the wrong number of elements, or lacks one; the
            `CertificateError` of rocket-tls for a certificate that cannot be used.
    """
    if isinstance(interfaces, tuple) and not all(isinstance(each, tuple) for each in interfaces):
        interfaces = [interfaces]
    return [_make_listener(each, backlog) for each in interfaces]


def _make_listener(interface: Interface, backlog: int) -> EarlyListener:
    if len(interface) not in (2, 4, 5):
        raise ValueError(f"interface {interface!r} is malformed; {_WANTED}")
    host, port, key, certificate, authorities = (*interface, None, None, None)[:5]
    if not isinstance(host, str) or not isinstance(port, int):
        raise TypeError(f"interface {interface!r} is malformed; {_WANTED}")
    address = TCPAddress(host, port)
    if key is None and certificate is None:
        if authorities:
            raise ValueError(
                f"interface {interface!r} has authorities, but no certificate; {_WANTED}"
            )
        return EarlyListener(address, backlog=backlog)
    if key is None or certificate is None:
        raise ValueError(f"interface {interface!r} lacks its key or its certificate; {_WANTED}")
    return _make_tls_listener(interface, address, authorities, backlog)


def _make_tls_listener(
    interface: Interface, address: TCPAddress, authorities: Any, backlog: int
) -> EarlyListener:
    try:
        tls: Any = importlib.import_module("rocket_tls")
    except ImportError as error:
        raise ImportError(
            f"interface {interface!r} has a certificate, which needs rocket-tls: run pip install "
            "rocket-tls or, in a clone of Rocket, python3 bootstrap.py install"
        ) from error
    kind: Any = type("EarlyTLSListener", (EarlyListener, tls.TLSListener), {})
    settings: dict[str, Any] = {}
    if authorities:
        settings["settings"] = tls.TLSSettings(
            client_certificates="optional", client_ca=Path(authorities)
        )
    listener: EarlyListener = kind(
        address, Path(interface[3]), Path(interface[2]), backlog=backlog, **settings
    )
    return listener
