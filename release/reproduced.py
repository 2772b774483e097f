"""Whether two builds of the same sources are the same, byte for byte."""

from __future__ import annotations

import hashlib
from pathlib import Path


def digests(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a folder, by its name."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
        if path.is_file()
    }


def sums(folder: Path) -> str:
    """Return the digests as `sha256sum --check` reads them."""
    return "".join(f"{digest}  {name}\n" for name, digest in digests(folder).items())


def differing(folder: Path, again: Path) -> list[str]:
    """Return the names of the files of a second build that differ from those of the first.

    The second one need not have everything, because wheels for each Python take minutes.
    """
    first = digests(folder)
    return sorted(name for name, digest in digests(again).items() if first.get(name) != digest)
