"""Help for developers of applications."""

from __future__ import annotations

from typing import Final

from rocket_cli._settings.kinds import FLAG
from rocket_cli._settings.setting import Setting, setting

DEVELOPMENT: Final[tuple[Setting, ...]] = (
    setting(
        "reload",
        FLAG,
        "Reload the application when its code or the settings file changes, and serve a page with "
        "the error while it cannot be loaded. Needs rocket-cli[reload].",
        default=False,
        gunicorn="reload",
    ),
    setting(
        "open",
        FLAG,
        "Open the site in a browser.",
        default=False,
    ),
)
