"""The tables in docs/migration. Run as a program, this writes them.

PYTHONPATH=tests python tests/systemtests/migration_tables.py
"""

from __future__ import annotations

from pathlib import Path

from rocket_cli._migration.counterparts import Row, Table
from rocket_cli._migration.gunicorn.table import GUNICORN
from rocket_cli._migration.mod_wsgi.table import MOD_WSGI
from rocket_cli._migration.options import Fate
from rocket_cli._migration.uwsgi.table import UWSGI
from rocket_cli._migration.waitress.table import WAITRESS

DIRECTORY = Path(__file__).parents[2] / "docs" / "migration"
TABLES = {"gunicorn": GUNICORN, "uwsgi": UWSGI, "waitress": WAITRESS, "mod_wsgi": MOD_WSGI}
"""The tables, by the names of their pages."""
BEGIN = "<!-- options: made by tests/systemtests/migration_tables.py -->\n"
END = "<!-- end of options -->\n"


def table_text(table: Table) -> str:
    """Return a table of all options, in Markdown."""
    lines = ["", "| option | in Rocket | what is different, or what to do |", "| --- | --- | --- |"]
    for title, rows in table.sections.items():
        lines.append(f"| **{title}** | | |")
        lines += map(_row, rows)
    return "\n".join([*lines, "", ""])


def _row(row: Row) -> str:
    names = ", ".join(f"`{name}`" for name in (row.name, *row.names))
    settings = ", ".join(f"`{name}`" for name in row.settings)
    if row.fate is Fate.NEEDLESS:
        here = "not needed"
    elif row.fate is Fate.LOST:
        here = f"{settings}, by hand" if settings else "-"
    else:
        here = settings
    note = f" {row.note} " if row.note else " "
    return f"| {names} | {here} |{note}|"


def written(text: str, table: Table) -> str:
    """Return the text of a page with the table between its marks."""
    before, rest = text.split(BEGIN)
    return before + BEGIN + table_text(table) + END + rest.split(END)[1]


def main() -> None:
    """Write the tables to their pages."""
    for name, table in TABLES.items():
        path = DIRECTORY / f"{name}.md"
        path.write_text(written(path.read_text(encoding="utf-8"), table), encoding="utf-8")


if __name__ == "__main__":
    main()
