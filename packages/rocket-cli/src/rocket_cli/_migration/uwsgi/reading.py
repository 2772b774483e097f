"""A configuration of uWSGI: from a file, or from its command line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from rocket_cli._migration.draft import Draft
from rocket_cli._migration.options import Fate, Given
from rocket_cli._migration.rules import application, is_yes
from rocket_cli._migration.uwsgi.carrying import http
from rocket_cli._migration.uwsgi.files import read_options
from rocket_cli._migration.uwsgi.table import find

_THREAD_SAFE: Final = (
    "Without this option, a process serves one request at a time; threads = 1 keeps that. "
    "An application that may run in threads needs fewer processes: try processes = 0 (one per "
    "processor) without threads, which is 8 then."
)
_FILES: Final = frozenset({"ini", "yaml", "yml", "y", "json", "js", "j", "xml", "x", "config"})


def migrate_file(path: Path) -> Draft:
    """Return what a configuration file becomes. Raises `CommandError`."""
    return _migrate(read_options(path, find))


def migrate_command(arguments: Sequence[str]) -> Draft:
    """Return what a command becomes, with the files that it names. Raises `CommandError`."""
    options: list[Given] = []
    for given in _options(arguments):
        if given.name in _FILES and given.value:
            options += read_options(Path(str(given.value).partition(":")[0]), find)
        else:
            options.append(given)
    return _migrate(options)


def _options(arguments: Sequence[str]) -> Iterator[Given]:
    words = list(arguments)
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            kind = Path(word).suffix.removeprefix(".")
            yield Given("ini" if kind in _FILES else "module", word, "command line")
            continue
        name, equals, value = word.lstrip("-").partition("=")
        if not equals and not word.startswith("--") and len(word) > 2:
            name, value = word[1], word[2:]  # -p4
        elif not equals:
            takes_value = words and not words[0].startswith("-") and name not in FLAGS
            value = words.pop(0) if takes_value else "true"
        yield Given(name, value, "command line")


FLAGS: Final = frozenset({
    "master", "M", "enable-threads", "T", "single-interpreter", "i", "vacuum", "need-app",
    "die-on-term", "lazy-apps", "lazy", "thunder-lock", "disable-logging", "L", "memory-report",
    "m", "strict", "manage-script-name", "reuse-port", "http-auto-gzip", "log-4xx", "log-5xx",
    "no-orphans", "auto-procname", "http-auto-chunked", "http-websockets", "ignore-sigpipe",
    "ignore-write-errors", "disable-write-exception", "harakiri-verbose", "static-gzip-all",
    "log-x-forwarded-for", "exit-on-reload", "enable-proxy-protocol", "gevent-monkey-patch",
    "gevent-early-monkey-patch", "log-master", "so-keepalive", "http-raw-body",
    "http-chunked-input", "honour-range", "cheap", "no-site",
})  # fmt: skip
"""The usual options that take no value on the command line."""


def _migrate(options: Sequence[Given]) -> Draft:
    draft = Draft()
    protocol = next(
        (str(each.value) for each in options if each.name in {"protocol", "socket-protocol"}),
        "uwsgi",
    )
    by_name: dict[str, Given] = {}
    # The directory first, because the others are compared with it.
    for given in sorted(options, key=lambda each: each.name != "chdir"):
        row = find(given.name)
        if row is None:
            draft.lose(given, "This is no option of uWSGI 2.0.")
            continue
        if row.name == "mount" and row.name in by_name:
            draft.lose(given, "A server has one application: run a server for this one, too.")
        by_name.setdefault(row.name, given)
        if row.name == "socket" and protocol.startswith("http"):
            http(draft, given)
        elif row.fate is not Fate.CARRIED and not is_yes(given.value):
            continue
        else:
            row.apply(draft, given)
    _application(draft, by_name)
    _logs(draft, by_name)
    if "threads" not in draft.entries:
        default = Given("threads (default)", None, "")
        draft.put("threads", 1, default)
        draft.check(default, _THREAD_SAFE)
    return draft


def _application(draft: Draft, by_name: dict[str, Given]) -> None:
    """Carry over the application, which several options name together."""
    mount, module, file = (by_name.get(each) for each in ("mount", "module", "wsgi-file"))
    given = module or file or mount
    if given is None:
        if "paste" not in by_name:
            draft.check("app", "The configuration names no application: set app to it.")
        return
    name = str(given.value)
    if mount is not None:
        root, _, mounted = str(mount.value).partition("=")
        name = mounted if given is mount else name
        if root.rstrip("/"):
            draft.put("root-path", root.rstrip("/"), mount)
    if given is file or "/" in name or name.endswith(".py"):
        path, _, attribute = name.partition(":")
        name = _module(draft, path) + (f":{attribute}" if attribute else "")
    if ":" not in name:
        callable_name = by_name.get("callable")
        name = f"{name}:{'application' if callable_name is None else callable_name.value}"
    application(draft, Given(given.name, name, given.place))


def _module(draft: Draft, path: str) -> str:
    """Return the name of the module in a file, as seen from ``chdir``."""
    file = Path(path)
    directory = draft.value("chdir")
    if file.is_absolute() and directory is not None and file.is_relative_to(directory):
        file = file.relative_to(directory)
    elif file.is_absolute():
        draft.put("chdir", str(file.parent), Given("wsgi-file", path, ""))
        file = Path(file.name)
    if file.suffix == ".wsgi":
        draft.check(
            f"the file {path}", "Modules of Python are in files that end in .py: rename it."
        )
    return ".".join(file.with_suffix("").parts)


def _logs(draft: Draft, by_name: dict[str, Given]) -> None:
    """Carry over where messages and requests are logged."""
    log = by_name.get("logto") or by_name.get("daemonize")
    path = "-" if log is None or log.value in {"true", "/dev/null"} else str(log.value)
    quiet = by_name.get("disable-logging")
    if log is not None and path != "-" and not path.startswith("udp:"):
        draft.put("error-log", path, log)
    if quiet is None or not is_yes(quiet.value):
        draft.put("access-log", path, log or Given("disable-logging (default)", None, ""))
