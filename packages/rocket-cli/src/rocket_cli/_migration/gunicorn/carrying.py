"""How the settings of gunicorn are carried over, where a simple rule is not enough."""

from __future__ import annotations

import re
from typing import Final

from rocket_cli._migration.draft import Draft
from rocket_cli._migration.options import Given
from rocket_cli._migration.rules import Rule, amount, is_yes, networks, number_of, wildcard

_ATOMS: Final = {
    "h": "client", "l": "-", "u": "user", "t": "[{clock}]", "r": "line", "m": "method",
    "U": "path", "q": "query", "H": "protocol", "s": "status", "st": "status", "B": "size",
    "b": "size", "f": "referer", "a": "agent", "D": "microseconds", "L": "seconds",
}  # fmt: skip
"""The fields of the access log by the letters of gunicorn, or a text in their place."""
_COMBINED: Final = '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
_ATOM: Final = re.compile(r"%\((?:\{(?P<header>[^}]+)\}i|(?P<letters>[^){}]+))\)s")

HEADS: Final = (
    "The limits are fixed: 8 KiB for the request line, 16 KiB for a field, 100 fields, 64 KiB for "
    "all of them."
)
THREAD_SAFE: Final = (
    "A sync worker serves one request at a time; threads = 1 keeps that. An application that may "
    "run in threads needs fewer processes: try processes = 0 (one per processor) without threads, "
    "which is 8 then."
)


def bind(draft: Draft, given: Given) -> None:
    """Carry the addresses over; those without a host or port get the ones of gunicorn."""
    values = [given.value] if isinstance(given.value, str) else list(given.value or [])
    for value in map(str, values):
        if value.startswith("fd://"):
            draft.lose(
                given,
                "Sockets of systemd are found by themselves: use a unit of type socket, without "
                "bind. Other descriptors cannot be given.",
            )
        else:
            draft.add("bind", _address(value), given)


def _address(value: str) -> str:
    if value.startswith("unix:"):
        path = value.removeprefix("unix:")
        return f"unix:{path.removeprefix('//')}"
    address = value.removeprefix("tcp://")
    if address.startswith("["):
        return address if "]:" in address else f"{address}:8000"
    host, colon, port = address.partition(":")
    return f"{host or '0.0.0.0'}:{port if colon else 8000}"  # noqa: S104 - as gunicorn has it


def worker_class(draft: Draft, given: Given) -> None:
    """Set the threads that correspond to a worker class, if the configuration sets none."""
    value = given.value
    name = str(value["name"] if isinstance(value, dict) else value or "sync")
    short = name.rpartition(".")[2].lower()
    if name in {"sync", "gthread"} or short in {"syncworker", "threadworker"}:
        return  # `threads` decides
    if "gevent" in name or "eventlet" in name:
        draft.put("threads", "8:64", given)
        draft.check(
            given,
            "Greenlets are threads here: 8 of them, and up to 64 while requests wait for databases "
            "and other servers. Remove calls of monkey.patch_all() and monkey_patch(), and "
            "psycogreen: the application runs in real threads, and patches are refused. Websockets "
            "and event streams need no thread each, see docs/waiting.md.",
        )
    elif short == "uvicornworker" or "asgi" in name or "uvicorn" in name:
        draft.lose(
            given,
            "Rocket serves WSGI applications. An ASGI application, such as one of FastAPI or "
            "Starlette, needs an ASGI server; Flask and Django have a WSGI application, too.",
        )
    else:
        draft.lose(given, "There are no worker classes: every process serves with threads.")


def timeout(draft: Draft, given: Given) -> None:
    """Carry the time for a request over, which only sync workers are given."""
    seconds = amount(draft, given)
    if seconds and draft.put("request-timeout", seconds, given):
        draft.check(
            given,
            "For sync workers this was a limit of a request, after which the process was killed. "
            "Here the client is answered 504, the thread goes on and is replaced, and the other "
            "requests of the process are not affected.",
        )


THREADED_TIMEOUT: Final = (
    "With this worker class, timeout watched the process and not the requests. A stuck process "
    "needs no such limit here. For a limit of each request, set request-timeout; --watchdog logs "
    "where a request is stuck after 30 s without it."
)


