"""The loggers of the server's packages, which an application cannot silence by accident.

Applications configure logging, and many ways of doing so (`logging.config.dictConfig` by default,
`logging.disable`) switch off loggers that the application does not know: those of the server, which
also log the tracebacks of the application's own errors. Therefore, under this command, the output
and the level of the server's loggers are independent of that configuration. If the packages are
used as libraries, their loggers are ordinary loggers.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Final

PACKAGES: Final = ("rocket_core", "rocket_wsgi", "rocket_tls", "rocket_cli")

NAMES: Final = (
    *PACKAGES,
    "rocket_core.cut",
    "rocket_core.listener",
    "rocket_core.monitor",
    "rocket_core.pool",
    "rocket_core.saturation",
    "rocket_core.server",
    "rocket_core.spool",
    "rocket_core.watchdog",
    "rocket_core.worker",
    "rocket_tls.acme",
    "rocket_tls.certificate",
    "rocket_tls.connection",
    "rocket_wsgi.access_log",
)
"""All loggers of the packages. A module that is imported later gets the logger prepared here."""


class ServerLogger(logging.Logger):
    """Writes messages to `output` regardless of how the application configures logging.

    A handler that the application adds to one of these loggers gets the messages, too.

    Attributes:
        output: the handler of all server loggers.
        least: the level; messages of this severity and above are written.
    """

    output: ClassVar[logging.Handler | None] = None
    least: ClassVar[int] = logging.INFO

    def getEffectiveLevel(self) -> int:  # noqa: N802 - of the logging module, as the others
        """Return the level."""
        return self.least

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802
        """Return whether messages of ``level`` are written."""
        return level >= self.least

    def makeRecord(self, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: N802
        """Make a record, even if a record factory that the application has set fails."""
        try:
            return super().makeRecord(*args, **kwargs)
        except Exception:  # noqa: BLE001 - of the application's factory
            name, level, path, line, message, arguments, exception, *rest = args
            return logging.LogRecord(
                name, level, path, line, message, arguments, exception, *rest[:1]
            )

    def handle(self, record: logging.LogRecord) -> None:
        """Write a record."""
        if self.output is not None:
            self.output.handle(record)
        if self.hasHandlers():
            super().handle(record)


def direct(output: logging.Handler) -> None:
    """Send all messages of the server to ``output``."""
    ServerLogger.output = output
    for name in NAMES:
        logger = logging.getLogger(name)
        logger.__class__ = ServerLogger
        if name in PACKAGES:
            logger.propagate = False  # or the root's handlers would write the message again
