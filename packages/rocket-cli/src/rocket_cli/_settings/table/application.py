"""What is served."""

from __future__ import annotations

from typing import Final

from rocket_cli._settings.kinds import Text
from rocket_cli._settings.setting import Setting, setting
from rocket_cli._settings.values import target

APPLICATION: Final[tuple[Setting, ...]] = (
    setting(
        "app",
        Text(target),
        "The application to serve: MODULE:APP, or MODULE:FACTORY() for a function that returns it.",
        default_words="the application found in the current directory",
        argument=True,
        metavar="MODULE:APP",
        gunicorn="wsgi_app",
    ),
)