def keepalive(draft: Draft, given: Given) -> None:
    """Carry the time of idle connections over."""
    seconds = amount(draft, given)
    if seconds is None:
        return
    if seconds == 0:
        draft.lose(
            given, "Connections are kept. An idle one holds no thread; keep-alive limits it."
        )
    elif draft.put("keep-alive", seconds, given):
        draft.check(
            given,
            "An idle connection holds no thread here, so the default, 75 s, costs little. Keep it "
            "longer than the idle time-out of a load balancer in front.",
        )


def forwarded_allow_ips(draft: Draft, given: Given) -> None:
    """Carry the proxies over that may say what the client did."""
    found = networks(given.value)
    if "*" in found:
        draft.lose(given, wildcard("trusted-proxies"))
    elif found and draft.put("trusted-proxies", [*found, "unix"], given):
        draft.check(
            given,
            "From these proxies the address of the client is taken as well (REMOTE_ADDR from "
            "X-Forwarded-For), and both fields are removed from the request, so that a middleware "
            "such as ProxyFix finds nothing to do. Each proxy must set both X-Forwarded-For and "
            "X-Forwarded-Proto; otherwise name those that it sets in proxy-fields.",
        )


def secure_scheme_headers(draft: Draft, given: Given) -> None:
    """Say which field tells the scheme here."""
    fields = given.value if isinstance(given.value, dict) else {}
    if {key.upper(): value for key, value in fields.items()} != {"X-FORWARDED-PROTO": "https"}:
        draft.lose(
            given,
            "The scheme is taken from X-Forwarded-Proto, or from Forwarded (proxy-fields), of "
            "trusted-proxies: let the proxy set that.",
        )


def proxy_protocol(draft: Draft, given: Given) -> None:
    """Say that the proxies must be named, unless ``proxy_allow_ips`` has done that."""
    wanted = given.value not in (None, False, "", "off", "false", "none", "0")
    if not wanted:
        draft.entries.pop("proxy-protocol", None)
    elif draft.value("proxy-protocol") is None:
        draft.put("proxy-protocol", ["127.0.0.1", "::1"], given)
        draft.check(
            given,
            "These are the default of proxy_allow_ips. Name the addresses of your proxies: here "
            "every other client is refused. Versions 1 and 2 are accepted.",
        )


def proxy_allow_ips(draft: Draft, given: Given) -> None:
    """Carry the proxies over that send the PROXY protocol."""
    found = networks(given.value)
    if "*" in found:
        draft.lose(given, wildcard("proxy-protocol"))
    elif found:
        draft.put("proxy-protocol", found, given)


def cert_reqs(draft: Draft, given: Given) -> None:
    """Carry over whether clients need a certificate."""
    words = {0: "off", 1: "optional", 2: "required"}
    found = number_of(given.value)
    if found in words:
        draft.put("tls-client-certificates", words[int(found or 0)], given)
    elif given.value is not None:
        draft.lose(given, "Use off, optional or required for tls-client-certificates.")


def ssl_version(draft: Draft, given: Given) -> None:
    """Carry the version over if it is TLS 1.2; others were not versions, or are refused here."""
    value = given.value
    if value in (5, "TLSv1_2", "PROTOCOL_TLSv1_2"):
        draft.put("tls-min-version", "1.2", given)
    elif value not in (None, 2, 16, 17, "TLS", "TLS_SERVER", "SSLv23"):
        draft.lose(given, "TLS 1.2 is the oldest version here.")


def head_limit(most: int) -> Rule:
    """Say so if the limit is above the fixed one, ``most``; 0 is no limit in gunicorn."""

    def rule(draft: Draft, given: Given) -> None:
        value = amount(draft, given)
        if value is not None and (value == 0 or value > most):
            draft.lose(given, HEADS)

    return rule


def http_protocols(draft: Draft, given: Given) -> None:
    """Carry over whether HTTP/2 is offered."""
    if given.value:
        draft.put("http2", "h2" in networks(given.value), given)


