"""The server's log messages under the logger names of the original Rocket."""

from __future__ import annotations

import logging
from typing import Final

_PACKAGES: Final = ("rocket_core", "rocket_wsgi", "rocket_tls")


class ForwardedErrors(logging.Handler):
    """Passes warnings and errors of the server to the handlers of loggers below another name.

    A message of ``rocket_core.pool`` is passed to the handlers of ``NAME.pool`` and its parents,
    except the root logger, whose handlers get it from ``rocket_core.pool`` itself.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.WARNING)
        self._name = name

    def attach(self) -> None:
        """Add this handler to the loggers of the server."""
        for package in _PACKAGES:
            logging.getLogger(package).addHandler(self)

    def detach(self) -> None:
        """Remove this handler. Nothing happens if it was not added."""
        for package in _PACKAGES:
            logging.getLogger(package).removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Pass on one message."""
        first = logging.getLogger(f"{self._name}.{record.name.rpartition('.')[2]}")
        # Not isEnabledFor: since Python 3.13 it is false while this thread is in a handler.
        enabled = not first.disabled and record.levelno >= first.getEffectiveLevel()
        logger = first if enabled else None
        while logger is not None and logger is not logging.root:
            for handler in logger.handlers:
                if record.levelno >= handler.level:
                    handler.handle(record)
            logger = logger.parent if logger.propagate else None
