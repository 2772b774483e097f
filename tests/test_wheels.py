"""The pure and the compiled wheels, and the hook that makes the compiled ones."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
from packaging.requirements import Requirement

from systemtests.processes import PATIENCE, ROOT

if TYPE_CHECKING:
    from pathlib import Path

HOOK = ROOT / "packages/rocket-core/hatch_build.py"
COMPILED = sorted(path.parent for path in ROOT.glob("packages/*/hatch_build.py"))
SUFFIX = sysconfig.get_config_var("EXT_SUFFIX")

PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "sample"
version = "1.0"
requires-python = ">=3.11"

[tool.hatch.build.targets.wheel]
packages = ["src/sample"]

[tool.hatch.build.targets.wheel.hooks.custom]
compiled = ["sample/**/*.py"]
interpreted = ["sample/**/__init__.py", "sample/kept.py"]
"""
MODULES = {
    "__init__.py": "",
    "kept.py": "def fail() -> None:\n    raise ValueError\n",
    "half.py": "def half(number: int) -> float:\n    return number / 2\n",
    "inverse.py": "def inverse(number: int) -> float:\n    return 1 / number\n",
}
NO_COMPILER = "a compiled wheel needs a C compiler, and no-compiler is not installed"
FAILING = """\
import sample.half, sample.inverse, sample.kept, traceback
print(sample.half.__file__)
print(sample.kept.__file__)
try:
    sample.inverse.inverse(0)
except ZeroDivisionError:
    print(traceback.format_exc())
"""


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """A project of four modules, two of which are compiled."""
    return create(tmp_path / "sample")


def create(folder: Path) -> Path:
    package = folder / "src" / "sample"
    package.mkdir(parents=True)
    for name, text in MODULES.items():
        (package / name).write_text(text)
    (folder / "pyproject.toml").write_text(PROJECT)
    shutil.copy(HOOK, folder)
    return folder


def build(
    folder: Path, target: str = "wheel", **variables: str
) -> subprocess.CompletedProcess[str]:
    """Build a wheel or a source distribution in ``dist``."""
    names = ("ROCKET_COMPILE", "CC")
    environment = {name: each for name, each in os.environ.items() if name not in names}
    return subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", "dist"],
        cwd=folder,
        env={**environment, **variables},
        capture_output=True,
        encoding="utf-8",
        timeout=10 * PATIENCE,
        check=False,
    )


def wheel(folder: Path, **variables: str) -> Path:
    done = build(folder, **variables)
    assert done.returncode == 0, done.stderr
    (found,) = (folder / "dist").glob("*.whl")
    return found


def load_hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hatch_build", HOOK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def hook_of(folder: Path) -> Any:
    """The hook, as hatchling would make it for the package in a folder."""
    with (folder / "pyproject.toml").open("rb") as file:
        build_settings = tomllib.load(file)["tool"]["hatch"]["build"]
    config = build_settings["targets"]["wheel"]["hooks"]["custom"]
    metadata: ProjectMetadata[Any] = ProjectMetadata(str(folder), PluginManager())
    return load_hook().CompilingHook(str(folder), config, None, metadata, "dist", "wheel")


def test_all_packages_have_the_same_hook() -> None:
    assert [path.name for path in COMPILED] == ["rocket-core", "rocket-wsgi"]
    assert {(path / "hatch_build.py").read_bytes() for path in COMPILED} == {HOOK.read_bytes()}


