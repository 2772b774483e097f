"""Errors in the use of the command line, as one line that says what would be right."""

from __future__ import annotations

import difflib
from typing import Final

import click

from rocket_cli._errors import CommandError

_COUNTERPARTS: Final = {
    # gunicorn
    "--worker-class": "nothing: every worker has threads, see --threads",
    "--keep-alive-timeout": "--keep-alive",
    "--daemon": "nothing: let systemd, or what starts the command, keep it in the background",
    "--pythonpath": "the variable PYTHONPATH, or --chdir",
    "--access-logfile": "--access-log",
    "--access-logformat": "--access-log-format",
    "--error-logfile": "--error-log",
    "--log-file": "--error-log",
    "--log-config": "nothing: see --log-format, --error-log and --access-log",
    "--capture-output": "nothing: what the application prints is left alone",
    "--enable-stdio-inheritance": "nothing: what the application prints is left alone",
    "--statsd-host": "--metrics, for Prometheus",
    "--proxy-allow-from": "--proxy-protocol",
    "--limit-request-line": "nothing: the limits of heads are fixed",
    "--limit-request-fields": "nothing: the limits of heads are fixed",
    "--limit-request-field_size": "nothing: the limits of heads are fixed",
    "--worker-tmp-dir": "nothing: no file tells that a worker lives",
    "--print-config": "the command rocket-cli config",
    "--check-config": "the command rocket-cli check",
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

The options that have the name of a setting of gunicorn are in the table of settings.
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
            here = counterpart.removeprefix("nothing: ")
            says = "here it is" if here == counterpart else "it is not needed here:"
            return CommandError(f"{option}: there is no such option; {says} {here}")
        known = [] if context is None else [o for p in context.command.params for o in p.opts]
        near = difflib.get_close_matches(option, known, n=1)
        advice = f"did you mean {near[0]}?" if near else help_text
        return CommandError(f"{option}: there is no such option; {advice}")
    message = error.format_message().rstrip(".")
    return CommandError(f"{message[:1].lower()}{message[1:]}; {help_text}")


def _counterpart(option: str) -> str | None:
    """Return what stands for an option of another server here; None if that is not known."""
    # Imported only for an error, so that the command starts fast.
    from rocket_cli._settings.all_settings import SETTINGS

    setting = option.removeprefix("--").replace("-", "_")
    options = (each for each in SETTINGS if not each.argument)
    same = (f"--{each.name}" for each in options if setting in each.gunicorn.split(", "))
    return _COUNTERPARTS.get(option) or next(same, None)
