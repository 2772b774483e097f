"""The storage of notes and files: a SQLite database, and a directory with the files' contents."""

from __future__ import annotations

import hashlib
import os
import secrets
import sqlite3
import tempfile
from contextlib import closing, suppress
from pathlib import Path
from typing import IO

DATA = Path(os.environ.get("NOTES_DATA") or Path(__file__).with_name("data")).resolve()
UPLOADS = DATA / "uploads"
CHUNK = 256 * 1024

SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS note (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    author TEXT NOT NULL,
    created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS file (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    author TEXT NOT NULL,
    created TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
"""


def prepare() -> None:
    """Create missing directories and tables."""
    DATA.mkdir(mode=0o700, parents=True, exist_ok=True)
    UPLOADS.mkdir(exist_ok=True)
    with closing(connect()) as connection:
        connection.executescript(SCHEMA)


def connect() -> sqlite3.Connection:
    """Open a connection in autocommit mode; a writer waits up to 20 seconds for others."""
    connection = sqlite3.connect(DATA / "notes.db", timeout=20, isolation_level=None)
    connection.row_factory = sqlite3.Row
    return connection


def secret_key() -> str:
    """Return the key that signs cookies: `SECRET_KEY`, or a key generated at the first start."""
    if key := os.environ.get("SECRET_KEY"):
        return key
    path = DATA / "secret-key"
    if not path.exists():
        # Several processes may start at once. The key of the one that is first is that of all, and
        # none of them sees a part of it.
        with tempfile.NamedTemporaryFile("w", dir=DATA) as file, suppress(FileExistsError):
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.link(file.name, path)
    return path.read_text()


def keep_upload(stream: IO[bytes]) -> tuple[str, int]:
    """Write an upload to the disk in chunks. Return its SHA-256 (hex) and its size in bytes.

    The name of the file is the hash of its content, so identical uploads are stored once.
    """
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=UPLOADS, delete=False) as file:
        try:
            while chunk := stream.read(CHUNK):
                digest.update(chunk)
                file.write(chunk)
            size = file.tell()
            file.flush()
            Path(file.name).replace(upload_path(digest.hexdigest()))
        except BaseException:
            Path(file.name).unlink()
            raise
    return digest.hexdigest(), size


def upload_path(sha256: str) -> Path:
    """Return the path of the content with this digest."""
    return UPLOADS / sha256
