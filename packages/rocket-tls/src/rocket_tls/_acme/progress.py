"""The progress of an `ACME`, in a file for all processes and for the next start."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from rocket_tls._files import replace_file

_FIRST_PAUSE: Final = timedelta(minutes=3)
"""The pause after the first failure. Doubled each time, this makes no more than 5 attempts in the
first hour, which is what Let's Encrypt allows for each name."""

_LONGEST_PAUSE: Final = timedelta(hours=6)

_LONGEST_REQUESTED_PAUSE: Final = timedelta(days=8)
"""The longest pause that is kept when a CA asks for it: the limits of Let's Encrypt last a
week."""

ASK_AGAIN: Final = timedelta(hours=6)
"""The pause before the CA is asked again when to renew, unless it says (RFC 9773, section
4.3.3)."""

_TIMES: Final = ("retry", "renew", "ask")


@dataclass(frozen=True, slots=True)
class Progress:
    """The last events, and the times when the next ones are due.

    Attributes:
        wanted: the settings that all this is for.
        certificate: the serial number, in hexadecimal, of the certificate that is planned for.
        server: the URL of the directory of the CA that issued it.
        renew: when it is to be renewed.
        ask: when to ask the CA about the renewal again; None if it is not to be asked.
        failures: how many attempts in a row have failed.
        error: the message of the last failure.
        retry: when the next attempt after that is due.
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
        self, error: str, now: datetime, jitter: float, requested_pause: timedelta | None
    ) -> Progress:
        """Return the progress after another failure.

        ``jitter`` is a random number from 0 to 1, ``requested_pause`` what the CA asks for.
        """
        pause = min(_FIRST_PAUSE * 2 ** min(self.failures, 16), _LONGEST_PAUSE)
        if requested_pause is not None:
            pause = max(pause, min(requested_pause, _LONGEST_REQUESTED_PAUSE))
        return replace(
            self,
            failures=self.failures + 1,
            error=error,
            retry=now + pause * (1 + jitter / 10),
        )


def load_progress(path: Path) -> Progress:
    """Return what is in the file; an empty `Progress` if it is missing or not valid."""
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
