"""What is in wheels and source distributions, and what their metadata say."""

from __future__ import annotations

import re
import tarfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from packaging.metadata import Metadata
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name, parse_wheel_filename
from readme_renderer import markdown

from release.packages import Package

URLS = {"Changelog", "Documentation", "Homepage", "Issues", "Source"}
REPOSITORY = "https://github.com/rocket-server/rocket"

_RELATIVE = re.compile(r'<a href="(?!#|https?://|mailto:)([^"]*)"')


def wheel_faults(path: Path, package: Package) -> Iterator[str]:
    """Yield what is wrong with a wheel, in a line each."""
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        info = f"{package.module}-{package.version()}.dist-info"
        if f"{info}/METADATA" not in names:
            yield f"has no {info}/METADATA"
            return
        metadata = archive.read(f"{info}/METADATA")
        marks = archive.read(f"{info}/WHEEL").decode().splitlines()
    sources = {
        str(each.relative_to(package.folder / "src"))
        for each in package.folder.glob("src/**/*")
        if each.is_file() and "__pycache__" not in each.parts
    }
    yield from (f"has no {name}" for name in sorted(sources - names))
    if f"{package.module}/py.typed" not in names:
        yield f"has no {package.module}/py.typed"
    if f"{info}/licenses/LICENSE" not in names:
        yield "has no licence"
    *_, tags = parse_wheel_filename(path.name)
    is_pure = all(tag.platform == "any" for tag in tags)
    compiled = {name for name in names if name.endswith((".so", ".pyd"))}
    if is_pure == bool(compiled):
        yield "has compiled modules" if compiled else "has no compiled modules"
    if f"Root-Is-Purelib: {'true' if is_pure else 'false'}" not in marks:
        yield "says in WHEEL another thing than its name"
    others = names - sources - compiled
    yield from (f"has {each}" for each in sorted(others) if not each.startswith(f"{info}/"))
    yield from metadata_faults(metadata, package)


def source_faults(path: Path, package: Package) -> Iterator[str]:
    """Yield what is wrong with a source distribution, in a line each."""
    top = f"{package.module}-{package.version()}"
    with tarfile.open(path) as archive:
        files = [member.name for member in archive.getmembers() if not member.isdir()]
        names = {name.removeprefix(f"{top}/") for name in files}
        found = archive.extractfile(f"{top}/PKG-INFO")
        metadata = found.read() if found is not None else b""
    wanted = {"CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml"}
    if (package.folder / "hatch_build.py").exists():
        wanted.add("hatch_build.py")
    wanted |= {
        str(each.relative_to(package.folder))
        for part in ("src", "tests")
        for each in package.folder.glob(f"{part}/**/*.py")
    }
    yield from (f"has no {name}" for name in sorted(wanted - names))
    allowed = re.compile(r"(src|tests)/.*|PKG-INFO|\.gitignore")
    left = (name for name in names - wanted if not allowed.fullmatch(name))
    yield from (f"has {name}" for name in sorted(left))
    yield from (f"has {name}" for name in sorted(names) if re.search(r"__pycache__|\.pyc$", name))
    yield from metadata_faults(metadata, package)


def metadata_faults(data: bytes, package: Package) -> Iterator[str]:
    """Yield what is wrong with the metadata; raise an error for what is not valid at all."""
    found = Metadata.from_email(data)  # checks each field
    if (found.name, found.version) != (package.name, package.version()):
        yield f"has the metadata of {found.name} {found.version}"
    if found.license_expression != "MIT" or found.license_files != ["LICENSE"]:
        yield f"has the licence {found.license_expression}, files {found.license_files}"
    if str(found.requires_python) != package.project["requires-python"]:
        yield f"requires Python {found.requires_python}"
    if sorted(found.provides_extra or []) != package.extras:
        yield f"has the extras {found.provides_extra}"
    if needed(found.requires_dist or []) != needed(package.requirements()):
        yield f"requires {', '.join(map(str, found.requires_dist or []))}"
    urls = found.project_urls or {}
    if urls.keys() != URLS or not any(each.startswith(REPOSITORY) for each in urls.values()):
        yield f"has the URLs {urls}"
    if not found.keywords or not found.classifiers or not found.summary:
        yield "has no keywords, no classifiers or no summary"
    rendered = markdown.render(found.description or "")
    if rendered is None or not re.search(f"<h1[^>]*>{package.name}<", rendered):
        yield "has a README that does not render"
    else:
        yield from (f"has a link to {each} in its README" for each in _RELATIVE.findall(rendered))


def needed(requirements: Iterable[Requirement]) -> set[tuple[str, str]]:
    """Return names and ranges, in a form in which two lists can be compared."""
    return {(canonicalize_name(each.name), str(each.specifier)) for each in requirements}


def faults(folder: Path, known: Sequence[Package]) -> Iterator[str]:
    """Yield what is wrong with the distributions in a folder, in a line each."""
    for package in known:
        start = f"{package.module}-{package.version()}"
        sources = sorted(folder.glob(f"{start}.tar.gz"))
        pure = sorted(folder.glob(f"{start}-py3-none-any.whl"))
        if len(sources) != 1 or len(pure) != 1:
            yield f"{package.name} {package.version()}: no source distribution or no pure wheel"
        for path in sources:
            yield from (f"{path.name}: {fault}" for fault in source_faults(path, package))
        for path in sorted(folder.glob(f"{start}-*.whl")):
            yield from (f"{path.name}: {fault}" for fault in wheel_faults(path, package))
    names = tuple(f"{each.module}-{each.version()}" for each in known)
    for path in sorted(folder.iterdir()):
        if not path.name.startswith(names):
            yield f"{path.name}: is no distribution of these versions"
