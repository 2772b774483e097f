"""Renewing what a running server uses."""

from __future__ import annotations

import logging
from collections.abc import Iterable

from rocket_cli._log import reopen_log
from rocket_core import Listener
from rocket_wsgi import AccessLog

_log = logging.getLogger("rocket_cli")


def reopen_logs(access_log: AccessLog | None) -> None:
    """Go on in new files of the same names, where logs have files."""
    reopen_log()
    if access_log is not None:
        access_log.reopen()
    _log.info("the logs are reopened")


def renew(listeners: Iterable[Listener], access_log: AccessLog | None) -> None:
    """Load the certificates anew, and reopen the logs.

    A certificate that cannot be used is logged, and the previous one stays.
    """
    reopen_logs(access_log)
    for listener in listeners:
        if listener.scheme == "https":
            _reload(listener)


def _reload(listener: Listener) -> None:
    from rocket_tls import CertificateError, TLSListener

    if isinstance(listener, TLSListener):
        try:
            listener.reload()
        except CertificateError as error:
            _log.error("%s: the previous certificate stays: %s", listener.address, error)
        else:
            _log.info("%s: the certificate is loaded anew", listener.address)
