"""The software bill of materials (SBOM) of rocket-cli with all extras, in the format CycloneDX."""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from release.errors import ReleaseError
from release.packages import Package


def bill(python: Path, package: Package) -> str:
    """Return the bill of everything that is installed for an interpreter, as JSON.

    The version of a package is not in its pyproject.toml, so that the tool gets a copy that has it,
    and it gives no identifier to the package that the bill is about.
    Raises `ReleaseError` if the result violates the format.
    """
    version = str(package.version())
    text = package.project_file.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as directory:
        project = Path(directory, "pyproject.toml")
        project.write_text(re.sub(r"(?m)^dynamic = .*$", f'version = "{version}"', text))
        command = ["cyclonedx-py", "environment", str(python), "--pyproject", str(project)]
        form = ["--mc-type", "application", "--output-reproducible", "--output-format", "JSON"]
        done = subprocess.run([*command, *form], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise ReleaseError("cyclonedx-py failed: see above")
    found = json.loads(done.stdout)
    root = found["metadata"]["component"]
    if root.get("version") != version:
        raise ReleaseError(f"the bill is about {root['name']} {root.get('version')}")
    root["purl"] = f"pkg:pypi/{package.name}@{version}"
    result = json.dumps(found, indent=2) + "\n"
    validator = JsonStrictValidator(SchemaVersion.from_version(found["specVersion"]))
    if error := validator.validate_str(result):
        raise ReleaseError(f"the bill is not valid: {error}")
    return result
