"""HTML pages that list directories."""

from __future__ import annotations

import html
import os
import stat
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

from rocket_wsgi._static.lookup import resolve_beneath, split_path

_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; margin: 2rem }}
th, td {{ padding: 0 2rem 0 0; text-align: left; font-variant-numeric: tabular-nums }}
td:nth-child(2), th:nth-child(2) {{ text-align: right }}
</style>
</head>
<body>
<h1>{title}</h1>
<table>
<tr><th>Name</th><th>Size</th><th>Modified (UTC)</th></tr>
{rows}
</table>
</body>
</html>
"""

_UNITS: Final = ("KiB", "MiB", "GiB", "TiB")


class Item(NamedTuple):
    """One row of a listing: a file, or a directory, whose size is None."""

    name: str
    size: int | None
    modified: float


def list_items(directory: str, descriptor: int, base: str | None) -> list[Item]:
    """Return the items of ``directory``, open at ``descriptor``, that can be served.

    Directories come first. A symbolic link appears as its target, and not at all if its target is
    outside of ``base``; None allows any target. Raises `OSError`.
    """
    path = descriptor if os.scandir in os.supports_fd else directory
    with os.scandir(path) as entries:
        items = [item for entry in entries for item in _item(directory, entry, base)]
    return sorted(items, key=lambda item: (item.size is not None, item.name))


def _item(directory: str, entry: os.DirEntry[str], base: str | None) -> Iterator[Item]:
    """Yield the item of a directory entry, unless it cannot be served."""
    names = split_path("/" + os.fsencode(entry.name).decode("latin-1"))
    if names is None and entry.name != ".well-known":
        return
    try:
        if base is not None and entry.is_symlink():
            resolve_beneath(base, str(Path(directory, entry.name)))
        status = entry.stat()
    except OSError:
        return  # removed meanwhile, or outside of the base
    if stat.S_ISDIR(status.st_mode):
        yield Item(entry.name, None, status.st_mtime)
    elif stat.S_ISREG(status.st_mode):
        yield Item(entry.name, status.st_size, status.st_mtime)


def render(path: str, items: Iterable[Item], *, top: bool) -> bytes:
    """Return the page for a path of a URL, with a link to its parent unless it is the ``top``."""
    rows = [] if top else ['<tr><td><a href="../">../</a></td><td></td><td></td></tr>']
    rows += [_row(item) for item in items]
    text = _PAGE.format(title=html.escape(_readable(path)), rows="\n".join(rows))
    return text.encode("utf-8", "replace")


def _row(item: Item) -> str:
    slash = "/" if item.size is None else ""
    target = "./" + quote(os.fsencode(item.name)) + slash
    name = html.escape(_readable(os.fsencode(item.name).decode("latin-1")) + slash)
    when = time.strftime("%Y-%m-%d %H:%M", time.gmtime(item.modified))
    size = "" if item.size is None else _readable_size(item.size)
    return f'<tr><td><a href="{target}">{name}</a></td><td>{size}</td><td>{when}</td></tr>'


def _readable(path: str) -> str:
    """Decode a path that has one character per byte."""
    return path.encode("latin-1").decode("utf-8", "replace")


def _readable_size(size: int) -> str:
    if size < 1024:
        return f"{size} B"
    amount = float(size)
    unit = ""
    for unit in _UNITS:  # noqa: B007 - used after the loop; the last unit is for all larger sizes
        amount /= 1024
        if amount < 1024:
            break
    return f"{amount:.1f} {unit}"
