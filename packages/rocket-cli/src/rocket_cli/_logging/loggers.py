"""The loggers of the server's packages, which an application cannot silence by accident.

To configure logging is the application's affair, and how it does that (`logging.config.dictConfig`
unless told otherwise, `logging.disable`) switches off what it does not know: the server's messages,
the tracebacks of the application's own errors among them. So under this command the loggers of the
server have an output and a level that are kept outside of what is configured there. Where the
packages are used as libraries, their loggers are like any others.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Final

PACKAGES: Final = ("rocket_core", "rocket_wsgi", "rocket_tls", "rocket_cli")

NAMES: Final = (
    *PACKAGES,
    "rocket_core.listener",
    "rocket_core.monitor",
    "rocket_core.pool",
    "rocket_core.server",
    "rocket_core.watchdog",
    "rocket_core.worker",
    "rocket_tls.acme",
    "rocket_tls.certificate",
    "rocket_tls.connection",
    "rocket_wsgi.access_log",
)
"""All of them: a module that is imported later finds its logger made."""


class ServerLogger(logging.Logger):
    """Writes to `output` what has at least `least`, whatever the application does to logging.

    What the application itself adds to one of these loggers, a handler for instance, is heeded
    besides.

    Attributes:
        output: where messages go; one for all.
        least: messages of this severity and above are written.
    """

    output: ClassVar[logging.Handler | None] = None
    least: ClassVar[int] = logging.INFO

    def getEffectiveLevel(self) -> int:  # noqa: N802 - of the logging module, as the others
        """The least severity of what is written."""
        return self.least

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802
        """Whether messages of ``level`` are written."""
        return level >= self.least

    def makeRecord(self, *args: Any, **kwargs: Any) -> logging.LogRecord:  # noqa: N802
        """Make a record, also where the application's factory fails outside of its requests."""
        try:
            return super().makeRecord(*args, **kwargs)
        except Exception:  # noqa: BLE001 - it is the application's
            name, level, path, line, message, arguments, exception, *rest = args
            return logging.LogRecord(
                name, level, path, line, message, arguments, exception, *rest[:1]
            )

    def handle(self, record: logging.LogRecord) -> None:
        """Write ``record``."""
        if self.output is not None:
            self.output.handle(record)
        if self.hasHandlers():
            super().handle(record)


def direct(output: logging.Handler) -> None:
    """Have all messages of the server go to ``output``."""
    ServerLogger.output = output
    for name in NAMES:
        logger = logging.getLogger(name)
        logger.__class__ = ServerLogger
        if name in PACKAGES:
            logger.propagate = False  # or the handlers of the root would write it once more
