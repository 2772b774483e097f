"""A program that runs a configuration file of gunicorn, and reports the values of its names.

It is run by `rocket_cli._migration.gunicorn.config_file` as a file in a process of its own, so that
nothing that the configuration does, such as a patch by gevent, happens in the command. It imports
nothing but the standard library. Arguments: the descriptor of the file for the report, the path of
the configuration, and the names of the settings, separated by commas.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import json
import os
import runpy
import sys
import traceback
import types
from collections.abc import Sequence
from typing import Any


class _AnyAttributes(type):
    """The type of classes that have every attribute: a class again."""

    def __getattr__(cls, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _AnyAttributes(name, (), {"__module__": cls.__module__})


class _StandIn(types.ModuleType):
    """A module of gunicorn that is not installed: it has a class for every name."""

    __path__: list[str] = []  # noqa: RUF012 - it is a package to the import system
    __version__ = "27.0.0"
    version_info = (27, 0, 0)

    def __getattr__(self, name: str) -> type:
        if name.startswith("__"):
            raise AttributeError(name)
        return _AnyAttributes(name, (), {"__module__": self.__name__})


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds gunicorn and its modules where no other finder does."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        del path, target
        if name.partition(".")[0] != "gunicorn":
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _StandIn(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        del module


def _plain(value: Any) -> Any:
    """Return a value that JSON can have; functions and other objects become texts in a table."""
    if value is None or isinstance(value, (bool, str, float)):
        return value
    if isinstance(value, int):
        return int(value)  # without the name that it has in an enumeration
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    module, name = getattr(value, "__module__", ""), getattr(value, "__qualname__", repr(value))
    kind = "class" if isinstance(value, type) else "function" if callable(value) else "object"
    return {"$": kind, "name": f"{module}.{name}"}


def _failure(error: BaseException, path: str) -> dict[str, Any]:
    """Return what is wrong, and the line of the configuration where it happens."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return {"line": error.lineno, "message": f"syntax error: {error.msg}"}
    frames = traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in frames if frame.filename == path]
    message = f"{type(error).__name__}: {error}".removesuffix(": ")
    name = error.name if isinstance(error, ModuleNotFoundError) else None
    return {"line": lines[-1] if lines else None, "message": message, "missing": name}


def _main() -> None:
    descriptor, path, names = int(sys.argv[1]), sys.argv[2], sys.argv[3].split(",")
    sys.argv = [path]
    sys.path.insert(0, os.getcwd())  # noqa: PTH109 - as the interpreter does
    sys.meta_path.append(_StandIns())
    report: dict[str, Any]
    try:
        found = runpy.run_path(path, run_name="__config__")
        values = {name: _plain(found[name]) for name in names if name in found}
        others = [name for name in found if not name.startswith("_") and name not in values]
        report = {"values": values, "others": others}
    except BaseException as error:  # noqa: BLE001 - also SystemExit; the command reports it
        report = {"error": _failure(error, path)}
    with open(descriptor, "w", encoding="utf-8") as file:
        json.dump(report, file)


if __name__ == "__main__":
    _main()
