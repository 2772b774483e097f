"""How the options of uWSGI are carried over, where a simple rule is not enough."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from rocket_cli._migration.draft import Draft
from rocket_cli._migration.options import Fate, Given
from rocket_cli._migration.rules import Rule, amount, is_yes

_FIELDS: Final = {
    "addr": "client", "user": "user", "ltime": "clock", "ctime": "time", "method": "method",
    "uri": "target", "proto": "protocol", "status": "status", "size": "size", "rsize": "size",
    "referer": "referer", "uagent": "agent", "host": "host", "micros": "microseconds",
    "secs": "seconds",
}  # fmt: skip
"""The fields of the access log by those of uWSGI."""
_UWSGI_PROTOCOL: Final = (
    "uWSGI speaks the uwsgi protocol at this address, and Rocket speaks HTTP. In nginx, write "
    "proxy_pass {url}; in place of uwsgi_pass and include uwsgi_params, and set Host, "
    "X-Forwarded-For and X-Forwarded-Proto (proxy_set_header). Then set trusted-proxies."
)


def nothing(draft: Draft, given: Given) -> None:
    """Do nothing: `rocket_cli._migration.uwsgi.reading` treats several options together."""


def http(draft: Draft, given: Given) -> None:
    """Carry an address for HTTP over."""
    if _is_address(draft, given):
        draft.add("bind", _address(str(given.value)), given)


def https(draft: Draft, given: Given) -> None:
    """Carry an address for HTTPS over, which has the certificate and the key behind it."""
    address, *files = str(given.value).split(",")
    draft.add("bind", f"https://{_address(address)}", given)
    for name, path in zip(("tls-cert", "tls-key", "tls-ciphers"), files, strict=False):
        if path:
            draft.put(name, path, given)


def uwsgi_socket(draft: Draft, given: Given) -> None:
    """Carry an address for the uwsgi protocol over, as one for HTTP."""
    if not _is_address(draft, given):
        return
    address = _address(str(given.value))
    draft.add("bind", address, given)
    url = f"http://{address}"
    if not address.startswith("unix:"):
        url = url.replace("//0.0.0.0:", "//127.0.0.1:")
    draft.check(given, _UWSGI_PROTOCOL.format(url=url))


def _is_address(draft: Draft, given: Given) -> bool:
    value = str(given.value)
    if value.startswith("fd://"):
        draft.lose(
            given,
            "Sockets of systemd are found by themselves: use a unit of type socket, without bind. "
            "Other descriptors cannot be given.",
        )
    elif value.startswith("@"):
        draft.lose(given, "There are no abstract sockets: use a Unix socket with a path.")
    return not value.startswith(("fd://", "@"))


def _address(value: str) -> str:
    if "/" in value or not re.search(r":\d+$", value):
        return f"unix:{value}"
    host, _, port = value.rpartition(":")
    return f"{host if host not in {'', '*'} else '0.0.0.0'}:{port}"  # noqa: S104 - as uWSGI has it


def http_keepalive(draft: Draft, given: Given) -> None:
    """Carry a time over; connections are kept anyway."""
    seconds = amount(draft, given)
    if seconds is not None and seconds > 1:
        draft.put("keep-alive", seconds, given)


def pythonpath(draft: Draft, given: Given) -> None:
    """Say how to have a directory on the import path, unless it is the current one."""
    chdir = draft.value("chdir")
    if Path(given.value) not in {Path(), None if chdir is None else Path(chdir)}:
        draft.lose(
            given,
            "The current directory (chdir) is on the import path. For others set the variable "
            f"PYTHONPATH={given.value} where the server is started.",
        )


def env(draft: Draft, given: Given) -> None:
    """Carry a variable over."""
    name, equals, value = str(given.value).partition("=")
    if equals:
        draft.variables[name.strip()] = value.strip()


def greenlets(draft: Draft, given: Given) -> None:
    """Set threads in place of greenlets."""
    if given.name in {"gevent", "ugreen", "async"} and draft.put("threads", "8:64", given):
        draft.check(
            given,
            "Greenlets are threads here: 8 of them, and up to 64 while requests wait for databases "
            "and other servers. Remove calls of monkey.patch_all(): the application runs in real "
            "threads, and patches are refused.",
        )
    elif given.name == "loop" or given.name.startswith(("gevent-", "ugreen-")):
        draft.say(Fate.NEEDLESS, given, "Threads need no loop and no patches: remove them.")


def megabytes(name: str) -> Rule:
    """Carry a number of megabytes over."""
    return _with_unit(name, "M")


def kilobytes(name: str) -> Rule:
    """Carry a number of kilobytes over."""
    return _with_unit(name, "K")


def _with_unit(name: str, unit: str) -> Rule:
    def rule(draft: Draft, given: Given) -> None:
        found = amount(draft, given)
        if found:
            draft.put(name, f"{found}{unit}", given)

    return rule


def harakiri(draft: Draft, given: Given) -> None:
    """Carry the time for a request over."""
    seconds = amount(draft, given)
    if seconds and draft.put("request-timeout", seconds, given):
        draft.check(
            given,
            "The client is answered 504 then, the thread goes on and is replaced, and the other "
            "requests of the process are not affected; no process is killed.",
        )


def daemonize(draft: Draft, given: Given) -> None:
    """Carry the path of the log over."""
    draft.lose(
        given,
        "The server stays in the foreground: let systemd start it (Type=notify), or a container.",
    )
    if given.value and given.value != "/dev/null":
        draft.put("error-log", str(given.value), given)


def max_fd(draft: Draft, given: Given) -> None:
    """Say where to limit descriptors."""
    draft.say(
        Fate.NEEDLESS,
        given,
        "The soft limit of open files is raised to the hard one: set LimitNOFILE= in systemd. "
        "max-connections is half of it by default.",
    )


def static_map(draft: Draft, given: Given) -> None:
    """Carry a directory over."""
    path, equals, directory = str(given.value).partition("=")
    if equals:
        draft.add("static", f"{path.rstrip('/') or '/'}={directory}", given)


def log_format(draft: Draft, given: Given) -> None:
    """Translate the format of the access log."""
    unknown: list[str] = []

    def field(match: re.Match[str]) -> str:
        word = _FIELDS.get(match[1])
        if word is None:
            unknown.append(match[0])
            return "-"
        return f"{{{word}}}"

    text = str(given.value)
    translated = re.sub(r"%\(([^)]+)\)", field, text)
    if unknown:
        draft.lose(
            given,
            f"There is no field for {', '.join(dict.fromkeys(unknown))}. Without them the format "
            f"would be {translated!r}; json writes all fields.",
        )
    elif "{" in text or "}" in text:
        draft.lose(given, "Braces are for fields here; see the list of fields in rocket-wsgi.")
    else:
        draft.put("access-log-format", translated, given)


def autoreload(draft: Draft, given: Given) -> None:
    """Carry over whether code is watched; the value is an interval."""
    if is_yes(given.value):
        draft.put("reload", True, given)
