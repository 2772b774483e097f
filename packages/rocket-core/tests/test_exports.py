from __future__ import annotations

import ast
import importlib
import importlib.metadata
import inspect
import subprocess
import sys
import typing
from pathlib import Path
from typing import Any

import pytest

import rocket_core

PUBLIC = {
    "rocket_core": {
        "Activity",
        "Address",
        "AddressError",
        "BACKLOG",
        "BindError",
        "ClientGone",
        "CloseReason",
        "Connection",
        "ConnectionInfo",
        "Histogram",
        "Lifecycle",
        "LifecycleError",
        "Listener",
        "MessageCounts",
        "Networks",
        "Peer",
        "ResponseCounts",
        "RocketError",
        "Server",
        "SharedConnection",
        "SharedCounts",
        "SharedProtocol",
        "State",
        "Statistics",
        "TCPAddress",
        "Timeouts",
        "TransitionError",
        "UnixAddress",
        "WaitError",
        "Worker",
        "__version__",
        "address_of",
        "compiled",
        "parse_address",
    },
    "rocket_core.extending": {
        "ClientBuckets",
        "FaultLog",
        "Hold",
        "Lease",
        "NotYet",
        "OUTPUT_BOUND",
        "Phase",
        "QUEUE_BOUND",
        "READ",
        "RECEIVE_SIZE",
        "RareLog",
        "RequestHandler",
        "SharedRequest",
        "SharedTurns",
        "SocketFile",
        "Spool",
        "SpoolError",
        "Transfer",
        "TurnTaker",
        "UpgradedSocket",
        "WRITE",
        "bind_socket",
        "granted_cores",
        "mypyc_attr",
        "spool_fault",
        "origin_of_host",
    },
    "rocket_core.http1": {
        "FieldNames",
        "HeadError",
        "MAX_FIELD",
        "MAX_FIELDS",
        "MAX_HEAD",
        "MAX_REQUEST_LINE",
        "RequestLine",
        "check_arriving",
        "check_head",
        "read_fields",
        "read_request_line",
        "split_head",
        "split_request_line",
    },
    "rocket_core.testing": {
        "Answer",
        "Client",
        "Load",
        "NARROW",
        "NarrowListener",
        "PATIENCE",
        "Report",
        "Script",
        "ServerProcess",
        "TooSlow",
        "at_growing_scales",
        "descriptors",
        "eventually",
        "listening",
        "many_descriptors",
        "report_to_parent",
        "resident",
        "unused_port",
        "within",
    },
}
"""The public modules of rocket-core, with their names."""


@pytest.mark.parametrize("door", PUBLIC)
def test_a_door_offers_exactly_these_names(door: str) -> None:
    names = importlib.import_module(door).__all__
    assert len(names) == len(PUBLIC[door])
    assert set(names) == PUBLIC[door]


@pytest.mark.parametrize("door", PUBLIC)
def test_each_name_can_be_imported(door: str) -> None:
    namespace: dict[str, object] = {}
    exec(f"from {door} import {', '.join(sorted(PUBLIC[door]))}", namespace)
    assert namespace.keys() >= PUBLIC[door]


@pytest.mark.parametrize("door", PUBLIC)
def test_public_classes_and_functions_name_the_door_they_come_through(door: str) -> None:
    module = importlib.import_module(door)
    public = [getattr(module, name) for name in module.__all__]
    assert {each.__module__ for each in public if callable(each)} == {door}


@pytest.mark.parametrize("door", PUBLIC)
def test_nothing_else_in_a_door_looks_public(door: str) -> None:
    """What a door defines, and what it imports from private modules, if it is a door only."""
    # A compiled module has wrong paths of itself, and its source beside it.
    package = Path(rocket_core.__file__)
    source = package.with_name(f"{door.partition('.')[2] or '__init__'}.py")
    tree = ast.parse(source.read_text())
    imports_only = not any(isinstance(node, ast.ClassDef | ast.FunctionDef) for node in tree.body)
    found: set[str] = set()
    for node in tree.body:
        match node:
            case ast.ClassDef() | ast.FunctionDef():
                found.add(node.name)
            case ast.Assign():
                found.update(each.id for each in node.targets if isinstance(each, ast.Name))
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
            case ast.ImportFrom() if imports_only:
                found.update(each.asname or each.name for each in node.names)
    assert {name for name in found if not name.startswith("_")} <= PUBLIC[door]


@pytest.mark.parametrize("door", PUBLIC)
def test_annotations_can_be_resolved(door: str) -> None:
    """By frameworks that inject dependencies or make documentation, for example."""
    module = importlib.import_module(door)
    for value in (getattr(module, name) for name in module.__all__):
        for each in annotated(value):
            typing.get_type_hints(each)


def annotated(value: object) -> list[Any]:
    """Return a function, or a class with its public methods and its constructor."""
    if not isinstance(value, type):
        return [value] if inspect.isfunction(value) else []
    methods = inspect.getmembers(value, inspect.isfunction)
    return [value, *(each for name, each in methods if name == "__init__" or name[0] != "_")]


def test_every_other_module_is_private() -> None:
    program = (
        "import pkgutil, rocket_core;"
        "print(*sorted(each.name for each in pkgutil.iter_modules(rocket_core.__path__)"
        " if not each.name.startswith('_')))"
    )
    doors = sorted(door.partition(".")[2] for door in PUBLIC if "." in door)
    assert run(program).split() == doors


def test_importing_rocket_core_loads_neither_ssl_nor_a_third_party_package() -> None:
    program = (
        "import sys; before = set(sys.modules);"
        "import rocket_core, rocket_core.extending, rocket_core.http1;"
        "print(*sorted({each.partition('.')[0] for each in set(sys.modules) - before}))"
    )
    loaded = set(run(program).split()) - {"rocket_core"}
    assert not loaded & {"ssl", "_ssl"}
    assert {each for each in loaded if each not in sys.stdlib_module_names} == set()


def test_compiled_is_what_this_process_runs() -> None:
    """Modules that are compiled have been loaded from extension modules."""
    program = (
        "import sys, rocket_core;"
        "own = [each for name, each in sys.modules.items() if name.startswith('rocket_core')];"
        "loaders = {type(each.__spec__.loader).__name__ for each in own};"
        "print('ExtensionFileLoader' in loaders, rocket_core.compiled)"
    )
    found, told = run(program).split()
    assert found == told


def test_version_is_that_of_the_distribution() -> None:
    assert rocket_core.__version__ == importlib.metadata.version("rocket-core")


def run(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
