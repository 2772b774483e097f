"""A configuration of mod_wsgi: directives of Apache, or the command mod_wsgi-express."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from rocket_cli._errors import CommandError
from rocket_cli._migration.draft import Draft
from rocket_cli._migration.mod_wsgi.table import MOD_WSGI
from rocket_cli._migration.options import Fate, Given
from rocket_cli._migration.texts import read_text

_SUBCOMMANDS: Final = {"start-server", "setup-server"}
_LOWER: Final = {row.name.lower(): row.name for row in MOD_WSGI.rows}
_APACHE: Final = (
    "Apache can stay in front, as a proxy: in place of the WSGI directives, write ProxyPass / "
    "http://127.0.0.1:8000/ and RequestHeader set X-Forwarded-Proto (mod_proxy_http, mod_headers), "
    'and set trusted-proxies = ["127.0.0.1", "::1"]. Or let Rocket take its place: see bind, '
    "tls-cert, acme and static. Directives other than those of mod_wsgi, and Alias, were not read."
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise CommandError(f"cannot read the options of mod_wsgi-express: {message}")


def migrate_file(path: Path) -> Draft:
    """Return what a configuration of Apache becomes. Raises `CommandError`."""
    found = list(_directives(path))
    if not any(each.name.startswith("WSGI") for each in found):
        raise CommandError(f"{path} has no directives of mod_wsgi, such as WSGIDaemonProcess")
    draft = Draft()
    daemons = [each for each in found if each.name == "WSGIDaemonProcess"]
    options = [] if not daemons else list(_daemon_options(daemons[0]))
    for other in daemons[1:]:
        draft.lose(other, "Only the first group of processes is carried over: run a server each.")
    paths = [each for each in (*options, *found) if each.name in {"python-path=", "WSGIPythonPath"}]
    for given in (*options, *found):
        if given not in paths and given.name != "WSGIDaemonProcess":
            _apply(draft, given)
    _script_alias(draft, found, options)
    for given in paths:  # last, because the current directory need not be on the path
        _apply(draft, given)
    draft.check("Apache", _APACHE)
    return draft


def _apply(draft: Draft, given: Given) -> None:
    row = MOD_WSGI.find(given.name)
    if row is None:
        draft.lose(given, "This is not known here.")
    else:
        row.apply(draft, given)


def _directives(path: Path) -> Iterator[Given]:
    """Yield the directives of mod_wsgi, and Alias; the value is a list of words."""
    text = read_text(path).replace("\\\n", " \0")
    number = 0
    for line in text.split("\n"):
        number += 1
        place = f"{path}:{number}"
        number += line.count("\0")
        words = _split(line.replace("\0", ""), place)
        name = _LOWER.get(words[0].lower()) if words else None
        if words and name is None and words[0].lower().startswith("wsgi"):
            name = words[0]
        if name is not None and name[0].isupper():
            values: Any = words[1:]
            single = name not in {"WSGIDaemonProcess", "Alias", "WSGIScriptAlias"}
            yield Given(name, " ".join(values) if single else values, place)


def _split(line: str, place: str) -> list[str]:
    if line.lstrip()[:1] in {"#", "<", ""}:
        return []
    try:
        return shlex.split(line)
    except ValueError as error:
        if re.match(r"\s*(WSGI|Alias\b)", line, re.IGNORECASE):
            raise CommandError(f"{place}: {error}") from error
        return []


def _daemon_options(daemon: Given) -> Iterator[Given]:
    name, *options = daemon.value or [""]
    for each in options:
        key, equals, value = each.partition("=")
        if equals and not (key == "display-name" and value.startswith("%")):
            yield Given(f"{key.lower()}=", value, daemon.place)
    if any(each.startswith("display-name=") for each in options):
        shown = [each.partition("=")[2] for each in options if each.startswith("display-name=")]
        yield Given("display-name=", name if shown[0].startswith("%") else shown[0], daemon.place)


def _script_alias(draft: Draft, found: Sequence[Given], options: Sequence[Given]) -> None:
    """Carry the application over, which a file contains."""
    for given in options:
        if given.name == "display-name=":
            draft.put("process-name", str(given.value), given)
    aliases = [each for each in found if each.name == "WSGIScriptAlias" and len(each.value) >= 2]
    if not aliases:
        draft.check("app", "The configuration names no WSGIScriptAlias: set app.")
        return
    for other in aliases[1:]:
        draft.lose(other, "A server has one application: run a server for this one, too.")
    given = aliases[0]
    path, file = given.value[:2]
    names = [each for each in found if each.name == "WSGICallableObject"]
    callable_name = str(names[-1].value) if names else "application"
    directories = [
        part
        for each in options
        if each.name in {"home=", "python-path="}
        for part in str(each.value).split(":")
    ]
    _module(draft, given, file, callable_name, directories)
    _mount(draft, given, path)


def _mount(draft: Draft, given: Given, path: str) -> None:
    if path.rstrip("/"):
        draft.put("root-path", path.rstrip("/"), given)


def _module(
    draft: Draft, given: Given, file: str, callable_name: str, directories: Sequence[str]
) -> None:
    """Set ``app``, and ``chdir`` if the file is not in one of the directories."""
    path = Path(file)
    base = next((each for each in directories if each and path.is_relative_to(each)), None)
    if base is None and path.is_absolute():
        base = str(path.parent)
    if base is not None:
        if draft.value("chdir") != base:
            draft.put("chdir", base, given)
        path = path.relative_to(base)
    if path.suffix != ".py":
        draft.check(given, f"Modules of Python are in files that end in .py: rename {path.name}.")
    draft.put("app", f"{'.'.join(path.with_suffix('').parts)}:{callable_name}", given)


def migrate_command(arguments: Sequence[str]) -> Draft:
    """Return what a command becomes. Raises `CommandError`."""
    words = list(arguments)
    if words and words[0] in _SUBCOMMANDS:
        del words[0]
    parser = _Parser(prog="mod_wsgi-express", add_help=False)
    for row in MOD_WSGI.rows:
        for name in (row.name, *row.names):
            if not name.startswith("--"):
                continue
            settings: dict[str, Any] = {"dest": name}
            if row.flag:
                settings |= {"action": "store_const", "const": "true"}
            elif row.many:
                settings["action"] = "append"
            if row.words > 1:
                settings["nargs"] = row.words
            parser.add_argument(name, **settings)
    parser.add_argument("script", nargs="?")
    found = {name: value for name, value in vars(parser.parse_args(words)).items() if value}
    given = {name: Given(name, value, "command line") for name, value in found.items()}
    draft = Draft()
    script = given.pop("script", None)
    for each in sorted(given.values(), key=lambda each: each.name != "--working-directory"):
        _apply(draft, each)
    _express_addresses(draft, given)
    _express_logs(draft, given)
    _express_application(draft, script, given)
    return draft


def _express_addresses(draft: Draft, given: dict[str, Given]) -> None:
    def value(name: str, default: str) -> str:
        return str(given[name].value) if name in given else default

    host = value("--host", "")
    source = given.get("--port") or Given("--port (default)", None, "")
    draft.add("bind", f"http://{host}:{value('--port', '8000')}", source)
    secure = given.get("--https-port") or given.get("--ssl-port")
    if secure is not None:
        draft.add("bind", f"https://{host}:{secure.value}", secure)
        if "--https-only" in given:
            draft.put("https-redirect", int(str(secure.value)), given["--https-only"])
    pair = given.get("--ssl-certificate")
    if pair is not None:
        draft.put("tls-cert", f"{pair.value}.crt", pair)
        draft.put("tls-key", f"{pair.value}.key", pair)


def _express_logs(draft: Draft, given: dict[str, Given]) -> None:
    directory = given.get("--log-directory")
    if "--access-log" in given:
        draft.put("access-log", "-", given["--access-log"])
    if directory is None or "--log-to-terminal" in given:
        return
    names = (("error-log", "--error-log-name", "error_log"),) + (
        (("access-log", "--access-log-name", "access_log"),) if "--access-log" in given else ()
    )
    for setting, option, default in names:
        name = str(given[option].value) if option in given else default
        draft.put(setting, str(Path(str(directory.value), name)), directory)


def _express_application(draft: Draft, script: Given | None, given: dict[str, Given]) -> None:
    name = given.get("--entry-point") or script
    if name is None:
        draft.check("app", "It is the argument of mod_wsgi-express: set app to it.")
        return
    names = given.get("--callable-object")
    callable_name = "application" if names is None else str(names.value)
    kind = str(given["--application-type"].value) if "--application-type" in given else "script"
    source = Given("script", name.value, name.place)
    if kind == "module":
        draft.put("app", f"{name.value}:{callable_name}", source)
    elif kind == "script":
        _module(draft, source, str(name.value), callable_name, [draft.value("chdir") or ""])
    else:
        draft.say(Fate.LOST, given["--application-type"], "Write a module, and set app to it.")
    if "--mount-point" in given:
        _mount(draft, given["--mount-point"], str(given["--mount-point"].value))
