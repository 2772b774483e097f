"""Measure pages of the site with Lighthouse, as Rocket serves it to a phone.

python docs/_tests/lighthouse.py LIGHTHOUSE [PAGE ...]

LIGHTHOUSE is the path of the command. Each page is measured three times, because the performance
depends on what else the machine does. The medians are printed. If accessibility or performance is
below 95, the program fails.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from serving import chromium, served

_PAGES = ("index.html", "tutorial.html", "reference/api/rocket_core.html")
_WANTED = {"accessibility": 0.95, "performance": 0.95}
_TIMES = 3
_FLAGS = "--headless --no-sandbox --disable-gpu"


def measured(lighthouse: str, browser: str, address: str) -> dict[str, Any]:
    """The report on a page."""
    with tempfile.TemporaryDirectory(prefix="rocket-lighthouse-") as folder:
        output = Path(folder, "report.json")
        subprocess.run(
            [
                lighthouse,
                address,
                f"--only-categories={','.join(_WANTED)}",
                "--output=json",
                f"--output-path={output}",
                f"--chrome-flags={_FLAGS}",
                "--quiet",
            ],
            check=True,
            env={**os.environ, "CHROME_PATH": browser},
        )
        found: dict[str, Any] = json.loads(output.read_bytes())
    return found


def main(lighthouse: str, *pages: str) -> None:
    """Measure the pages, and print the scores."""
    browser = chromium()
    if browser is None:
        raise SystemExit("Chromium is not installed (Debian: the package chromium-headless-shell)")
    failed = False
    with served() as port:
        for page in pages or _PAGES:
            address = f"http://127.0.0.1:{port}/{page}"
            reports = [measured(lighthouse, browser, address) for _ in range(_TIMES)]
            reports.sort(key=lambda each: float(each["categories"]["performance"]["score"]))
            report = reports[_TIMES // 2]
            scores = {name: report["categories"][name]["score"] for name in _WANTED}
            print(page, *(f"{name} {score * 100:.0f}" for name, score in scores.items()))
            for name, least in _WANTED.items():
                if scores[name] >= least:
                    continue
                failed = True
                for reference in report["categories"][name]["auditRefs"]:
                    audit = report["audits"][reference["id"]]
                    if reference["weight"] and audit["score"] not in (None, 1):
                        print("   ", audit["title"], audit.get("displayValue", ""))
    if failed:
        raise SystemExit("a score is below 95")


if __name__ == "__main__":
    main(*sys.argv[1:])
