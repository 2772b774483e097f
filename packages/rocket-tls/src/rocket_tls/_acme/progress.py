"""How far an `ACME` has come, kept in a file for all processes and for the next start."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rocket_tls._files import replace_file

_FIRST_PAUSE: Final = timedelta(minutes=3)
"""After the first failure. Doubled each time, that is no more than 5 attempts in the first hour,
which is what Let's Encrypt allows for each name."""
_LONGEST_PAUSE: Final = timedelta(hours=6)
_LONGEST_ASKED_FOR: Final = timedelta(days=8)
"""No pause that an authority asks for is kept for longer: Let's Encrypt's limits are of a week."""

_TIMES: Final = ("retry", "renew", "ask")


@dataclass(frozen=True, slots=True)
class Progress:
    """What has happened, and when the next thing is due.

    Attributes:
        wanted: for which settings that is.
        certificate: the serial number, in hexadecimal, of the certificate that is planned for.
        server: the directory of the authority it came from.
        renew: when it is renewed.
        ask: when the authority is asked about its renewal again; None: it is not to be asked.
        failures: how often the last thing has failed in a row.
        error: what the last failure was.
        retry: when that is tried again.
    """

    wanted: str = ""
    certificate: str = ""
    server: str = ""
    renew: datetime | None = None
    ask: datetime | None = None
    failures: int = 0
    error: str = ""
    retry: datetime | None = None

    def failed(
        self, error: str, now: datetime, jitter: float, asked_for: timedelta | None
    ) -> Progress:
        """After another failure; ``asked_for``: the authority wants so long a pause."""
        pause = min(_FIRST_PAUSE * 2 ** min(self.failures, 16), _LONGEST_PAUSE)
        if asked_for is not None:
            pause = max(pause, min(asked_for, _LONGEST_ASKED_FOR))
        return replace(
            self,
            failures=self.failures + 1,
            error=error,
            retry=now + pause * (1 + jitter / 10),
        )


def load_progress(path: Path) -> Progress:
    """What is in the file; the beginning where it is missing or cannot be understood."""
    try:
        found: dict[str, Any] = json.loads(path.read_bytes())
        for name in _TIMES:
            if found[name] is not None:
                found[name] = datetime.fromisoformat(found[name]).astimezone(UTC)
        return Progress(**found)
    except (OSError, ValueError, TypeError, KeyError):
        return Progress()


def store_progress(path: Path, progress: Progress) -> None:
    """Replace what is in the file. Raises `OSError`."""
    content = asdict(progress)
    for name in _TIMES:
        if content[name] is not None:
            content[name] = content[name].isoformat()
    replace_file(path, json.dumps(content, indent=1).encode(), mode=0o600)
