"""Write the parts of pages that are made from the code. Run it as a program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from systemtests import limits_reference, log_fields, metrics, settings_reference
from systemtests.generated import filled
from systemtests.processes import ROOT
from systemtests.recipe_parts import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

HOW_TO = ROOT / "docs" / "how-to"
REFERENCE = ROOT / "docs" / "reference"

PAGES: Mapping[Path, Mapping[str, Callable[[], str]]] = {
    ROOT / "packages/rocket-cli/README.md": {"settings": settings_reference.usual},
    REFERENCE / "options.md": {"options": settings_reference.options},
    REFERENCE / "metrics.md": {
        "metrics": metrics.metrics,
        "states": metrics.states,
        "reasons": metrics.reasons,
        "buckets": metrics.buckets,
    },
    REFERENCE / "log-fields.md": {"json": log_fields.json_fields},
    REFERENCE / "limits.md": {
        "settings": limits_reference.of_settings,
        "requests": limits_reference.of_requests,
        "http2": limits_reference.of_http2,
        "responses": limits_reference.of_responses,
        "server": limits_reference.of_the_server,
    },
    HOW_TO / "nginx.md": shown("nginx.conf", "nginx-stream.conf"),
    HOW_TO / "haproxy.md": shown("haproxy.cfg"),
    HOW_TO / "systemd.md": shown("mysite.service", "mysite.socket"),
    HOW_TO / "containers.md": shown("Dockerfile"),
    HOW_TO / "kubernetes.md": shown("kubernetes.yaml"),
}
"""What makes each part of each page."""


def written(page: Path) -> str:
    """Return the text of a page with all its parts as they are made now."""
    parts = {name: make() for name, make in PAGES[page].items()}
    return filled(page.read_text(encoding="utf-8"), parts)


if __name__ == "__main__":
    for each in PAGES:
        each.write_text(written(each), encoding="utf-8")
