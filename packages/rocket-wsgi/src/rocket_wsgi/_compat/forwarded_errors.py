"""Messages of the server's own loggers, also under the names that other programs know."""

from __future__ import annotations

import logging
from typing import Final

_PACKAGES: Final = ("rocket_core", "rocket_wsgi", "rocket_tls")


class ForwardedErrors(logging.Handler):
    """Hands warnings and errors of the server to the handlers of loggers below another name.

    A message of ``rocket_core.pool`` goes to those of ``NAME.pool`` and above, the root's excepted:
    these get it from its own logger.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.WARNING)
        self._name = name

    def attach(self) -> None:
        """Begin."""
        for package in _PACKAGES:
            logging.getLogger(package).addHandler(self)

    def detach(self) -> None:
        """End. Nothing happens where it has not begun."""
        for package in _PACKAGES:
            logging.getLogger(package).removeHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on one message."""
        first = logging.getLogger(f"{self._name}.{record.name.rpartition('.')[2]}")
        # Newer Pythons call no logger enabled while the same thread is in a handler, as it is here.
        enabled = not first.disabled and record.levelno >= first.getEffectiveLevel()
        logger = first if enabled else None
        while logger is not None and logger is not logging.root:
            for handler in logger.handlers:
                if record.levelno >= handler.level:
                    handler.handle(record)
            logger = logger.parent if logger.propagate else None
