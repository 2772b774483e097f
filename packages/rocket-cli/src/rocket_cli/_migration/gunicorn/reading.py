"""A configuration of gunicorn: from its file, its command line, and variables."""

from __future__ import annotations

import difflib
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rocket_cli._errors import CommandError
from rocket_cli._migration.draft import Draft
from rocket_cli._migration.gunicorn import carrying
from rocket_cli._migration.gunicorn.command_line import parse_command_line
from rocket_cli._migration.gunicorn.config_file import Attribute, ConfigFile, read_config_file
from rocket_cli._migration.gunicorn.table import GUNICORN, SAME_HOOKS
from rocket_cli._migration.options import Fate, Given
from rocket_cli._migration.paste_ini import read_server_section, say_application
from rocket_cli._migration.rules import number_of

DEFAULT_FILE: Final = Path("gunicorn.conf.py")
_OWN_VARIABLES: Final = {"bind": ("PORT", "0.0.0.0:"), "workers": ("WEB_CONCURRENCY", "")}
"""The settings whose defaults are in variables, and what precedes the value."""
_VARIABLE: Final = "GUNICORN_CMD_ARGS"
_KNOWN_ATTRIBUTES: Final = ({"pid", "settings", "log"}, {"pid", "generation", "log"})
"""What the server and the worker of a hook have here."""


def migrate_file(path: Path) -> Draft:
    """Return what a configuration file becomes, or an ini file of Paste. Raises `CommandError`."""
    if path.suffix != ".ini":
        return _migrate(path, {})
    section = read_server_section(path)
    if section.server != "gunicorn":
        raise CommandError(f"the server in {path} is {section.server or 'unknown'}, not gunicorn")
    given = {each.name: each for each in section.options}
    host, port = given.pop("host", None), given.pop("port", None)
    if host is not None or port is not None:
        address = f"{host.value if host else ''}:{port.value if port else 8000}"
        given["bind"] = Given("bind", address, (host or port or section.options[0]).place)
    draft = Draft()
    _carry(draft, given)
    say_application(draft, str(path))
    return draft


def migrate_command(arguments: Sequence[str]) -> Draft:
    """Return what a command becomes, with the configuration file that it uses."""
    options = parse_command_line(arguments)
    name = options.pop("config", None)
    if name is None:
        return _migrate(DEFAULT_FILE if DEFAULT_FILE.exists() else None, options)
    if name.startswith("python:"):
        module = name.removeprefix("python:")
        path = Path(*module.split("."))
        return _migrate(path.with_name(f"{path.name}.py"), options)
    return _migrate(Path(name.removeprefix("file:")), options)


def _migrate(path: Path | None, options: dict[str, Any]) -> Draft:
    draft = Draft()
    names = [row.name for row in GUNICORN.rows]
    file = None if path is None else read_config_file(path, names)
    given = {each.name: each for each in _given(file, options)}
    _carry(draft, given)
    if file is not None:
        _hooks(draft, file, given)
        _names(draft, file)
    if "wsgi_app" not in given and "paste" not in given:
        draft.check(
            "app", "The application is the argument of the command gunicorn: set app to it."
        )
    return draft


def _carry(draft: Draft, given: dict[str, Given]) -> None:
    _serve_by_threads(draft, given)
    for row in GUNICORN.rows:
        if row.name in given:
            row.apply(draft, given[row.name])


def _given(file: ConfigFile | None, options: dict[str, Any]) -> Iterator[Given]:
    """Yield the options of all sources; the later ones override the earlier ones."""
    for name, (variable, prefix) in _OWN_VARIABLES.items():
        if variable in os.environ:
            yield Given(name, f"{prefix}{os.environ[variable]}", f"variable {variable}")
    if file is not None:
        for name, value in file.values.items():
            yield Given(name, value, file.place(name))
    for name, value in parse_command_line(shlex.split(os.environ.get(_VARIABLE, ""))).items():
        yield Given(name, value, f"variable {_VARIABLE}")
    for name, value in options.items():
        yield Given(name, value, "command line")


def _serve_by_threads(draft: Draft, given: dict[str, Given]) -> None:
    """Treat what depends on the class of workers, and leave the rest to the rows of the table."""
    worker = given.get("worker_class", Given("worker_class (default)", None, ""))
    value = worker.value
    name = str(value["name"] if isinstance(value, dict) else value or "sync")
    short = name.rpartition(".")[2].lower()
    threads = given.get("threads")
    count = number_of(threads.value) if threads is not None else None
    if name == "gthread" or short == "threadworker" or (count or 1) > 1:
        kind = "gthread"
    else:
        kind = "sync" if name == "sync" or short == "syncworker" else "other"
    if kind == "sync":
        given.pop("threads", None)
        if draft.put("threads", 1, worker):
            draft.check(worker, carrying.THREAD_SAFE)
        for each in ("keepalive", "worker_connections"):
            if each in given:
                draft.say(Fate.NEEDLESS, given.pop(each), "sync workers ignore it.")
    elif "timeout" in given:
        draft.say(Fate.NEEDLESS, given.pop("timeout"), carrying.THREADED_TIMEOUT)
    if kind == "other" and threads is not None:
        draft.say(Fate.NEEDLESS, given.pop("threads"), "This worker class ignores it.")


def _hooks(draft: Draft, file: ConfigFile, given: dict[str, Given]) -> None:
    """Carry the functions over that have the same name and arguments here."""
    found = [given[name] for name in SAME_HOOKS if name in given]
    if not found:
        return
    module = file.path.stem
    subject = Given(", ".join(each.name for each in found), None, found[0].place)
    usable = (
        module.isidentifier()
        and file.path.parent == Path()
        and not file.imports_gunicorn
        and draft.value("chdir") is None
    )
    if usable:
        draft.put("hooks", module, subject)
    else:
        reason = "imports gunicorn" if file.imports_gunicorn else "cannot be imported by its name"
        draft.lose(
            subject,
            f"{file.path} {reason}: copy these functions to a module in the directory where the "
            'server is started, such as rocket_hooks.py, and set hooks = "rocket_hooks".',
        )
    for each in found:
        missing = list(filter(_is_missing, file.attributes.get(each.name, [])))
        if missing:
            names = ", ".join(f"{item.name} (line {item.line})" for item in missing)
            draft.check(
                each,
                f"There is no {names}: server has pid, settings and log, and worker has pid, "
                "generation and log.",
            )


def _is_missing(attribute: Attribute) -> bool:
    name = attribute.name.partition(".")[2]
    return attribute.position < 2 and name not in _KNOWN_ATTRIBUTES[attribute.position]


def _names(draft: Draft, file: ConfigFile) -> None:
    """Tell of values that hold for this machine only, and of names that gunicorn ignores."""
    used = {given.name for entry in draft.entries.values() for given in entry.sources}
    computed = [name for name in file.values if name in file.computed and name in used]
    if computed:
        text = "The file computes this. The value is that on this machine, with its variables, now."
        if "workers" in computed:
            text += " processes = 0 is one process per processor."
        draft.check(Given(", ".join(computed), None, str(file.path)), text)
    settings = [row.name for row in GUNICORN.rows]
    for name in file.others:
        if name.lower() in settings:
            near = [name.lower()]
        else:
            near = difflib.get_close_matches(name, settings, n=1, cutoff=0.88)
        if near and near[0] not in file.values:
            draft.lose(
                Given(name, None, file.place(name)),
                f"gunicorn has no setting of this name, and ignores it; {near[0]} may be meant.",
            )
