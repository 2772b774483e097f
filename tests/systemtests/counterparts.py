"""The names that settings have in uvicorn and uWSGI.

Those of gunicorn are in the table of settings, and those of uWSGI in the table of migrations. The
names in uvicorn were looked up in the help of its version 0.54. A counterpart does the same or
nearly the same; units and defaults differ.
"""

from __future__ import annotations

from typing import Final

from rocket_cli._migration.counterparts import Table
from rocket_cli._migration.options import Fate
from rocket_cli._migration.uwsgi.table import UWSGI as TABLE_OF_UWSGI


def _names(table: Table) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for row in table.rows:
        if row.fate is Fate.CARRIED:
            for setting in row.settings:
                found.setdefault(setting, []).append(row.name)
    return {setting: ", ".join(names) for setting, names in found.items()}


UVICORN: Final = {
    "env-file": "--env-file",
    "bind": "--host, --port, --uds, --fd",
    "backlog": "--backlog",
    "http2": "--http2",
    "tls-cert": "--ssl-certfile",
    "tls-key": "--ssl-keyfile",
    "tls-key-password-file": "--ssl-keyfile-password",
    "tls-min-version": "--ssl-version",
    "tls-ciphers": "--ssl-ciphers",
    "tls-client-certificates": "--ssl-cert-reqs",
    "tls-client-ca": "--ssl-ca-certs",
    "processes": "--workers",
    "max-requests": "--limit-max-requests",
    "max-requests-jitter": "--limit-max-requests-jitter",
    "chdir": "--app-dir",
    "max-queue": "--limit-concurrency",
    "websocket-max-message": "--ws-max-size",
    "graceful-timeout": "--timeout-graceful-shutdown",
    "keep-alive": "--timeout-keep-alive",
    "websocket-ping": "--ws-ping-interval, --ws-ping-timeout",
    "root-path": "--root-path",
    "server-header": "--server-header",
    "trusted-proxies": "--proxy-headers, --forwarded-allow-ips",
    "log-level": "--log-level",
    "access-log": "--access-log",
    "reload": "--reload",
}
"""The options of uvicorn, by the setting to which they correspond."""

UWSGI: Final = _names(TABLE_OF_UWSGI)
"""The options of uWSGI that a migration carries over, by the setting to which they correspond."""
