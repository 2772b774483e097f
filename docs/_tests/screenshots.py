"""Pictures of pages of the site, as wide as a desktop and as narrow as a phone.

python docs/_tests/screenshots.py FOLDER [PAGE ...]

They show how pages look; no program judges them.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from serving import chromium, served

_PAGES = ("index.html", "tutorial.html", "reference/index.html", "reference/api/rocket_core.html")
_SIZES = ((1280, 2000), (390, 2400))
_OPTIONS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def main(folder: str, *pages: str) -> None:
    """Make a picture of each page in each size."""
    browser = chromium()
    if browser is None:
        raise SystemExit("Chromium is not installed (Debian: the package chromium-headless-shell)")
    with served() as port:
        for page in pages or _PAGES:
            for width, height in _SIZES:
                name = page.removesuffix(".html").replace("/", "-")
                file = Path(folder, f"{name}-{width}.png")
                command = [browser, *_OPTIONS, f"--window-size={width},{height}"]
                address = f"http://127.0.0.1:{port}/{page}"
                subprocess.run(
                    [*command, f"--screenshot={file}", address],
                    check=True,
                    stderr=subprocess.DEVNULL,
                )
                print(file)


if __name__ == "__main__":
    main(*sys.argv[1:])
