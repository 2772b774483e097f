"""The field in which a proxy tells how long it waits for the answer."""

from __future__ import annotations

import re
from typing import Final

from rocket_core.http1 import HeadError

_TIMEOUT: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)([HMSmun]?)", re.ASCII)
_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]+", re.ASCII)

_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}
"""The units of ``grpc-timeout``, in seconds."""

_MS: Final = "-MS"
"""The end of the names of fields whose numbers are milliseconds, as Envoy's are."""


class DeadlineField:
    """A header field with the seconds that a proxy waits for the answer.

    Its value is a number of seconds; of milliseconds if the name of the field ends in ``-Ms``, as
    that of Envoy does; or a number with one of the units of ``grpc-timeout``: H, M, S, m, u, n.

    Attributes:
        key: the environ key of the field.
    """

    def __init__(self, name: str) -> None:
        """Read the field ``name``. Raises `ValueError` if that is no name of a field."""
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"deadline_field {name!r} is not the name of a header field")
        self.key: Final = "HTTP_" + name.upper().replace("-", "_")
        self._usual = 1e-3 if name.upper().endswith(_MS) else 1.0

    def read(self, value: str) -> float:
        """Return the seconds. Raises `HeadError` with status 400 for a malformed value."""
        match = _TIMEOUT.fullmatch(value.rpartition(",")[2].strip(" \t"))
        if match is None:
            raise HeadError(400, "a proxy sent an invalid deadline")
        return float(match[1]) * _UNITS.get(match[2], self._usual)
