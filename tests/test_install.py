"""The README files: what they tell a reader to install works in an empty environment."""

from __future__ import annotations

import faulthandler
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from rocket_cli import main
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


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages of this repository, without what was made of them here."""
    directory = tmp_path_factory.mktemp("clone")
    ignored = shutil.ignore_patterns("tests", "dist", "build", "__pycache__", ".*")
    shutil.copytree(ROOT / "packages", directory / "packages", ignore=ignored)
    return directory


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


def all_blocks() -> dict[str, str]:
    """Each block once, with the README files that have it."""
    found: dict[str, str] = {}
    for readme in READMES:
        for block in blocks(readme):
            found[block] = " ".join([*found.get(block, "").split(), named(readme)])
    return found


def test_every_readme_says_how_to_install() -> None:
    assert [named(each) for each in READMES if len(blocks(each)) != 1] == []


@pytest.mark.parametrize("block", all_blocks().keys(), ids=all_blocks().values())
def test_install_block_works_in_an_empty_environment(
    block: str, clone: Path, empty: dict[str, str]
) -> None:
    """The last line of a block prints the version, by the command or the import it is about."""
    faulthandler.cancel_dump_traceback_later()  # a slow network is no hanging test
    done = subprocess.run(
        ["sh", "-e", "-c", block],
        cwd=clone,
        env=empty,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=10 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert re.search(r"\d+\.\d+\.\d+\S*\Z", done.stdout.strip()), done.stdout
    command = shlex.split(block.replace("\\\n", " "))
    assert_imports(extras(command), empty)


def extras(command: list[str]) -> set[str]:
    """What the extras need that a command line names."""
    found = set()
    for word in command:
        if match := re.fullmatch(r"\./packages/([\w-]+)\[([\w,]+)\]", word):
            with (ROOT / "packages" / match[1] / "pyproject.toml").open("rb") as file:
                optional = tomllib.load(file)["project"]["optional-dependencies"]
            for extra in match[2].split(","):
                found |= {re.split(r"[^\w-]", each)[0] for each in optional[extra]}
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
    with (ROOT / "packages/rocket-cli/pyproject.toml").open("rb") as file:
        optional = tomllib.load(file)["project"]["optional-dependencies"]
    for readme in (ROOT / "README.md", ROOT / "packages/rocket-cli/README.md"):
        (block,) = blocks(readme)
        found = re.search(r"rocket-cli\[([\w,]+)\]", block)
        assert found is not None
        assert set(found[1].split(",")) == set(optional)


@pytest.mark.parametrize("example", examples())
def test_examples_have_settings_that_there_are(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["config", *shlex.split(example, comments=True)[2:]])
    assert done.exit_code == 0, done.output
