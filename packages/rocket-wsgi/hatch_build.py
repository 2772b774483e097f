"""Compile modules of the wheel with mypyc, if the variable ROCKET_COMPILE asks for it.

Without the variable a wheel is pure Python, as an editable install always is. A compiled wheel has
the extension modules beside the Python files that they are made from, and Python prefers them.

The table of this hook in pyproject.toml has two lists of patterns, for paths below ``src``: the
modules of ``compiled`` are compiled, except the ones of ``interpreted``.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from packaging.requirements import Requirement

VARIABLE = "ROCKET_COMPILE"
COMPILER = "mypy[mypyc]>=2.4,<2.5"
"""The next minor version may refuse what this one compiles, or compile it differently."""


def wanted() -> bool:
    """Return whether the environment asks for a compiled wheel."""
    value = os.environ.get(VARIABLE, "")
    if value not in ("", "0", "1"):
        sys.exit(f"{VARIABLE} is {value!r}: set it to 1 for a compiled wheel, or unset it.")
    return value == "1"


def obstacle() -> str | None:
    """Return what keeps this interpreter and machine from compiling; None if nothing does."""
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "Python without the GIL needs the pure wheel"
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} needs the pure wheel"
    if os.name == "posix":
        program = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
        if shutil.which(program) is None:
            return f"a compiled wheel needs a C compiler, and {program} is not installed"
        header = Path(sysconfig.get_path("include"), "Python.h")
        if not header.exists():
            return f"a compiled wheel needs the headers of Python (python3-dev): no {header}"
    return None


class CompilingHook(BuildHookInterface[Any]):
    """The hook that hatchling runs around the build of a wheel."""

    def dependencies(self) -> list[str]:
        """Return what compiling needs: mypyc, and the types of what the package imports."""
        if not wanted():
            return []
        elsewhere = [each for each in self._dependencies() if self._beside(each) is None]
        return [COMPILER, *map(str, elsewhere)]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and put the extension modules into the wheel that is going to be written."""
        if version == "editable" or not wanted():
            return
        if reason := obstacle():
            sys.exit(f"{VARIABLE}=1 is impossible here: {reason}. Unset it for the pure wheel.")
        self._scratch = tempfile.TemporaryDirectory(prefix="rocket-compile-")
        scratch = Path(self._scratch.name)
        beside = [str(path) for each in self._dependencies() if (path := self._beside(each))]
        package = self.metadata.core.name.replace("-", "_")
        done = subprocess.run(
            [sys.executable, __file__, str(scratch), f"{package}._compiled", *self._modules()],
            cwd=Path(self.root, "src"),
            env={**os.environ, "MYPYPATH": os.pathsep.join(beside), "PYTHONHASHSEED": "0"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            check=False,
        )
        if done.returncode != 0:
            sys.exit(f"{done.stdout}{package} could not be compiled: see above.")
        compiled = scratch / "compiled"
        for path in sorted(compiled.rglob("*")):
            if path.is_file():
                build_data["force_include"][str(path)] = str(path.relative_to(compiled))
        build_data["pure_python"] = False
        build_data["infer_tag"] = True

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove what was compiled, once it is in the wheel."""
        if not build_data["pure_python"]:
            self._scratch.cleanup()

    def _dependencies(self) -> list[Requirement]:
        return [Requirement(line) for line in self.metadata.core.dependencies]

    def _beside(self, requirement: Requirement) -> Path | None:
        """Return the sources of a package beside this one, as in a clone."""
        sources = Path(self.root).parent / requirement.name / "src"
        return sources if sources.is_dir() else None

    def _modules(self) -> list[str]:
        """Return the paths of the modules to compile, relative to ``src``."""
        chosen = self._matching("compiled") - self._matching("interpreted")
        return sorted(str(path) for path in chosen)

    def _matching(self, option: str) -> set[Path]:
        """Return the modules that an option names; a pattern without any is a mistake in it."""
        sources = Path(self.root, "src")
        found: set[Path] = set()
        for pattern in self.config[option]:
            paths = {path.relative_to(sources) for path in sources.glob(pattern)}
            if not paths:
                sys.exit(f"{option}: no module matches {pattern!r} in {sources}.")
            found |= paths
        return found


def compile_modules(scratch: Path, group: str, modules: list[str]) -> None:
    """Compile modules, given by paths relative to the working directory, as one group.

    Paths in tracebacks and in the code are as they are given here, and never those of a directory
    that existed during the build only.
    """
    from mypyc.build import mypycify
    from setuptools import Distribution

    # The types are checked elsewhere. No configuration file that happens to be above the working
    # directory has a say, nor has a cache.
    options = ["--config-file=", f"--cache-dir={os.devnull}"]
    extensions = mypycify(
        [*options, *modules],
        opt_level="3",
        debug_level="0",
        target_dir=str(scratch / "c"),
        group_name=group,
    )
    command = Distribution({"ext_modules": extensions}).get_command_obj("build_ext")
    command.build_lib = str(scratch / "compiled")
    command.build_temp = str(scratch / "objects")
    command.parallel = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else True
    command.ensure_finalized()
    command.run()


if __name__ == "__main__":
    compile_modules(Path(sys.argv[1]), sys.argv[2], sys.argv[3:])
