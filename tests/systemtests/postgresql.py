"""A PostgreSQL of the test's own, on a Unix socket in a temporary directory."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Self

import psycopg
import pytest

from systemtests.processes import PATIENCE

if TYPE_CHECKING:
    from types import TracebackType

_DEBIAN = Path("/usr/lib/postgresql")
"""Where Debian has the programs of the server, which are not on PATH."""

_OWNER = "postgres"
"""The user for root, as whom the server refuses to run. Debian's package makes it."""


def _find_programs() -> Path:
    """The directory of `initdb` and `pg_ctl`; without it skip the test, or fail it in CI."""
    found = shutil.which("initdb")
    candidates = [Path(found).parent] if found else sorted(_DEBIAN.glob("*/bin"))
    if candidates:
        return candidates[-1]
    reason = "the server of PostgreSQL is not installed (Debian: the package postgresql)"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


class Database:
    """A server with a database; a context manager that stops it and removes everything."""

    def __init__(self, max_connections: int) -> None:
        self._programs = _find_programs()
        self._owner = _OWNER if os.geteuid() == 0 else None
        self._user = self._owner or os.environ.get("USER", "tests")
        self._max_connections = max_connections
        self._directory = tempfile.mkdtemp(prefix="rocket-postgresql-")
        if self._owner is not None:
            shutil.chown(self._directory, self._owner)

    @property
    def variables(self) -> dict[str, str]:
        """What tells libpq how to connect to it."""
        return {"PGHOST": self._directory, "PGUSER": self._user, "PGDATABASE": "postgres"}

    def __enter__(self) -> Self:
        try:
            self._run("initdb", "--auth=trust", f"--username={self._user}", "--no-sync")
            options = f"-k {self._directory} -h '' -c max_connections={self._max_connections}"
            self._run("pg_ctl", "start", "--wait", "-l", self._path("log"), "-o", options)
        except BaseException:
            shutil.rmtree(self._directory, ignore_errors=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            self._run("pg_ctl", "stop", "--mode=immediate")
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)

    def count_connections(self) -> int:
        """How many clients are connected, besides the one that asks."""
        where = "backend_type = 'client backend' AND pid <> pg_backend_pid()"
        with psycopg.connect(
            host=self._directory, user=self._user, dbname="postgres"
        ) as connection:
            row = connection.execute(
                f"SELECT count(*) FROM pg_stat_activity WHERE {where}"
            ).fetchone()
        assert row is not None
        return int(row[0])

    def count_queries(self, application: str) -> int:
        """How many queries of the clients that call themselves ``application`` run."""
        with psycopg.connect(
            host=self._directory, user=self._user, dbname="postgres"
        ) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE application_name = %s AND state = 'active'",
                [application],
            ).fetchone()
        assert row is not None
        return int(row[0])

    def _path(self, name: str) -> str:
        return str(Path(self._directory, name))

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            env={**os.environ, "PGDATA": self._path("data"), "LC_ALL": "C"},
            user=self._owner,
            cwd=self._directory,
            stdin=subprocess.DEVNULL,
            # The server goes on with these, so that a pipe would not end.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{program} failed with {done.returncode}"