@pytest.mark.parametrize("variables", [{}, {"ROCKET_COMPILE": ""}, {"ROCKET_COMPILE": "0"}])
def test_a_wheel_is_pure_unless_the_variable_asks(variables: dict[str, str], sample: Path) -> None:
    made = wheel(sample, CC="no-compiler", **variables)
    assert made.name == "sample-1.0-py3-none-any.whl"
    with zipfile.ZipFile(made) as archive:
        files = {name for name in archive.namelist() if name.startswith("sample/")}
    assert files == {f"sample/{name}" for name in MODULES}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Compiled wheels of the same project in different places."""
    folder = tmp_path_factory.mktemp("compiled")
    places = [folder / "here", folder / "elsewhere" / "deeper"]
    return [wheel(create(place), ROCKET_COMPILE="1") for place in places]


def test_a_compiled_wheel(compiled: list[Path], tmp_path: Path) -> None:
    made, _ = compiled
    version = "cp{}{}".format(*sys.version_info)
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert made.name == f"sample-1.0-{version}-{version}-{platform}.whl"
    with zipfile.ZipFile(made) as archive:
        files = {name for name in archive.namelist() if name.startswith("sample/")}
        assert files == {f"sample/{name}" for name in MODULES} | {
            f"sample/{name}{SUFFIX}" for name in ("_compiled__mypyc", "half", "inverse")
        }
        archive.extractall(tmp_path / "site")
    site = tmp_path / "site"
    command = [sys.executable, "-c", FAILING]
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    half, kept, *trace = done.stdout.splitlines()
    assert half == str(site / "sample" / f"half{SUFFIX}")
    assert kept == str(site / "sample" / "kept.py")
    assert '  File "sample/inverse.py", line 2, in inverse' in trace


def test_a_compiled_wheel_does_not_depend_on_where_it_is_made(compiled: list[Path]) -> None:
    one, other = (each.read_bytes() for each in compiled)
    assert one == other


def test_an_editable_install_is_never_compiled(
    sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ROCKET_COMPILE", "1")
    data: dict[str, Any] = {"pure_python": True, "force_include": {}}
    hook_of(sample).initialize("editable", data)
    assert data == {"pure_python": True, "force_include": {}}


def test_a_source_distribution_has_the_hook(sample: Path) -> None:
    assert build(sample, "sdist", ROCKET_COMPILE="1", CC="no-compiler").returncode == 0
    with tarfile.open(sample / "dist/sample-1.0.tar.gz") as archive:
        assert "sample-1.0/hatch_build.py" in archive.getnames()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        (
            {"ROCKET_COMPILE": "yes"},
            "ROCKET_COMPILE is 'yes': set it to 1 for a compiled wheel, or unset it.",
        ),
        (
            {"ROCKET_COMPILE": "1", "CC": "no-compiler -pthread"},
            f"ROCKET_COMPILE=1 is impossible here: {NO_COMPILER}. Unset it for the pure wheel.",
        ),
    ],
)
def test_errors_are_one_line(variables: dict[str, str], message: str, sample: Path) -> None:
    done = build(sample, **variables)
    assert (done.returncode, done.stderr) == (1, f"{message}\n")
    assert not (sample / "dist").exists() or not list((sample / "dist").iterdir())


def test_a_pattern_without_modules_is_an_error(sample: Path) -> None:
    settings = sample / "pyproject.toml"
    settings.write_text(PROJECT.replace("kept", "missing"))
    done = build(sample, ROCKET_COMPILE="1")
    assert done.returncode == 1
    assert done.stderr.startswith("interpreted: no module matches 'sample/missing.py' in ")


def test_code_that_cannot_be_compiled(sample: Path) -> None:
    """The message of the compiler is there, and then which package it is about."""
    (sample / "src/sample/half.py").write_text("class Half(bytes):\n    pass\n")
    done = build(sample, ROCKET_COMPILE="1")
    assert done.returncode == 1
    first, *_, last = done.stderr.splitlines()
    assert first.startswith("sample/half.py:1: error: ")
    assert last == "sample could not be compiled: see above."


def test_python_without_the_gil_is_not_for_compiled_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    known = sysconfig.get_config_var
    monkeypatch.setattr(
        sysconfig, "get_config_var", lambda name: 1 if name == "Py_GIL_DISABLED" else known(name)
    )
    assert load_hook().obstacle() == "Python without the GIL needs the pure wheel"


def test_missing_headers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path / name))
    monkeypatch.setenv("CC", sys.executable)
    reason = load_hook().obstacle()
    assert reason.startswith("a compiled wheel needs the headers of Python (python3-dev): no ")
    assert reason.endswith("Python.h")


@pytest.mark.parametrize("package", COMPILED, ids=lambda path: path.name)
def test_compiling_needs_the_compiler_and_what_the_package_imports(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ROCKET_COMPILE", raising=False)
    assert hook_of(package).dependencies() == []
    monkeypatch.setenv("ROCKET_COMPILE", "1")
    compiler = load_hook().COMPILER
    assert hook_of(package).dependencies() == [compiler]
    alone = tmp_path / "unpacked"
    shutil.copytree(package, alone, ignore=shutil.ignore_patterns("tests", ".*"))
    with (package / "pyproject.toml").open("rb") as file:
        declared = tomllib.load(file)["project"]["dependencies"]
    assert len(declared) == (package.name == "rocket-wsgi")
    assert hook_of(alone).dependencies() == [
        compiler,
        *(str(Requirement(each)) for each in declared),
    ]


@pytest.mark.parametrize("package", COMPILED, ids=lambda path: path.name)
def test_the_modules_to_compile_exist(package: Path) -> None:
    assert hook_of(package)._modules()


def calls_in_slices(source: str) -> list[str]:
    """Return the calls within bounds of slices, except those of `len`, as ``line: call``.

    mypyc evaluates the bounds of a slice twice if it does not know the type of what is sliced.
    """
    return [
        f"{node.lineno}: {ast.unparse(node)}"
        for outer in ast.walk(ast.parse(source))
        if isinstance(outer, ast.Slice)
        for node in ast.walk(outer)
        if isinstance(node, ast.Call)
        and not (isinstance(node.func, ast.Name) and node.func.id == "len")
    ]


def test_calls_in_slices_are_found() -> None:
    assert calls_in_slices("part = text[start : find(end)]\nrest = text[len(text) :]\n") == [
        "1: find(end)"
    ]


@pytest.mark.parametrize("package", COMPILED, ids=lambda path: path.name)
def test_compiled_modules_call_nothing_in_slices(package: Path) -> None:
    found = {
        module: calls
        for module in hook_of(package)._modules()
        if (calls := calls_in_slices((package / "src" / module).read_text()))
    }
    assert found == {}


def foreign_layouts(package: Path) -> list[str]:
    """Return the compiled classes that have slots of a class compiled elsewhere, or not at all.

    mypyc lays a class out without them, so that each would write over the attributes of the other.
    """
    names = {module.removesuffix(".py").replace("/", ".") for module in hook_of(package)._modules()}
    found = []
    for name in sorted(names):
        module = importlib.import_module(name)
        for each in vars(module).values():
            if isinstance(each, type) and each.__module__ == name:
                found += [
                    f"{name}.{each.__qualname__}: {base.__module__}.{base.__qualname__}"
                    for base in each.__mro__[1:]
                    if base.__module__.startswith("rocket_")
                    and base.__module__ not in names
                    and base.__dict__.get("__slots__")
                ]
    return found


@pytest.mark.parametrize("package", COMPILED, ids=lambda path: path.name)
def test_compiled_classes_have_no_slots_of_classes_compiled_elsewhere(package: Path) -> None:
    assert foreign_layouts(package) == []
