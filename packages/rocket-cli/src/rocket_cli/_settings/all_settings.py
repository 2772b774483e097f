"""All settings: every option of ``serve``, environment variable, and key of a settings file.

A new setting is one row in the file in ``table/`` that has the name of its section in the help.
From that row come the option, the variable, the key, the help, and the row in the README.

The table states the defaults, although the packages have them, too: the help must not import the
packages to show them. A test compares the two.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Final

from rocket_cli._settings.setting import Setting
from rocket_cli._settings.table.application import APPLICATION
from rocket_cli._settings.table.development import DEVELOPMENT
from rocket_cli._settings.table.limits import LIMITS
from rocket_cli._settings.table.listening import LISTENING
from rocket_cli._settings.table.logs import LOGS
from rocket_cli._settings.table.observation import OBSERVATION
from rocket_cli._settings.table.processes import PROCESSES
from rocket_cli._settings.table.proxies import PROXIES
from rocket_cli._settings.table.requests import REQUESTS
from rocket_cli._settings.table.static_files import STATIC_FILES
from rocket_cli._settings.table.threads import THREADS
from rocket_cli._settings.table.timeouts import TIMEOUTS
from rocket_cli._settings.table.tls import TLS

SECTIONS: Final[Mapping[str, tuple[Setting, ...]]] = {
    "Application": APPLICATION,
    "Listening": LISTENING,
    "TLS": TLS,
    "Processes": PROCESSES,
    "Threads": THREADS,
    "Limits": LIMITS,
    "Time-outs": TIMEOUTS,
    "Requests": REQUESTS,
    "Proxies": PROXIES,
    "Static files": STATIC_FILES,
    "Logs": LOGS,
    "Observation": OBSERVATION,
    "Development": DEVELOPMENT,
}
"""The settings by the title of their section, in the order of the help."""

SETTINGS: Final[tuple[Setting, ...]] = tuple(chain.from_iterable(SECTIONS.values()))
"""All settings, in the order of the help."""

USUAL: Final = frozenset(
    {
        "app", "bind", "tls-cert", "tls-key", "tls-dir", "acme", "acme-email", "https-redirect",
        "hsts", "processes", "max-requests", "max-rss", "preload", "user", "chdir", "threads",
        "max-connections", "max-body", "graceful-timeout", "request-timeout", "keep-alive",
        "reserved", "health", "trusted-proxies", "static", "compress", "log-level", "error-log",
        "access-log", "admin", "metrics", "reload",
    }
)  # fmt: skip
"""The settings that most sites need; ``--help`` shows these only, and ``--help-all`` all."""
