"""The README files: what they tell a reader to install works in an empty environment.

Each has two blocks: one for a clone, and one for the released packages. The latter is run with the
wheels of this repository in place of the released ones.
"""

from __future__ import annotations

import faulthandler
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pytest
from click.testing import CliRunner
from packaging.requirements import Requirement

from rocket_cli import __version__, main
from systemtests.processes import PATIENCE, ROOT

READMES = [ROOT / "README.md", *sorted(ROOT.glob("packages/*/README.md"))]
PASSED_ON = re.compile(r"(?i)PIP_|SSL_CERT_|(HTTPS?|ALL|NO)_PROXY\Z|REQUESTS_CA_BUNDLE\Z")
"""Variables with which a machine says how its programs reach a package index."""

_BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def named(readme: Path) -> str:
    return str(readme.relative_to(ROOT))


def blocks(readme: Path) -> list[str]:
    """The shell blocks of the section "Install"."""
    text = readme.read_text(encoding="utf-8")
    section = re.search(r"^## Install\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return [] if section is None else _BLOCK.findall(section[1])


def examples() -> list[str]:
    """Every command that the README files serve an application with."""
    found = set()
    for readme in READMES:
        text = readme.read_text(encoding="utf-8").replace("\\\n", " ")
        found |= set(re.findall(r"^(?: {4})?(rocket-cli serve(?: .*)?)$", text, re.MULTILINE))
    return sorted(found)


def git(*words: str, cwd: Path) -> None:
    author = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *author, *words], cwd=cwd, timeout=PATIENCE, check=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with what a clone of this one has that the blocks need."""
    directory = tmp_path_factory.mktemp("repository")
    ignored = shutil.ignore_patterns("tests", "dist", "build", "__pycache__", ".*")
    shutil.copytree(ROOT / "packages", directory / "packages", ignore=ignored)
    shutil.copy(ROOT / "bootstrap.py", directory)
    git("init", "--quiet", cwd=directory)
    git("add", "--all", cwd=directory)
    git("commit", "--quiet", "--message", "As it is", cwd=directory)
    return directory


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Variables of pip by which it takes the packages of this repository, and none from PyPI.

    nox says where it has built the wheels; otherwise they are built here. Of wheels of the same
    version pip takes the one with a build number, so that a release on PyPI has no chance.
    """
    directory = tmp_path_factory.mktemp("release")
    wheels = Path(os.environ.get("ROCKET_WHEELS", directory))
    if wheels == directory:
        for package in sorted(ROOT.glob("packages/*/")):
            command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d"]
            subprocess.run([*command, str(directory)], cwd=package, timeout=PATIENCE, check=True)
    constraints = directory / "constraints.txt"
    with constraints.open("w") as file:
        for name in ("rocket-cli", "rocket-core", "rocket-tls", "rocket-wsgi"):
            (wheel,) = wheels.glob(f"{name.replace('-', '_')}-*-py3-none-any.whl")
            _, version, *_ = wheel.name.split("-")
            file.write(f"{name}=={version}\n")
            shutil.copy(wheel, directory / wheel.name.replace("-py3-", "-1-py3-"))
    return {"PIP_CONSTRAINT": str(constraints), "PIP_FIND_LINKS": str(directory)}


@pytest.fixture(scope="module")
def downloads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture
def empty(tmp_path: Path, downloads: Path) -> dict[str, str]:
    """The environment of a new user of this machine, for whom ``python3`` is this Python.

    What is downloaded for one block is there for the next one, and nothing is compiled in advance,
    which would take most of the time.
    """
    home, programs = tmp_path / "home", tmp_path / "programs"
    home.mkdir()
    programs.mkdir()
    python = programs / "python3"
    base = Path(sys.base_prefix, "bin", "python{}.{}".format(*sys.version_info))
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(str(base))} "$@"\n')
    python.chmod(0o755)
    return {
        **{name: value for name, value in os.environ.items() if PASSED_ON.match(name)},
        "PIP_CACHE_DIR": str(downloads),
        "PIP_NO_COMPILE": "1",
        "HOME": str(home),
        "PATH": f"{programs}{os.pathsep}{os.defpath}",
        "LC_ALL": "C.UTF-8",
    }


def all_blocks(number: int) -> dict[str, str]:
    """Each block with this place in its README once, with the README files that have it."""
    found: dict[str, str] = {}
    for readme in READMES:
        for block in blocks(readme)[number : number + 1]:
            found[block] = " ".join([*found.get(block, "").split(), named(readme)])
    return found


def test_every_readme_says_how_to_install() -> None:
    assert [named(each) for each in READMES if len(blocks(each)) != 2] == []