def http2_cleartext(draft: Draft, given: Given) -> None:
    """Carry over whether HTTP/2 without TLS is accepted."""
    value = str(given.value or "off")
    if value in {"prior-knowledge", "both"}:
        draft.put("h2c", True, given)
    if value in {"upgrade", "both"}:
        draft.lose(given, "HTTP/2 by an upgrade from HTTP/1.1 is not supported (RFC 9113).")


def raw_env(draft: Draft, given: Given) -> None:
    """Carry variables over, ``NAME=VALUE`` each."""
    values = [given.value] if isinstance(given.value, str) else list(given.value or [])
    for each in map(str, values):
        name, equals, value = each.partition("=")
        if equals:
            draft.variables[name.strip()] = value


def log_level(draft: Draft, given: Given) -> None:
    """Carry the level over."""
    level = str(given.value or "info").lower()
    if level == "critical":
        draft.put("log-level", "error", given)
    else:
        draft.put("log-level", level, given)


def access_log(draft: Draft, given: Given) -> None:
    """Carry the path of the access log over."""
    if given.value:
        draft.put("access-log", "-" if given.value == "/dev/stdout" else str(given.value), given)


def error_log(draft: Draft, given: Given) -> None:
    """Carry the path of the log over; standard error is the default."""
    if given.value not in (None, "", "-", "/dev/stderr"):
        draft.put("error-log", str(given.value), given)


def hook(draft: Draft, given: Given) -> None:
    """Do nothing: `rocket_cli._migration.gunicorn.hooks` treats all hooks of a file together."""


def access_log_format(draft: Draft, given: Given) -> None:
    """Translate the format of the access log."""
    if not given.value:
        return
    text = str(given.value)
    if text.startswith(_COMBINED) and text.removeprefix(_COMBINED) in {"", " %(D)s"}:
        draft.put("access-log-format", "combined", given)
        return
    unknown: list[str] = []

    def field(match: re.Match[str]) -> str:
        if match["header"]:
            if match["header"].lower() == "x-forwarded-for" and draft.value("trusted-proxies"):
                return "{client}"  # the field is removed, and has become this
            return f"{{header.{match['header'].lower()}}}"
        word = _ATOMS.get(match["letters"])
        if word is None:
            unknown.append(match[0])
            return "-"
        return word if word in {"-", "[{clock}]"} else f"{{{word}}}"

    parts = _ATOM.split(text)
    literal = "".join(parts[::3])
    format_text = _ATOM.sub(field, text)
    if unknown:
        names = ", ".join(dict.fromkeys(unknown))
        draft.lose(
            given,
            f"There is no field for {names}. Without them the format would be {format_text!r}; "
            "the README of rocket-wsgi has a list of the fields, and json writes all of them.",
        )
    elif "%" in literal or "{" in literal or "}" in literal:
        draft.lose(given, "This format cannot be read; see the list of fields in rocket-wsgi.")
    else:
        draft.put("access-log-format", format_text, given)


def control_socket(draft: Draft, given: Given) -> None:
    """Carry the path over; the commands of rocket-cli speak another protocol there."""
    if given.value and draft.put("admin", str(given.value), given):
        draft.check(given, "rocket-cli top, stats, threads and reload use it; gunicornc cannot.")


def header_map(draft: Draft, given: Given) -> None:
    """Carry the treatment of underscores over."""
    words = {"drop": "drop", "refuse": "refuse", "dangerous": "allow"}
    value = str(given.value or "drop")
    if value in words:
        draft.put("underscores", words[value], given)


def pythonpath(draft: Draft, given: Given) -> None:
    """Say how to have directories on the import path; the current one is there."""
    directories = [each for each in networks(given.value) if each not in {".", "./"}]
    others = [each for each in directories if each != draft.value("chdir")]
    if others:
        draft.lose(
            given,
            "The current directory (chdir) is on the import path. For others set the variable "
            f"PYTHONPATH={':'.join(others)} where the server is started.",
        )


def preload(draft: Draft, given: Given) -> None:
    """Carry over whether the application is imported before the processes are forked."""
    if is_yes(given.value) and draft.put("preload", True, given):
        draft.check(
            given,
            "A reload replaces the supervisor, too, so that it works with preload. Connections to "
            "databases that the import opens must not be shared: see post_fork.",
        )
