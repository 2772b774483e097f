"""How operators inspect a running server."""

from __future__ import annotations

from typing import Final

from rocket_cli._settings.kinds import FILE, Text
from rocket_cli._settings.setting import Setting, setting
from rocket_cli._settings.values import metrics_address

OBSERVATION: Final[tuple[Setting, ...]] = (
    setting(
        "admin",
        FILE,
        "Answer rocket-cli top, stats, threads and the other admin commands on this Unix socket, "
        "which only the server's user and root can open.",
        default_words="no admin socket",
        gunicorn="control_socket",
    ),
    setting(
        "metrics",
        Text(metrics_address),
        "Serve metrics for Prometheus over HTTP at /metrics of this address, HOST:PORT or "
        "unix:PATH. Needs rocket-cli[metrics].",
        default_words="no metrics",
        metavar="ADDRESS",
    ),
)
