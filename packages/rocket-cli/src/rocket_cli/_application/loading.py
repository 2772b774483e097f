"""Loading an application or a function by its name."""

from __future__ import annotations

import difflib
import importlib
import inspect
import pkgutil
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final, cast
from wsgiref.types import WSGIApplication

from rocket_cli._errors import CommandError
from rocket_cli._settings.target import Target

USUAL_NAMES: Final = ("application", "app")
"""The usual names of an application in its module."""

FACTORY_NAMES: Final = ("create_app", "make_app")
"""The usual names of a factory of applications in its module."""

# The files of frames between the command and the application's own code.
_OWN_FILES: Final = {__file__, importlib.__file__}


def load(target: Target) -> WSGIApplication:
    """Return the application that ``target`` names. A factory is called. Raises `CommandError`."""
    found: Any = import_module(target.module)
    if not target.attribute:
        target = _usual(found, target.module)
    found = _descend(found, target)
    if target.factory:
        _require_callable(found, target)
        with _explained(f"{target} failed"):
            found = found()
    _require_callable(found, target)
    _require_two_arguments(found, target)
    return cast("WSGIApplication", found)


def load_function(target: Target) -> Callable[[], object]:
    """Return the function that ``target`` names.

    Raises `CommandError`.
    """
    found = _descend(import_module(target.module), target)
    if not callable(found):
        raise CommandError(
            f"{target} is not callable but of type {type(found).__name__}: name a function"
        )
    return cast("Callable[[], object]", found)


def _descend(found: Any, target: Target) -> Any:
    for name in target.attribute.split("."):
        found = _attribute(found, name, target)
    return found


def import_module(name: str) -> ModuleType:
    """Import a module of the application. Raises `CommandError`, also for errors in its code."""
    try:
        with _explained(f"cannot import {name}"):
            return importlib.import_module(name)
    except CommandError as error:
        cause = error.__cause__
        if isinstance(cause, ModuleNotFoundError) and f"{name}.".startswith(f"{cause.name}."):
            raise _not_found(name, cause) from cause
        raise


def _not_found(name: str, cause: ModuleNotFoundError) -> CommandError:
    near = _near(name, [module.name for module in pkgutil.iter_modules([str(Path.cwd())])])
    return CommandError(
        f"no module {cause.name!r} in {Path.cwd()} or among the installed packages{near}"
    )


def _usual(module: ModuleType, name: str) -> Target:
    for usual in USUAL_NAMES:
        if hasattr(module, usual):
            return Target(name, usual)
    for factory in FACTORY_NAMES:
        if hasattr(module, factory):
            raise CommandError(
                f"module {name} has a factory but no application: use {name}:{factory}()"
            )
    raise CommandError(
        f"module {name} has neither {' nor '.join(USUAL_NAMES)}: "
        f"name the application, as {name}:NAME"
    )


def _attribute(owner: Any, name: str, target: Target) -> Any:
    with _explained(f"cannot load {target}"):
        found = getattr(owner, name, _MISSING)
        if found is not _MISSING:
            return found
        names = dir(owner)
    what = f"module {owner.__name__}" if isinstance(owner, ModuleType) else type(owner).__name__
    near = _near(name, names) or f"; name the application, as {target.module}:NAME"
    raise CommandError(f"cannot load {target}: {what} has no attribute {name!r}{near}")


_MISSING: Final = object()


def _near(name: str, names: Iterable[str]) -> str:
    matches = difflib.get_close_matches(name, names, n=3)
    return f"; did you mean {' or '.join(map(repr, matches))}?" if matches else ""


def _require_callable(found: Any, target: Target) -> None:
    if not callable(found):
        raise CommandError(
            f"{target} is not callable but of type {type(found).__name__}: name a WSGI application"
        )


def _require_two_arguments(application: Any, target: Target) -> None:
    """Refuse a factory without parentheses and an ASGI application: every request would fail."""
    try:
        # A wrapped function may have other parameters than its wrapper.
        signature = inspect.signature(application, follow_wrapped=False)
    except (TypeError, ValueError):
        return  # written in C: only a request can tell
    try:
        signature.bind({}, None)
    except TypeError as error:
        advice = "" if target.factory else f"; for a factory write {target}()"
        raise CommandError(
            f"{target} is not a WSGI application (it does not accept environ, start_response). "
            f"ASGI applications such as FastAPI are not supported{advice}"
        ) from error


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Raise `CommandError` for an error in the application's code, with its file and line."""
    try:
        yield
    except (Exception, SystemExit) as error:
        message = f"{type(error).__name__}: {error}".removesuffix(": ")
        raise CommandError(f"{what}: {message}{_place(error)}") from error


def _place(error: BaseException) -> str:
    """Return the innermost file and line of an error, in parentheses; empty if it is not known."""
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        return f" ({error.filename}:{error.lineno})"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if not frame.filename.startswith("<frozen "):
            return "" if frame.filename in _OWN_FILES else f" ({frame.filename}:{frame.lineno})"
    return ""
