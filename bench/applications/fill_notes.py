"""Fills the database of the Flask example: python -m bench.applications.fill_notes COUNT."""

from __future__ import annotations

import sys
from contextlib import closing

import store


def main() -> None:
    """Make COUNT notes."""
    count = int(sys.argv[1])
    store.prepare()
    store.secret_key()
    with closing(store.connect()) as connection:
        connection.executemany(
            "INSERT INTO note (title, body, author) VALUES (?, ?, ?)",
            [(f"Note {index}", "Something to remember. " * 5, "bench") for index in range(count)],
        )


if __name__ == "__main__":
    main()
