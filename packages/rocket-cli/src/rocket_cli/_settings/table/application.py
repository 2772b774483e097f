"""What is served."""

from __future__ import annotations

from typing import Final

from rocket_cli._settings.kinds import FILE, Text
from rocket_cli._settings.setting import Setting, setting
from rocket_cli._settings.values import module, target

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
    setting(
        "env-file",
        FILE,
        "Set the variables of this file, NAME=VALUE lines as of systemd, for the application and "
        "the settings. A variable of the environment overrides the file. A reload reads it again.",
        metavar="FILE",
        gunicorn="raw_env",
    ),
    setting(
        "hooks",
        Text(module),
        "Call the functions of this module at certain moments: on_starting, when_ready, pre_fork, "
        "post_fork, worker_ready, worker_exit, child_exit, on_reload and on_exit.",
        metavar="MODULE",
        gunicorn="on_starting, when_ready, pre_fork, post_fork, post_worker_init, worker_exit, "
        "child_exit, on_reload, on_exit",
    ),
)
