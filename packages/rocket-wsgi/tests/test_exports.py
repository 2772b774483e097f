"""The public names of the package."""

from __future__ import annotations

import importlib.metadata
import inspect
import sys
import typing
from importlib.machinery import ExtensionFileLoader
from types import FunctionType
from typing import Any

import rocket_wsgi
from rocket_wsgi import compat, extending


def test_public_names() -> None:
    assert rocket_wsgi.__all__ == [
        "MAX_BODY",
        "MAX_LINES",
        "SERVER",
        "AccessLog",
        "ApplicationError",
        "BusError",
        "Cancelled",
        "CancelledBy",
        "DeferredAnswer",
        "EventStream",
        "Executor",
        "FileWorker",
        "FileWrapper",
        "Future",
        "Group",
        "RememberedFutures",
        "RequestIds",
        "Site",
        "StaticFiles",
        "Underscores",
        "WSGIWorker",
        "WebSocket",
        "__version__",
        "compiled",
    ]


def test_names_for_programs_built_on_the_package() -> None:
    assert extending.__all__ == [
        "OWN_STATUSES",
        "Follower",
        "connect_shared_groups",
        "descriptor_of",
        "files_only",
        "open_log",
    ]


def test_names_of_the_original_rocket() -> None:
    assert compat.__all__ == [
        "HTTP_SERVER_SOFTWARE",
        "SERVER_NAME",
        "SERVER_SOFTWARE",
        "SOCKET_TIMEOUT",
        "CherryPyWSGIServer",
        "Rocket",
        "Rocket3",
        "__version__",
        "has_ssl",
    ]


def test_nothing_else_is_public() -> None:
    """A name without an underscore is in `__all__`, or is a public module."""
    modules = {"compat", "django", "engineio", "extending", "redis_bus"}
    found = {name for name in vars(rocket_wsgi) if not name.startswith("_")}
    assert found - modules == {name for name in rocket_wsgi.__all__ if not name.startswith("_")}


def test_classes_and_functions_name_the_module_they_are_imported_from() -> None:
    for door in (rocket_wsgi, extending, compat):
        for name in door.__all__:
            value = getattr(door, name)
            if isinstance(value, type | FunctionType):
                assert value.__module__ == door.__name__, name


def test_compiled_is_what_this_process_runs() -> None:
    """Modules that are compiled have been loaded from extension modules."""
    own = [each for name, each in sys.modules.items() if name.startswith("rocket_wsgi")]
    loaders = [each.__spec__.loader for each in own if each.__spec__ is not None]
    found = any(isinstance(each, ExtensionFileLoader) for each in loaders)
    assert found == rocket_wsgi.compiled


def test_annotations_can_be_resolved() -> None:
    """By frameworks that inject dependencies or make documentation, for example."""
    for door in (rocket_wsgi, extending, compat):
        for value in (getattr(door, name) for name in door.__all__):
            for each in annotated(value):
                typing.get_type_hints(each)


def annotated(value: object) -> list[Any]:
    """Return a function, or a class with its public methods and its constructor."""
    if not isinstance(value, type):
        return [value] if inspect.isfunction(value) else []
    methods = inspect.getmembers(value, inspect.isfunction)
    return [value, *(each for name, each in methods if name == "__init__" or name[0] != "_")]


def test_version_is_that_of_the_distribution() -> None:
    assert rocket_wsgi.__version__ == importlib.metadata.version("rocket-wsgi")
