"""What makes a release: versions, ranges, changelogs, notes, tags, and the look into archives."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from datetime import date
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from systemtests.processes import PATIENCE, ROOT

sys.path.append(str(ROOT))

from release import changelog
from release.bump import bump, compatible, requiring, wanted
from release.contents import faults, needed
from release.errors import ReleaseError
from release.notes import notes
from release.packages import Package, packages
from release.reproduced import differing, sums
from release.tags import selected, tags_of

DAY = date(2030, 1, 2)
ALL = ["rocket-core", "rocket-tls", "rocket-wsgi", "rocket-cli"]
NEXT = Version("77.0.0")
"""A version above all that there will be."""


def git(*words: str, cwd: Path) -> None:
    author = ["-c", "user.name=Test", "-c", "user.email=test@example.com"]
    subprocess.run(["git", *author, *words], cwd=cwd, timeout=PATIENCE, check=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with the packages of this one, each with an unreleased change."""
    for package in packages():
        folder = tmp_path / "packages" / package.name
        version = folder / package.version_file.relative_to(package.folder)
        version.parent.mkdir(parents=True)
        shutil.copy(package.version_file, version)
        shutil.copy(package.project_file, folder)
        text = package.changelog_file.read_text(encoding="utf-8")
        change = f"## [Unreleased]\n\n### Added\n\n- News of {package.name}.\n\n"
        head, _, rest = text.partition("## [Unreleased]\n")
        dated = rest[rest.index("\n## [") + 1 :]
        (folder / "CHANGELOG.md").write_text(head + change + dated, encoding="utf-8")
    git("init", "--quiet", cwd=tmp_path)
    commit(tmp_path)
    return tmp_path


def commit(tree: Path) -> None:
    git("add", "--all", cwd=tree)
    git("commit", "--quiet", "--message", "As it is", cwd=tree)


def named(tree: Path) -> dict[str, Package]:
    return {package.name: package for package in packages(tree)}


def ranges(package: Package) -> dict[str, set[str]]:
    """The ranges of other packages of the repository that a package declares."""
    found: dict[str, set[str]] = {}
    for each in package.requirements():
        if each.name.startswith("rocket-"):
            found.setdefault(each.name, set()).add(str(each.specifier))
    return found


def test_packages_come_after_what_they_need() -> None:
    assert sorted(package.name for package in packages()) == sorted(ALL)
    published: set[str] = set()
    for package in packages():
        assert ranges(package).keys() - {package.name} <= published
        published.add(package.name)


def test_the_packages_here_fit_each_other() -> None:
    """Each version is in the ranges of the others, and is the newest of its changelog."""
    versions = {package.name: package.version() for package in packages()}
    for package in packages():
        for requirement in package.requirements():
            if requirement.name in versions:
                assert versions[requirement.name] in requirement.specifier, package.name
        text = package.changelog_file.read_text(encoding="utf-8")
        newest = re.search(r"^## \[(\d\S*)\] - \d{4}-\d{2}-\d{2}$", text, re.MULTILINE)
        assert newest is not None
        assert newest[1] == str(package.version())


def test_all_packages_get_a_version(tree: Path) -> None:
    changed = bump(tree, wanted(["all", "77.0.0"], packages(tree)), DAY)
    assert len(changed) == 4 + 4 + 3  # rocket-core needs none of the others
    for package in packages(tree):
        assert package.version() == NEXT
        assert all(each == {"<78,>=77.0"} for each in ranges(package).values())
        text = package.changelog_file.read_text(encoding="utf-8")
        news = f"### Added\n\n- News of {package.name}."
        assert f"\n## [Unreleased]\n\n## [77.0.0] - 2030-01-02\n\n{news}\n" in text
        assert changelog.section(text, "77.0.0") == news
        with pytest.raises(ReleaseError, match="no entry for Unreleased"):
            changelog.section(text, "Unreleased")
    published = notes(packages(tree))
    assert published.startswith(
        "## rocket-cli 77.0.0\n\n2030-01-02. `pip install --upgrade rocket-cli"
    )
    assert re.findall(r"^- (.*)\.$", published, re.MULTILINE) == [
        f"News of {package.name}" for package in reversed(packages(tree))
    ]


