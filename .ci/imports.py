"""Check that each package imports what it declares and the standard library, and nothing else."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

PACKAGES = Path(__file__).parents[1] / "packages"

FOR_TYPES = {"mypy_extensions"}
"""What comes with the type checker, and is imported for it alone."""

OF_APPLICATIONS = {"django"}
"""What a module is for that only applications import which have it anyway."""

BY_NAME = {"backports", "brotli"}
"""What is imported by a name in a string, because a compiled wheel is built without it."""

OTHER_NAMES = {"backports.zstd": "backports", "python_engineio": "engineio"}
"""The import names of distributions whose own name is another one."""


def declared(package: Path) -> set[str]:
    """Import names of the package's dependencies, those of its extras among them."""
    with Path(package, "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras = project.get("optional-dependencies", {}).values()
    lines = [*project["dependencies"], *(line for extra in extras for line in extra)]
    names = [re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in lines]
    modules = [name.lower().replace("-", "_") for name in names]
    return {OTHER_NAMES.get(module, module) for module in modules}


def imported(package: Path) -> dict[str, str]:
    """Top-level names that the package imports from elsewhere, each with a place that does so."""
    found: dict[str, str] = {}
    for path in sorted(package.glob("src/**/*.py")):
        for node in ast.walk(ast.parse(path.read_bytes(), path)):
            if isinstance(node, ast.Import):
                modules = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                modules = [node.module or ""]
            else:
                continue
            place = f"{path.relative_to(PACKAGES.parent)}:{node.lineno}"
            for module in modules:
                found.setdefault(module.partition(".")[0], place)
    own = package.name.replace("-", "_")
    known = sys.stdlib_module_names | FOR_TYPES | OF_APPLICATIONS
    return {name: place for name, place in found.items() if name != own and name not in known}


def main() -> int:
    """Report each difference on a line; 1 when there is one."""
    differences = []
    for package in sorted(path.parent for path in PACKAGES.glob("*/pyproject.toml")):
        dependencies = declared(package)
        imports = imported(package)
        differences += [
            f"{imports[name]}: imports {name}, which {package.name} does not declare"
            for name in sorted(imports.keys() - dependencies)
        ]
        differences += [
            f"{package.relative_to(PACKAGES.parent)}/pyproject.toml: declares {name}, "
            "which nothing in src imports"
            for name in sorted(dependencies - imports.keys() - BY_NAME)
        ]
    print("\n".join(differences) or "Imports and declared dependencies agree.")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
