"""The storage of the chat: a SQLite database with the messages, and the visitors in each room."""

from __future__ import annotations

import os
import secrets
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

DATA = Path(os.environ.get("CHAT_DATA") or Path(__file__).with_name("data")).resolve()

# The messages of a room are numbered 1, 2, 3..., so that a page sees by the number alone whether
# it has missed one. The page makes the key of a message, and sends both again if it does not know
# whether they have arrived.
SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE IF NOT EXISTS message (
    room TEXT NOT NULL,
    number INTEGER NOT NULL,
    key TEXT NOT NULL,
    author TEXT NOT NULL,
    text TEXT NOT NULL,
    sent TEXT NOT NULL,
    PRIMARY KEY (room, number),
    UNIQUE (room, key)
);
CREATE TABLE IF NOT EXISTS visit (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    room TEXT NOT NULL,
    name TEXT NOT NULL,
    process INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS roster (
    room TEXT PRIMARY KEY,
    version INTEGER NOT NULL
);
"""

ADD_MESSAGE = """
INSERT INTO message (room, number, key, author, text, sent)
SELECT :room, coalesce(max(number), 0) + 1, :key, :author, :text,
    strftime('%Y-%m-%dT%H:%M:%SZ', 'now')
FROM message WHERE room = :room
ON CONFLICT (room, key) DO NOTHING
RETURNING number, key, author, text, sent
"""

NEXT_ROSTER = """
INSERT INTO roster (room, version) VALUES (:room, 1)
ON CONFLICT (room) DO UPDATE SET version = version + 1
RETURNING version
"""


@dataclass(frozen=True)
class Roster:
    """The visitors in a room. Of two rosters of a room, the one with a higher version is newer."""

    version: int
    names: list[str]


def prepare() -> sqlite3.Connection:
    """Create what is missing. Keep the connection that is returned open.

    The last connection that closes moves all changes from the log into the database, which takes
    some milliseconds. As long as one stays open, SQLite does that now and then only.
    """
    DATA.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = connect()
    connection.executescript(SCHEMA)
    # They belong to an earlier process, which had the same ID.
    connection.execute("DELETE FROM visit WHERE process = ?", [os.getpid()])
    connection.execute("SELECT count(*) FROM visit").fetchall()  # opens the log
    return connection


def connect() -> sqlite3.Connection:
    """Open a connection in autocommit mode. Readers do not wait, and writers for writers only."""
    connection = sqlite3.connect(DATA / "chat.db", timeout=20, isolation_level=None)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA synchronous = NORMAL")
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


def add_message(
    database: sqlite3.Connection, room: str, key: str, author: str, text: str
) -> tuple[dict[str, object], bool]:
    """Add a message, unless one with this key is there. Return the message, and whether it is new.

    One statement finds the next number and uses it, so no two messages get the same.
    """
    values = {"room": room, "key": key, "author": author, "text": text}
    added = database.execute(ADD_MESSAGE, values).fetchall()
    found = added or database.execute(
        "SELECT number, key, author, text, sent FROM message WHERE room = ? AND key = ?",
        [room, key],
    )
    (message,) = map(dict, found)
    return message, bool(added)


def messages_after(
    database: sqlite3.Connection, room: str, number: int, limit: int
) -> list[dict[str, object]]:
    """Return the first messages after the one with this number, in order."""
    found = database.execute(
        "SELECT number, key, author, text, sent FROM message"
        " WHERE room = ? AND number > ? ORDER BY number LIMIT ?",
        [room, number, limit],
    )
    return list(map(dict, found))


def latest_number(database: sqlite3.Connection, room: str) -> int:
    """Return the number of the room's last message; 0 without one."""
    found = database.execute("SELECT coalesce(max(number), 0) FROM message WHERE room = ?", [room])
    number: int = found.fetchone()[0]
    return number


def enter(database: sqlite3.Connection, room: str, name: str) -> tuple[int, Roster]:
    """Note that a page is in a room. Return the number of its visit, and the roster."""
    with transaction(database):
        added = database.execute(
            "INSERT INTO visit (room, name, process) VALUES (?, ?, ?)", [room, name, os.getpid()]
        )
        assert added.lastrowid is not None  # noqa: S101 - a row was inserted
        return added.lastrowid, next_roster(database, room)


def leave(database: sqlite3.Connection, room: str, visit: int) -> Roster:
    """Note that a page has left, and return the roster."""
    with transaction(database):
        database.execute("DELETE FROM visit WHERE id = ?", [visit])
        return next_roster(database, room)


def next_roster(database: sqlite3.Connection, room: str) -> Roster:
    """Return the roster after a change, in the transaction of the change.

    A process that was killed could not note that its pages have left: that is done here.
    """
    for (process,) in database.execute("SELECT DISTINCT process FROM visit").fetchall():
        if not is_running(process):
            database.execute("DELETE FROM visit WHERE process = ?", [process])
    ((version,),) = database.execute(NEXT_ROSTER, {"room": room}).fetchall()
    names = database.execute("SELECT DISTINCT name FROM visit WHERE room = ? ORDER BY name", [room])
    return Roster(version, [name for (name,) in names])


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Do all changes of the block or none. Other writers wait meanwhile."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        database.execute("ROLLBACK")
        raise
    database.execute("COMMIT")


def is_running(process: int) -> bool:
    """Return whether there is a process with this ID."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