def test_one_package_gets_a_version(tree: Path) -> None:
    """A range that has the version stays, and one that has not is changed with a word about it."""
    before = named(tree)["rocket-core"].version()
    patch = f"{before.major}.{before.minor}.{before.micro + 1}"
    changed = bump(tree, wanted(["rocket-core", patch], packages(tree)), DAY)
    folder = "packages/rocket-core"
    assert changed == [f"{folder}/src/rocket_core/_version.py", f"{folder}/CHANGELOG.md"]
    commit(tree)
    with pytest.raises(ReleaseError, match=r"rocket-core/CHANGELOG.md has no entry for Unreleased"):
        bump(tree, {"rocket-core": NEXT}, DAY)
    *_, cli = changed = bump(tree, {"rocket-wsgi": NEXT}, DAY)
    assert cli.startswith("rocket-cli has a new range and no new version")
    assert ranges(named(tree)["rocket-cli"])["rocket-wsgi"] == {"<78,>=77.0"}
    assert "packages/rocket-tls/pyproject.toml" not in changed


@pytest.mark.parametrize(
    ("version", "message"),
    [("0.0.1", "0.0.1 is not above it"), (None, "is not above it"), ("77.0.0", "commit or remove")],
)
def test_refusals_write_nothing(version: str | None, message: str, tree: Path) -> None:
    """A version that does not grow, and a tree with changes."""
    current = str(named(tree)["rocket-cli"].version())
    if version == "77.0.0":
        (tree / "new").touch()
    with pytest.raises(ReleaseError, match=message):
        bump(tree, wanted(["core", "77.0.0", "cli", version or current], packages(tree)), DAY)
    done = subprocess.run(["git", "diff", "--stat"], cwd=tree, capture_output=True, check=True)
    assert done.stdout == b""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "give pairs of a package and its new version"),
        (["core"], "give pairs of a package and its new version"),
        (["core", "1.0"], "1.0 is not a version of the form 1.2.3"),
        (["core", "1.0.0rc1"], "1.0.0rc1 is not a version"),
        (["cor", "1.0.0"], "there is no package cor: choose from all, core, "),
        (["all", "1.0.0", "rocket-core", "1.0.1"], "rocket-core is named twice"),
    ],
)
def test_words_that_are_no_versions(words: list[str], message: str) -> None:
    with pytest.raises(ReleaseError, match=message):
        wanted(words, packages())


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("0.2.0", ">=0.2,<0.3"),
        ("0.2.7", ">=0.2,<0.3"),
        ("1.0.0", ">=1.0,<2"),
        ("3.4.5", ">=3.4,<4"),
    ],
)
def test_compatible_versions(version: str, expected: str) -> None:
    assert compatible(Version(version)) == expected


def test_ranges_of_others_stay() -> None:
    """The name of a package may begin that of another one."""
    text = 'a = ["rocket-core>=0.1,<0.2", "rocket-corex>=0.1,<0.2", "x-rocket-core>=0.1"]\n'
    assert requiring(text, {"rocket-core": Version("0.2.0")}) == text.replace(
        '"rocket-core>=0.1,<0.2"', '"rocket-core>=0.2,<0.3"'
    )


