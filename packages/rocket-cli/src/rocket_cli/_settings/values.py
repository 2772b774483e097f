"""Reading values that only the packages can judge, which are imported once there is such a value.

Each function raises `ValueError`, whose message says what would be right.
"""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

from rocket_cli._errors import CommandError
from rocket_cli._settings.target import Target, parse_target

if TYPE_CHECKING:
    from ssl import TLSVersion

    from rocket_cli._settings.bind import Bind
    from rocket_cli._settings.users import Group, User
    from rocket_wsgi import Underscores


def target(text: str) -> Target:
    """The name of an application."""
    try:
        return parse_target(text)
    except CommandError as error:
        raise ValueError(error.message) from error


def function(text: str) -> Target:
    """The name of a function that is called without arguments."""
    try:
        found = parse_target(text)
    except CommandError:
        found = None
    if found is None or found.factory or not found.attribute:
        raise ValueError(f"{text!r} does not name a function: use MODULE:FUNCTION")
    return found


def bind(text: str) -> Bind:
    """An address to listen on."""
    from rocket_cli._settings.bind import parse_bind

    return parse_bind(text)


def networks(words: list[str]) -> None:
    """Check networks."""
    from rocket_core import Networks

    Networks(words)


def tls_version(text: str) -> TLSVersion:
    """A version of TLS."""
    from ssl import TLSVersion

    match text:
        case "1.2":
            return TLSVersion.TLSv1_2
        case "1.3":
            return TLSVersion.TLSv1_3
        case _:
            raise ValueError(f"{text!r}: use 1.2 or 1.3")


def plain_tls_version(version: TLSVersion) -> str:
    """As a file has it."""
    return version.name.removeprefix("TLSv").replace("_", ".")


def underscores(text: str) -> Underscores:
    """What happens to names with an underscore."""
    from rocket_wsgi import Underscores

    return Underscores(text)


def umask(text: str) -> int:
    """Permissions that are taken away."""
    try:
        mask = int(text, 8)
    except ValueError:
        mask = -1
    if not 0 <= mask <= 0o777:
        raise ValueError(f"{text!r}: use octal digits from 000 to 777, such as 027")
    return mask


def url_path(text: str) -> str:
    """A path of URLs."""
    if not text.startswith("/"):
        raise ValueError(f"{text!r} is not a path of a URL: it must begin with /")
    return text


def index_name(text: str) -> str:
    """The name of a file that stands for its directory."""
    from rocket_wsgi import StaticFiles

    StaticFiles("/", index=text)
    return text


def cache_control(text: str) -> str:
    """The value of a header field."""
    from rocket_wsgi import StaticFiles

    StaticFiles("/", cache_control=text)
    return text


def proxy_fields(names: list[str]) -> None:
    """Check names of header fields."""
    from rocket_cli._application.welcome_page import welcome
    from rocket_wsgi import Site

    Site(welcome, trusted_proxies=[], proxy_fields=names)


def hsts(text: str) -> str:
    """A value of Strict-Transport-Security."""
    from rocket_cli._application.welcome_page import welcome
    from rocket_wsgi import Site

    Site(welcome, hsts=text)
    return text


def log_path(text: str) -> str:
    """The path of a file, or ``-``."""
    if not text:
        raise ValueError("'': use the path of a file, or - for the terminal")
    return text


def access_log_format(text: str) -> str:
    """A format of the access log."""
    from rocket_wsgi import AccessLog

    AccessLog(StringIO(), text)
    return text


def metrics_address(text: str) -> str:
    """An address to listen on without TLS."""
    from rocket_core import AddressError, parse_address

    try:
        parse_address(text)
    except AddressError as error:
        raise ValueError(str(error)) from error
    return text


def user(text: str) -> User:
    """A user of the system."""
    from rocket_cli._settings.users import parse_user

    return parse_user(text)


def group(text: str) -> Group:
    """A group of the system."""
    from rocket_cli._settings.users import parse_group

    return parse_group(text)
