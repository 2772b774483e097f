"""Functions that read values which the other packages check.

The packages are imported only when there is such a value, so that the help starts fast. Each
function raises `ValueError`, whose message says what would be right.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rocket_cli._errors import CommandError
from rocket_cli._settings.target import Target, parse_target

if TYPE_CHECKING:
    from ssl import TLSVersion
    from wsgiref.types import StartResponse, WSGIEnvironment

    from rocket_cli._settings.bind import Bind
    from rocket_cli._settings.users import Group, User
    from rocket_wsgi import Underscores


def target(text: str) -> Target:
    """Read the name of an application."""
    try:
        return parse_target(text)
    except CommandError as error:
        raise ValueError(error.message) from error


def function(text: str) -> Target:
    """Read the name of a function that is called without arguments."""
    try:
        found = parse_target(text)
    except CommandError:
        found = None
    if found is None or found.factory or not found.attribute:
        raise ValueError(f"{text!r} does not name a function: use MODULE:FUNCTION")
    return found


def module(text: str) -> str:
    """Read the name of a module."""
    if not all(each.isidentifier() for each in text.split(".")):
        raise ValueError(f"{text!r} is not the name of a module: use MODULE or PACKAGE.MODULE")
    return text


def bind(text: str) -> Bind:
    """Read an address to listen on."""
    from rocket_cli._settings.bind import parse_bind

    return parse_bind(text)


def networks(words: list[str]) -> None:
    """Check IP networks."""
    from rocket_core import Networks

    Networks(words)


def tls_version(text: str) -> TLSVersion:
    """Read a version of TLS."""
    from ssl import TLSVersion

    match text:
        case "1.2":
            return TLSVersion.TLSv1_2
        case "1.3":
            return TLSVersion.TLSv1_3
        case _:
            raise ValueError(f"{text!r}: use 1.2 or 1.3")


def plain_tls_version(version: TLSVersion) -> str:
    """Return a version of TLS as a settings file has it."""
    return version.name.removeprefix("TLSv").replace("_", ".")


def underscores(text: str) -> Underscores:
    """Read the treatment of header fields with an underscore in their name."""
    from rocket_wsgi import Underscores

    return Underscores(text)


def umask(text: str) -> int:
    """Read a file mode mask."""
    try:
        mask = int(text, 8)
    except ValueError:
        mask = -1
    if not 0 <= mask <= 0o777:
        raise ValueError(f"{text!r}: use octal digits from 000 to 777, such as 027")
    return mask


def url_path(text: str) -> str:
    """Read a URL path."""
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is not a URL path: it must begin with /")
    return text


def index_name(text: str) -> str:
    """Check the name of the file that is served for its directory."""
    from rocket_wsgi import StaticFiles

    StaticFiles("/", index=text)
    return text


def cache_control(text: str) -> str:
    """Check a value of Cache-Control."""
    from rocket_wsgi import StaticFiles

    StaticFiles("/", cache_control=text)
    return text


def proxy_fields(names: list[str]) -> None:
    """Check the names of header fields of proxies."""
    from rocket_wsgi import Site

    Site(_never_called, trusted_proxies=[], proxy_fields=names)


def server_header(text: str) -> str:
    """Check a value of Server."""
    from rocket_wsgi import Site

    Site(_never_called, server_header=text)
    return text


def deadline_field(name: str) -> str:
    """Check the name of a header field."""
    from rocket_wsgi import Site

    Site(_never_called, trusted_proxies=[], deadline_field=name)
    return name


def hsts(text: str) -> str:
    """Check a value of Strict-Transport-Security."""
    from rocket_wsgi import Site

    Site(_never_called, hsts=text)
    return text


def root_path(text: str) -> str:
    """Read a URL path that becomes SCRIPT_NAME."""
    if not text.startswith("/") or text.endswith("/") or not text.isascii() or "?" in text:
        raise ValueError(f"{text!r}: use a path that begins with / and does not end with it")
    return text


def log_path(text: str) -> str:
    """Read the path of a file, or ``-``."""
    if not text:
        raise ValueError("'': use the path of a file, or - for the standard stream")
    return text


def access_log_format(text: str) -> str:
    """Check a format of the access log."""
    from rocket_wsgi import AccessLog

    AccessLog(StringIO(), text)
    return text


def metrics_address(text: str) -> str:
    """Check an address to listen on."""
    from rocket_core import AddressError, parse_address

    try:
        parse_address(text)
    except AddressError as error:
        raise ValueError(str(error)) from error
    return text


def user(text: str) -> User:
    """Read a user of the system."""
    from rocket_cli._settings.users import parse_user

    return parse_user(text)


def group(text: str) -> Group:
    """Read a group of the system."""
    from rocket_cli._settings.users import parse_group

    return parse_group(text)


def _never_called(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Stand for the application in a worker that is made only to check its arguments."""
    raise NotImplementedError