def test_tags(tree: Path) -> None:
    known = packages(tree)
    (current,) = {str(package.version()) for package in known}
    assert tags_of(ALL, known) == [f"v{current}"]
    assert [each.name for each in selected(f"v{current}", known)] == [each.name for each in known]
    one = f"rocket-core-v{current}"
    assert tags_of(["rocket-core"], known) == [one]
    assert [each.name for each in selected(one, known)] == ["rocket-core"]
    for tag in ("v77.0.0", "rocket-core-v77.0.0", "rocket-v1.0.0", "v", current, "rocket-core"):
        with pytest.raises(ReleaseError):
            selected(tag, known)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The distributions of rocket-tls, which is the smallest package."""
    folder = tmp_path_factory.mktemp("built")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT / "packages/rocket-tls", timeout=PATIENCE, check=True)
    return folder


def tls() -> Package:
    return named(ROOT)["rocket-tls"]


def test_complete_distributions(built: Path) -> None:
    assert list(faults(built, [tls()])) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rocket_tls/py.typed": None}, "has no rocket_tls/py.typed"),
        ({"rocket_tls/test_x.py": b""}, "has rocket_tls/test_x.py"),
        ({"tests/conftest.py": b""}, "has tests/conftest.py"),
        ({"rocket_tls/x.so": b""}, "has compiled modules"),
        ({"INFO/licenses/LICENSE": None}, "has no licence"),
        (
            {"INFO/METADATA": (b"\n# rocket-tls\n", b"\n[x](../y.md)\n\n# rocket-tls\n")},
            "link to ../y",
        ),
        ({"INFO/METADATA": (b"Project-URL: Issues", b"Project-URL: Bugs")}, "has the URLs "),
        ({"INFO/METADATA": (b"rocket-core<", b"rocket-core!=1,<")}, "requires "),
    ],
)
def test_faults_of_wheels(
    change: dict[str, bytes | tuple[bytes, bytes] | None], message: str, built: Path, tmp_path: Path
) -> None:
    """Each fault is one that a wheel of ours is given here."""
    for path in built.iterdir():
        shutil.copy(path, tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    info = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    changes = {name.replace("INFO", info): data for name, data in change.items()}
    with zipfile.ZipFile(wheel) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for name, data in changes.items():
        if data is None:
            del files[name]
        elif isinstance(data, tuple):
            assert data[0] in files[name]
            files[name] = files[name].replace(*data)
        else:
            files[name] = data
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    (found, *_) = [each for each in faults(tmp_path, [tls()]) if message in each]
    assert found.startswith(wheel.name)


def test_names_of_requirements_are_compared_as_installers_do() -> None:
    declared = [Requirement('backports.zstd>=1.0; python_version < "3.14"')]
    assert needed(declared) == needed([Requirement('backports-zstd>=1.0; extra == "zstd"')])
    assert needed(declared) != needed([Requirement("backports-zstd>=1.1")])


def test_faults_of_source_distributions(built: Path, tmp_path: Path) -> None:
    for path in built.iterdir():
        shutil.copy(path, tmp_path)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as file:
        file.extractall(tmp_path / "unpacked", filter="data")
    (top,) = (tmp_path / "unpacked").iterdir()
    (top / "LICENSE").unlink()
    (top / "secret.pem").touch()
    archive.unlink()
    with tarfile.open(archive, "w:gz") as file:
        file.add(top, top.name)
    shutil.rmtree(tmp_path / "unpacked")
    found = list(faults(tmp_path, [tls()]))
    assert found == [f"{archive.name}: has no LICENSE", f"{archive.name}: has secret.pem"]


def test_what_is_not_of_the_release(built: Path, tmp_path: Path) -> None:
    (tmp_path / "rocket_tls-0.0.1-py3-none-any.whl").touch()
    assert list(faults(tmp_path, [tls()])) == [
        f"rocket-tls {tls().version()}: no source distribution or no pure wheel",
        "rocket_tls-0.0.1-py3-none-any.whl: is no distribution of these versions",
    ]


def test_a_second_build_is_compared(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "same").write_text("same")
        (folder / "differs").write_text(folder.name)
    (first / "more").touch()
    (second / "new").touch()
    assert differing(first, second) == ["differs", "new"]
    checking = ["sha256sum", "--check", "--quiet"]
    subprocess.run(checking, cwd=first, input=sums(first).encode(), timeout=PATIENCE, check=True)


def test_the_command_refuses_in_one_line() -> None:
    command = [sys.executable, "-m", "release", "bump", "core", "0.0.1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.fullmatch(r"release: .+\n", done.stderr), done.stderr


def test_requirements_are_of_the_declared_form() -> None:
    """What `bump` changes is found, because the ranges between the packages have this form."""
    for package in packages():
        for requirement in package.requirements():
            if requirement.name in ALL:
                expected = Requirement(f"x{compatible(named(ROOT)[requirement.name].version())}")
                assert requirement.specifier == expected.specifier, package.name