def run(block: str, cwd: Path, variables: dict[str, str]) -> str:
    """Return what a block prints, at the end the version of the command or the import."""
    faulthandler.cancel_dump_traceback_later()  # a slow network is no hanging test
    done = subprocess.run(
        ["sh", "-e", "-c", block],
        cwd=cwd,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=10 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    *_, last = done.stdout.splitlines()
    assert last.removeprefix("rocket-cli ") == __version__, done.stdout
    return done.stdout


@pytest.mark.parametrize("block", all_blocks(0).keys(), ids=all_blocks(0).values())
def test_a_clone_is_installed(
    block: str, tmp_path: Path, repository: Path, empty: dict[str, str]
) -> None:
    """The address that is cloned stands for the repository at hand."""
    redirected = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{repository.as_uri()}.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/rocket-server/rocket",
    }
    run(block, tmp_path, {**empty, **redirected})
    assert_imports(needed("rocket-cli", optional("rocket-cli")), empty)


@pytest.mark.parametrize("block", all_blocks(1).keys(), ids=all_blocks(1).values())
def test_a_release_is_installed(
    block: str, tmp_path: Path, release: dict[str, str], empty: dict[str, str]
) -> None:
    printed = run(block, tmp_path, {**empty, **release})
    package, extras = required(block)
    assert f"{package.replace('-', '_')}-{__version__}-1-py3-none-any.whl" in printed
    assert_imports(needed(package, extras), empty)


def required(block: str) -> tuple[str, list[str]]:
    """The package that a block installs, and the extras of it."""
    found = re.search(r'^pip install "?(rocket-\w+)(?:\[([\w,]+)\])?"?$', block, re.MULTILINE)
    assert found is not None, block
    return found[1], (found[2] or "").split(",") if found[2] else []


def optional(package: str) -> dict[str, list[str]]:
    """The extras of a package, with their requirements."""
    with (ROOT / "packages" / package / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    extras: dict[str, list[str]] = project.get("optional-dependencies", {})
    return extras


def needed(package: str, extras: Iterable[str]) -> set[str]:
    """What extras need on this Python, those of other packages of this repository included."""
    found = set()
    for extra in extras:
        for requirement in map(Requirement, optional(package)[extra]):
            if requirement.marker is None or requirement.marker.evaluate():
                found |= {requirement.name, *needed(requirement.name, requirement.extras)}
    return found


def assert_imports(distributions: set[str], variables: dict[str, str]) -> None:
    """These are installed in the environment that the blocks make."""
    program = "import importlib.metadata, sys; [*map(importlib.metadata.version, sys.argv[1:])]"
    python = f"{variables['HOME']}/rocket-venv/bin/python"
    subprocess.run(
        [python, "-c", program, *sorted(distributions)],
        env=variables,
        timeout=PATIENCE,
        check=True,
    )


def test_install_blocks_name_every_extra() -> None:
    """A reader who follows the README can run its examples with --acme, --metrics and --reload."""
    for readme in (ROOT / "README.md", ROOT / "packages/rocket-cli/README.md"):
        package, extras = required(blocks(readme)[1])
        assert (package, set(extras)) == ("rocket-cli", set(optional("rocket-cli")))


@pytest.mark.parametrize("readme", READMES, ids=named)
def test_tables_of_extras_are_complete(readme: Path) -> None:
    """Each extra has its row. rocket-tls has one extra, and tells of it in a sentence."""
    package = "rocket-cli" if readme.parent == ROOT else readme.parent.name
    table = readme.read_text(encoding="utf-8").partition("| extra | needed for |")[2]
    rows = re.findall(r"^\| `(\w+)` \| ", table.partition("\n\n")[0], re.MULTILINE)
    assert rows == ([] if package == "rocket-tls" else sorted(optional(package)))


HERE = "https://github.com/rocket-server/rocket/"
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def test_links_work_on_pypi(release: dict[str, str]) -> None:
    """PyPI shows the README of a package without the files beside it."""
    wrong = []
    for wheel in sorted(Path(release["PIP_FIND_LINKS"]).glob("*-1-py3-none-any.whl")):
        with zipfile.ZipFile(wheel) as archive:
            (metadata,) = (each for each in archive.namelist() if each.endswith("/METADATA"))
            text = archive.read(metadata).decode()
        for link in _LINK.findall(text):
            place = re.fullmatch(rf"{HERE}(?:tree|blob)/main/([^#]+)(#.*)?", link)
            is_elsewhere = link.startswith(("#", "https://"))
            if not (is_elsewhere if place is None else Path(ROOT, place[1]).exists()):
                wrong.append(f"{wheel.name}: {link}")
    assert wrong == []


@pytest.mark.parametrize("example", examples())
def test_examples_have_settings_that_there_are(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["config", *shlex.split(example, comments=True)[2:]])
    assert done.exit_code == 0, done.output
