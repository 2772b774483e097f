"""Errors in the use of the command line, as one line that says what would be right."""

from __future__ import annotations

import difflib
from typing import Final

import click

from rocket_cli._errors import CommandError

_COUNTERPARTS: Final = {
    # gunicorn, whose other options are in the tables of settings and of migrations
    "--keep-alive-timeout": "--keep-alive",
    # uvicorn, and servers with the same names
    "--host": "--bind HOST:PORT",
    "--port": "--bind HOST:PORT, or :PORT for all addresses",
    "--uds": "--bind unix:PATH",
    "--app-dir": "--chdir",
    "--proxy-headers": "--trusted-proxies",
    "--limit-concurrency": "--max-queue",
    "--limit-max-requests": "--max-requests",
    "--timeout-keep-alive": "--keep-alive",
    "--timeout-graceful-shutdown": "--graceful-timeout",
    "--ssl-certfile": "--tls-cert",
    "--ssl-keyfile": "--tls-key",
    "--ssl-ca-certs": "--tls-client-ca",
    "--ssl-ciphers": "--tls-ciphers",
    "--ws-max-size": "--websocket-max-message",
    "--ws-ping-interval": "--websocket-ping",
    "--no-access-log": "nothing: there is no access log without --access-log",
    "--factory": "nothing: MODULE:FACTORY() calls a factory",
    # granian
    "--interface": "nothing: applications are WSGI",
    "--blocking-threads": "--threads",
    "--runtime-threads": "nothing: see --threads",
    "--respawn-failed-workers": "nothing: a process that ends is replaced",
    "--workers-lifetime": "--max-lifetime",
    "--workers-max-rss": "--max-rss",
    "--ssl-certificate": "--tls-cert",
    "--ssl-keyfile-password": "--tls-key-password-file",
    "--static-path-mount": "--static /PATH=DIRECTORY",
    "--static-path-route": "--static /PATH=DIRECTORY",
    "--url-path-prefix": "--root-path",
    "--pid-file": "--pid",
    "--backpressure": "--max-queue",
}
"""Options of other servers, and what stands for each of them here.

Those of gunicorn that are not here are in the table of migrations.
"""


_TAKERS: Final = frozenset({"rocket-cli serve", "rocket-cli check", "rocket-cli config"})
"""The commands that take the settings."""


def explained(error: click.UsageError) -> CommandError:
    """Return an error in the use of a command as one line, in the style of all others."""
    context = error.ctx
    name = "rocket-cli" if context is None else context.command_path
    help_text = f"see {name} --help"
    if isinstance(error, click.NoSuchOption):
        option = error.option_name
        counterpart = _counterpart(option) if name in _TAKERS else None
        if counterpart is not None:
            return CommandError(f"{option}: there is no such option; {counterpart}")
        known = [] if context is None else [o for p in context.command.params for o in p.opts]
        near = difflib.get_close_matches(option, known, n=1)
        advice = f"did you mean {near[0]}?" if near else help_text
        return CommandError(f"{option}: there is no such option; {advice}")
    message = error.format_message().rstrip(".")
    return CommandError(f"{message[:1].lower()}{message[1:]}; {help_text}")


def _counterpart(option: str) -> str | None:
    """Say what stands for an option of another server here; return None if that is not known."""
    known = _COUNTERPARTS.get(option)
    if known is None:
        return _counterpart_of_gunicorn(option)
    here = known.removeprefix("nothing: ")
    return f"here it is {here}" if here == known else f"it is not needed here: {here}"


def _counterpart_of_gunicorn(option: str) -> str | None:
    # Imported only for an error, so that the command starts fast.
    from rocket_cli._migration.gunicorn.table import GUNICORN
    from rocket_cli._migration.options import Fate

    row = GUNICORN.find(option) or GUNICORN.find(option.removeprefix("--").replace("-", "_"))
    if row is None or not option.startswith("--"):
        return None
    note = row.note.rstrip(".")
    if row.fate is Fate.CARRIED:
        return f"here it is {' and '.join(f'--{name}' for name in row.settings)}"
    if row.fate is Fate.NEEDLESS:
        return f"it is not needed here: {note}"
    return note
