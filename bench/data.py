"""The files that servers need: a static one, a certificate, the database of the Flask example."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Final

from bench import tools
from bench.errors import BenchError
from bench.paths import EXAMPLE, ROOT
from rocket_tls import LocalAuthority

_STATIC_SIZE: Final = 100 * 1024
_NOTES: Final = 20


class Data:
    """A directory with these files, and the environment in which they are found."""

    def __init__(self, directory: Path) -> None:
        """Make the files. Raises `BenchError`."""
        self.directory: Final = directory
        self.static: Final = directory / "static"
        self.environment: Final = {
            **os.environ,
            "BENCH_DATA": str(directory),
            "NOTES_DATA": str(directory / "notes"),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(EXAMPLE)]),
            "PYTHONUNBUFFERED": "1",
        }
        self.static.mkdir()
        Path(self.static, "100k.bin").write_bytes(os.urandom(_STATIC_SIZE))
        authority = LocalAuthority(directory / "certificates")
        issued = authority.issue(["localhost", "127.0.0.1"])
        self.authority: Final = authority.certificate
        self.certificate: Final = (issued.certificate, issued.key)
        fill = [sys.executable, "-m", "bench.applications.fill_notes", str(_NOTES)]
        try:
            tools.run(fill, timeout=30, environment=self.environment)
        except BenchError as error:
            raise BenchError(f"the database of the Flask example cannot be made: {error}") from None
