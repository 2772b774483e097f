"""The command ``rocket-cli``: serve a WSGI application over HTTP and HTTPS."""

from rocket_cli._commands.main import main
from rocket_cli._version import __version__

__all__ = ["__version__", "main"]
