"""Every check of the repository: `nox` runs them all, `nox --list` names them.

The tests of a package run outside the repository, against its wheel, in an environment that holds
nothing but what the package declares. With `--parallel 2`, two sessions run at a time, because many
wait more than they compute; the output of each is then printed when it has ended.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import nox
from packaging.requirements import Requirement

ROOT = Path(__file__).parent
WHEELS = ROOT / "dist"
PACKAGES = ("core", "wsgi", "tls", "cli")
"""In the order in which they are published: each comes after the ones that it needs."""
VERSIONS = ("3.11", "3.12", "3.13")
OLD = "2.7"
"""What the test suite of Autobahn runs on, which is the client of one session only."""
FREE_THREADED = "3.13t"
"""Without the GIL. The tests of packages whose dependencies have no wheels for it are left out."""


def parallel(count: int) -> list[str]:
    """Options of pytest for ``count`` tests at a time, because many wait more than they compute.

    Those of a module stay together, because they may share a server. A process that ends, as one
    does in which a test hangs, ends the run: the scheduler loses its count over a new one.
    """
    return ["-n", str(count), "--dist", "loadfile", "--max-worker-restart", "0"]


TOOLS = nox.project.load_toml(ROOT / "pyproject.toml")
PROJECTS = {
    package: nox.project.load_toml(ROOT / f"packages/rocket-{package}/pyproject.toml")
    for package in PACKAGES
}

COMPILED = [
    package
    for package, project in PROJECTS.items()
    if "hooks" in project["tool"]["hatch"]["build"]["targets"]["wheel"]
]
"""Packages that have compiled wheels, too."""

nox.needs_version = ">=2026.10"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.download_python = "never"
nox.options.allow_parallel = True
os.environ["UV_PYTHON_DOWNLOADS"] = "never"
os.environ.setdefault("UV_SYSTEM_CERTS", "true")  # trust whom the machine trusts, as pip does
# Wheels have no bytecode: each process would compile again what it imports.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def interpreter(version: str) -> str | None:
    """Full path of a Python of this version: from PATH, or else from pyenv; None without one.

    A ``t`` behind the version stands for the build that runs without the GIL.
    """
    number = version.removesuffix("t")
    suffix = version.removeprefix(number)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    installed = {
        int(match[1]): path
        for path in pyenv.glob("versions/*/bin/python")
        if (match := re.fullmatch(rf"{re.escape(number)}\.(\d+){suffix}", path.parts[-3]))
    }
    candidates = [
        *(Path(folder, f"python{version}") for folder in os.get_exec_path()),
        *(installed[patch] for patch in sorted(installed, reverse=True)),
    ]
    program = (
        "import sys; "
        "print('%d.%d%s ' % (sys.version_info[:2] + (getattr(sys, 'abiflags', ''),))"
        " + sys.executable)"
    )
    for candidate in candidates:
        if not os.access(candidate, os.X_OK):
            continue
        # A pyenv shim is there for versions that it then refuses to run.
        command = [str(candidate), "-c", program]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        found, _, executable = answer.stdout.strip().partition(" ")
        if answer.returncode == 0 and found == version:
            return executable
    return None


def source_date() -> str | None:
    """The time of the last commit, which the files of a distribution get; None without git.

    Two builds of the same commit are the same, then. What the variable says already has precedence.
    """
    command = ["git", "log", "-1", "--format=%ct"]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        done = None
    found = done.stdout.strip() if done is not None and done.returncode == 0 else None
    return os.environ.get("SOURCE_DATE_EPOCH", found)


INTERPRETERS = {version: interpreter(version) for version in (*VERSIONS, FREE_THREADED, OLD)}


def dependencies(package: str) -> tuple[list[str], list[str]]:
    """What a package declares, with what that declares: (packages from here, other requirements).

    The package itself is the first of the packages.
    """
    local = [package]
    others: list[str] = []
    for member in local:
        for line in PROJECTS[member]["project"]["dependencies"]:
            name = Requirement(line).name
            if not name.startswith("rocket-"):
                others.append(line)
            elif name.removeprefix("rocket-") not in local:
                local.append(name.removeprefix("rocket-"))
    return local, others


def built(
    session: nox.Session, packages: list[str], *, compiled_for: str | None = None
) -> list[str]:
    """Paths of the packages' wheels: the pure ones, or those compiled for a version of Python.

    Some packages have pure wheels only. An installer that was given a path takes that name from
    nowhere else, so that a stranger's rocket-core in an index is never looked at.
    """
    paths = []
    for package in packages:
        tag = "py3-none-any"
        if compiled_for is not None and package in COMPILED:
            tag = f"cp{compiled_for.replace('.', '')}-*"
        found = [str(path) for path in WHEELS.glob(f"rocket_{package}-*-{tag}.whl")]
        if not found:  # a session that is required may have been skipped
            give_up(session, f"rocket-{package} has no wheel {tag} in {WHEELS.name}/")
        paths += found
    return paths


def group(project: dict[str, object], name: str) -> list[str]:
    """Requirements of a dependency group."""
    return list(nox.project.dependency_groups(project, name))


def run_pytest(session: nox.Session, tests: Path) -> None:
    """Run a copy of the tests from a directory outside the repository."""
    with tempfile.TemporaryDirectory(prefix="rocket-tests-") as directory:
        copy = Path(directory, "tests")
        shutil.copytree(tests, copy, ignore=shutil.ignore_patterns("__pycache__"))
        options = ["-c", str(ROOT / "pyproject.toml"), "--rootdir", directory]
        with session.chdir(directory):
            command = ["pytest", *options, *parallel(4), str(copy), *session.posargs]
            # Otherwise each process computes the tables of Unicode first, which takes seconds.
            tables = str(ROOT / session.cache_dir / "hypothesis")
            env = {"PYTHONPATH": None, "HYPOTHESIS_STORAGE_DIRECTORY": tables}
            session.run(*command, env=env)


def require_interpreter(session: nox.Session, version: str) -> None:
    """Skip the session without a Python of this version; in CI (variable CI), fail it."""
    if INTERPRETERS[version] is None:
        give_up(session, f"Python {version} is neither on PATH nor among pyenv's versions")


def give_up(session: nox.Session, message: str) -> NoReturn:
    """Skip the session for what is missing on this machine; in CI (variable CI), fail it."""
    if os.environ.get("CI"):
        session.error(message)
    session.skip(message)


@nox.session
def lint(session: nox.Session) -> None:
    """Rules and format, with ruff, the settings of the tools, and the workflows of GitHub."""
    session.install(*group(TOOLS, "lint"))
    projects = [Path("pyproject.toml"), *sorted(Path("packages").glob("*/pyproject.toml"))]
    session.run("validate-pyproject", *map(str, projects))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("zizmor", "--quiet", "--offline", "--persona", "pedantic", ".github")
    forms = [*Path(".github/ISSUE_TEMPLATE").glob("*.yml")]
    for schema, files in {
        "dependabot": [Path(".github/dependabot.yml")],
        "github-issue-config": [each for each in forms if each.stem == "config"],
        "github-issue-forms": [each for each in forms if each.stem != "config"],
        "github-workflows": [*Path(".github/workflows").glob("*.yml")],
    }.items():
        check = ["check-jsonschema", "--builtin-schema", f"vendor.{schema}"]
        session.run(*check, *map(str, files))


@nox.session(python=INTERPRETERS[VERSIONS[-1]] or False)  # which the generator of the site needs
def types(session: nox.Session) -> None:
    """Types of the packages, their tests and the tools, with mypy --strict."""
    require_interpreter(session, VERSIONS[-1])
    uses = ("types", "system", "plots", "docs", "release")
    requirements = {name for use in uses for name in group(TOOLS, use)}
    for package in PACKAGES:
        requirements.update(dependencies(package)[1], group(PROJECTS[package], "test"))
    session.install(*sorted(requirements))
    session.run("mypy", *(f"packages/rocket-{package}/src" for package in PACKAGES))
    session.run("mypy", "bootstrap.py", "noxfile.py", ".ci/imports.py")
    session.run("mypy", "packages/rocket-core/hatch_build.py")  # the others are copies
    # One run for each directory: their modules (conftest) have the same names.
    for package in PACKAGES:
        session.run("mypy", f"packages/rocket-{package}/tests")
    session.run("mypy", "tests")
    session.run("mypy", "bench")
    session.run("mypy", "docs/conf.py", "docs/_extensions", "docs/_tests")
    session.run("mypy", "release")


@nox.session
def imports(session: nox.Session) -> None:
    """Direction of the imports between the packages, and imports against declarations."""
    session.install(*group(TOOLS, "imports"))
    sources = [str(ROOT / f"packages/rocket-{package}/src") for package in PACKAGES]
    session.run("lint-imports", env={"PYTHONPATH": os.pathsep.join(sources)})
    session.run("python", ".ci/imports.py")


@nox.session(default=False)
def build(session: nox.Session) -> None:
    """Make dist/: the source distribution of each package, and from it the pure wheel."""
    session.install(*group(TOOLS, "build"))
    build_into(session, WHEELS)


def build_into(session: nox.Session, folder: Path) -> None:
    """Make the source distributions and the pure wheels in a folder, which is emptied before."""
    shutil.rmtree(folder, ignore_errors=True)
    variables = {"ROCKET_COMPILE": None, "SOURCE_DATE_EPOCH": source_date()}
    for package in PACKAGES:
        source = str(ROOT / f"packages/rocket-{package}")
        command = ["python", "-m", "build", "--installer=uv", "--outdir", str(folder), source]
        session.run(*command, env=variables)


@nox.session(default=False, requires=["build"])
@nox.parametrize(
    ["python", "version"],
    [nox.param(INTERPRETERS[each] or False, each, id=each) for each in VERSIONS],
)
def wheels(session: nox.Session, version: str) -> None:
    """Add to dist/ the compiled wheels for a version of Python, from the source distributions."""
    require_interpreter(session, version)
    if shutil.which("cc") is None:
        give_up(session, "a C compiler is not installed")
    session.install(*group(TOOLS, "build"))
    compile_into(session, WHEELS)


def compile_into(session: nox.Session, folder: Path) -> None:
    """Make the compiled wheels for the Python of the session, from the source distributions."""
    build = ["python", "-m", "build", "--installer=uv", "--wheel", "--outdir", str(folder)]
    variables = {"ROCKET_COMPILE": "1", "SOURCE_DATE_EPOCH": source_date()}
    with tempfile.TemporaryDirectory(prefix="rocket-sources-") as directory:
        sources = [Path(directory, f"rocket-{package}") for package in COMPILED]
        for package, source in zip(COMPILED, sources, strict=True):
            # Beside each other, as in a clone, so that they find each other's types.
            (archive,) = WHEELS.glob(f"rocket_{package}-*.tar.gz")
            session.run("tar", "-xzf", str(archive), "-C", directory, external=True)
            Path(directory, archive.name.removesuffix(".tar.gz")).rename(source)

        def compile_package(source: Path) -> None:
            session.run(*build, str(source), env=variables, silent=True)

        with ThreadPoolExecutor() as pool:  # a compiler uses one processor for most of its time
            list(pool.map(compile_package, sources))


def check_build(session: nox.Session, packages: list[str], *, compiled: bool) -> None:
    """Fail the session unless the build that it is about is what it has installed."""
    for package in packages:
        if package in COMPILED:
            is_compiled = f"rocket_{package}.compiled"
            program = f"import rocket_{package}; assert {is_compiled} is {compiled}, {is_compiled}"
            session.run("python", "-c", program, env={"PYTHONPATH": None}, silent=True)


def add_tests(package: str, version: str, *, compiled: bool) -> None:
    """Define the session that runs one package's tests on one version of Python.

    By default the pure build is tested on the oldest, and the compiled one on the newest. With more
    of them CI would not end in time, so all others run by name. Pure packages are tested on the
    oldest with the oldest releases of other packages that are declared; all other sessions have the
    newest.
    """
    requirements = group(PROJECTS[package], "test")
    oldest = version == VERSIONS[0] and not compiled
    if version == FREE_THREADED:
        # No release of these has a wheel for that, and the tests do without them. Of others the
        # newest may have none.
        absent = {"httptools", "ngh2"}
        requirements = [each for each in requirements if Requirement(each).name not in absent]
        requirements.append("--only-binary=:all:")

    @nox.session(
        name=f"{package}-{version}{'-compiled' if compiled else ''}",
        default=version == (VERSIONS[-1] if compiled else VERSIONS[0]),
        python=INTERPRETERS[version] or False,
        venv_backend="uv" if oldest else None,  # other installers take the newest releases only
        requires=[f"wheels({version})" if compiled else "build"],
    )
    def tests(session: nox.Session) -> None:
        """Tests of one package against its wheel, pure or compiled."""
        require_interpreter(session, version)
        local, others = dependencies(package)
        resolution = ["--resolution", "lowest-direct"] if oldest else []
        own = built(session, local, compiled_for=version if compiled else None)
        session.install(*resolution, *own, *others, *requirements)
        check_build(session, local, compiled=compiled)
        run_pytest(session, ROOT / f"packages/rocket-{package}/tests")


@nox.session(python=INTERPRETERS[VERSIONS[-1]] or False, requires=["build"])
def system(session: nox.Session) -> None:
    """Tests of all packages together, with the applications and clients of others."""
    require_interpreter(session, VERSIONS[-1])
    session.install(*built(session, list(PACKAGES)), *group(TOOLS, "system"))
    variables = {"PYTHONPATH": None, "ROCKET_WHEELS": str(WHEELS)}
    session.run("pytest", *parallel(2), "tests", *session.posargs, env=variables)


@nox.session(default=False, python=INTERPRETERS[VERSIONS[-1]] or False, requires=["build"])
def capture(session: nox.Session) -> None:
    """Make the animated picture of rocket-cli top for the site: docs/pictures/top.svg."""
    require_interpreter(session, VERSIONS[-1])
    session.install(*built(session, list(PACKAGES)), *group(TOOLS, "capture"))
    session.run("python", "-m", "bench.capture", *session.posargs, env={"PYTHONPATH": None})


@nox.session(python=INTERPRETERS[VERSIONS[-1]] or False, requires=["build"])
def docs(session: nox.Session) -> None:
    """Make the site in site/, and test it; with `-- --external`, check its links to others."""
    require_interpreter(session, VERSIONS[-1])
    session.install(*built(session, list(PACKAGES)), *group(TOOLS, "docs"))
    builder, output = "html", ROOT / "site"
    if "--external" in session.posargs:
        builder, output = "linkcheck", Path(session.create_tmp(), "links")
    # All pages are read again, so that each run tells of all that is wrong.
    options = ["--fail-on-warning", "--keep-going", "--fresh-env", "--quiet"]
    doctrees = Path(session.create_tmp(), "doctrees")
    shutil.rmtree(output, ignore_errors=True)
    command = ["sphinx-build", *options, "-b", builder, "-d", str(doctrees), "docs", str(output)]
    session.run(*command, env={"PYTHONPATH": None})
    if builder == "html":
        session.run("pytest", "-q", "docs/_tests", env={"PYTHONPATH": None})


@nox.session(default=False, python=INTERPRETERS[VERSIONS[-1]] or False, requires=["docs"])
def lighthouse(session: nox.Session) -> None:
    """Measure the site with Lighthouse (npm), or `nox -s lighthouse -- PAGE ...`."""
    require_interpreter(session, VERSIONS[-1])
    session.install(*built(session, list(PACKAGES)))
    folder = Path(session.create_tmp()).resolve()
    options = ["--silent", "--no-fund", "--no-audit", "--prefix", str(folder)]
    session.run("npm", "install", *options, "lighthouse@12", external=True)
    command = str(folder / "node_modules/.bin/lighthouse")
    session.run("python", "docs/_tests/lighthouse.py", command, *session.posargs)


@nox.session(default=False, python=INTERPRETERS[VERSIONS[-1]] or False, requires=["docs"])
def screenshots(session: nox.Session) -> None:
    """Take pictures of the site with Chromium, or `nox -s screenshots -- PAGE ...`."""
    require_interpreter(session, VERSIONS[-1])
    session.install(*built(session, list(PACKAGES)))
    folder = str(Path(session.create_tmp()).resolve())
    session.run("python", "docs/_tests/screenshots.py", folder, *session.posargs)


for _package in PACKAGES:
    for _version in VERSIONS:
        add_tests(_package, _version, compiled=False)
        add_tests(_package, _version, compiled=True)
for _package in ("core", "wsgi"):
    add_tests(_package, FREE_THREADED, compiled=False)


def add_budget(version: str, *, compiled: bool) -> None:
    """Define the session that counts what requests take in the pure or in the compiled build."""

    @nox.session(
        name="budget-compiled" if compiled else "budget",
        python=INTERPRETERS[version] or False,
        requires=[f"wheels({version})" if compiled else "build"],
    )
    def budget(session: nox.Session) -> None:
        """Instructions and system calls of a request against the budget, or `-- --record`."""
        require_interpreter(session, version)
        for tool in ("strace", "valgrind"):
            if shutil.which(tool) is None:
                give_up(session, f"{tool} is not installed")
        packages = ["core", "wsgi"]
        session.install(*built(session, packages, compiled_for=version if compiled else None))
        check_build(session, packages, compiled=compiled)
        session.run("python", "-m", "bench.budget", *session.posargs, env={"PYTHONPATH": None})


add_budget(VERSIONS[-1], compiled=False)
add_budget(VERSIONS[-1], compiled=True)


def add_chaos(version: str, *, compiled: bool) -> None:
    """Define the session of the long chaos tests, of the pure or of the compiled build."""

    @nox.session(
        name="chaos-compiled" if compiled else "chaos",
        default=False,
        python=INTERPRETERS[version] or False,
        requires=[f"wheels({version})" if compiled else "build"],
    )
    def chaos(session: nox.Session) -> None:
        """A million marked answers beside broken requests, or `nox -s chaos -- ANSWERS SEED`."""
        require_interpreter(session, version)
        packages = list(PACKAGES)
        own = built(session, packages, compiled_for=version if compiled else None)
        session.install(*own, *group(TOOLS, "system"))
        check_build(session, packages, compiled=compiled)
        answers, seed = [*session.posargs, *("1000000", "1")[len(session.posargs) :]]
        chosen = {"ROCKET_CHAOS": answers, "ROCKET_CHAOS_SEED": seed, "PYTHONPATH": None}
        options = ["-o", "faulthandler_timeout=0", "-s"]
        session.run("pytest", *options, "tests/chaos", env=chosen)


add_chaos(VERSIONS[-1], compiled=False)
add_chaos(VERSIONS[-1], compiled=True)


@nox.session(default=False, python=INTERPRETERS[VERSIONS[-1]] or False, requires=["build"])
def fuzz(session: nox.Session) -> None:
    """Fuzz the parsers, ten minutes each, or `nox -s fuzz -- SECONDS PROGRAM ...`."""
    require_interpreter(session, VERSIONS[-1])
    session.install(*built(session, list(PACKAGES)), *group(TOOLS, "fuzz"))
    seconds, *chosen = session.posargs or ["600"]
    programs = sorted(ROOT.glob("packages/*/fuzz/*.py"))
    with session.chdir(session.create_tmp()):
        for program in programs:
            name = program.stem
            if name == "autobahn" or (chosen and name not in chosen):
                continue
            options = [f"-max_total_time={seconds}", "-print_final_stats=1"]
            command = ["python", str(program), f"corpus-{name}", *options]
            session.run(*command, env={"PYTHONPATH": None})


FEW_CASES = [
    *(f"{number}.*" for number in (1, 2, 3, 4, 5, 6, 7, 9, 10)),
    *(f"12.{setting}.1" for setting in range(1, 6)),
    *(f"13.{setting}.1" for setting in range(1, 8)),
]
"""The cases of Autobahn that CI has time for."""


@nox.session(
    default=INTERPRETERS[OLD] is not None,
    python=INTERPRETERS[VERSIONS[0]] or False,
    requires=["build"],
)
def autobahn(session: nox.Session) -> None:
    """The fuzzing client of Autobahn against websockets; `nox -s autobahn -- CASES` tries some.

    All take some 25 minutes, most of it for the thousands of messages of each case of 12 and 13. So
    in CI (variable CI) one case of each of their settings is tried, the one with little messages.
    """
    require_interpreter(session, VERSIONS[0])
    require_interpreter(session, OLD)
    local, _ = dependencies("wsgi")
    # The last virtualenv that makes environments of that version, on the newest it runs on.
    session.install(*built(session, local), "virtualenv==20.21.1")
    directory = Path(session.create_tmp()).resolve()
    client = directory / "client"
    if not (client / "bin/wstest").exists():
        session.run("virtualenv", "--quiet", "-p", str(INTERPRETERS[OLD]), str(client))
        pip = str(client / "bin/pip")
        session.run(pip, "install", "--quiet", "autobahntestsuite==25.10.1", external=True)
    program = str(ROOT / "packages/rocket-wsgi/fuzz/autobahn.py")
    with session.chdir(directory):
        cases = session.posargs or (FEW_CASES if os.environ.get("CI") else [])
        session.run("python", program, str(client / "bin/wstest"), *cases)


def install_compiled(session: nox.Session, version: str, others: list[str]) -> dict[str, str]:
    """Install the compiled build in an environment beside the session's, with other packages.

    Returns variables for `bench.servers`: where its Python is, or why there is none.
    """
    directory = Path(session.create_tmp(), "compiled")
    missing = [
        package
        for package in COMPILED
        if not list(WHEELS.glob(f"rocket_{package}-*-cp{version.replace('.', '')}-*.whl"))
    ]
    if missing:
        return {"BENCH_COMPILED_MISSING": f"it was not built, see nox -s 'wheels({version})'"}
    own = built(session, list(PACKAGES), compiled_for=version)
    shutil.rmtree(directory, ignore_errors=True)
    session.run("python", "-m", "venv", str(directory), silent=True)
    python = str(directory / "bin/python")
    session.run("uv", "pip", "install", "--quiet", "--python", python, *own, *others)
    return {"BENCH_COMPILED_PYTHON": python}


@nox.session(
    default=False,
    python=INTERPRETERS[VERSIONS[-1]] or False,
    requires=[f"wheels({VERSIONS[-1]})"],
    allow_parallel=False,
)
def bench(session: nox.Session) -> None:
    """Measure Rocket beside other servers; `nox -s bench -- --help` names the options."""
    requirements = group(TOOLS, "bench")
    session.install(*built(session, list(PACKAGES)), *requirements, "uv")
    for peer in group(TOOLS, "bench-peers"):
        # What has no wheel here is built from source, bjoern with a C compiler and libev. The run
        # leaves out what cannot be installed, and says so.
        session.install(peer, silent=True, success_codes=[0, 1, 2])
    flask = [each for each in requirements if Requirement(each).name == "flask"]
    variables = install_compiled(session, VERSIONS[-1], flask)
    command = ["python", "-m", "bench", *session.posargs]
    session.run(*command, env={"PYTHONPATH": None, **variables})


# The sessions below make a release, and none runs by default. CONTRIBUTING.md ("Release") says in
# which order a person uses them.

ASSETS = ROOT / "release-assets"
"""What a release has beside the distributions: notes, checksums, and the bill of materials."""


@nox.session(default=False, allow_parallel=False)
def bump(session: nox.Session) -> None:
    """Set new versions and date the changelogs: `nox -s bump -- all 0.2.0`, `-- core 0.2.1`."""
    session.install(*group(TOOLS, "release"))
    session.run("python", "-m", "release", "bump", *session.posargs)


@nox.session(default=False)
def notes(session: nox.Session) -> None:
    """Write the notes of a release from the changelogs, of all packages or for `-- TAG`."""
    session.install(*group(TOOLS, "release"))
    ASSETS.mkdir(exist_ok=True)
    with (ASSETS / "NOTES.md").open("w") as file:
        session.run("python", "-m", "release", "notes", *session.posargs, stdout=file)


EVERYTHING = ["build", *(f"wheels({version})" for version in VERSIONS)]
"""The sessions that make dist/."""


@nox.session(name="check-release", default=False, requires=EVERYTHING)
def check_release(session: nox.Session) -> None:
    """Check the distributions in dist/: archives, metadata, README files; write checksums."""
    session.install(*group(TOOLS, "release"))
    files = [str(path) for path in sorted(WHEELS.iterdir())]
    session.run("twine", "check", "--strict", *files)
    session.run("check-wheel-contents", *(each for each in files if each.endswith(".whl")))
    session.run("python", "-m", "release", "check", str(WHEELS))
    ASSETS.mkdir(exist_ok=True)
    with (ASSETS / "SHA256SUMS").open("w") as file:
        session.run("python", "-m", "release", "sums", str(WHEELS), stdout=file)


@nox.session(default=False, requires=EVERYTHING, python=INTERPRETERS[VERSIONS[-1]] or False)
def reproduce(session: nox.Session) -> None:
    """Build what is in dist/ again, of the compiled wheels those for one Python, and compare."""
    require_interpreter(session, VERSIONS[-1])
    session.install(*group(TOOLS, "release"), *group(TOOLS, "build"))
    with tempfile.TemporaryDirectory(prefix="rocket-again-") as directory:
        again = Path(directory)
        build_into(session, again)
        compile_into(session, again)
        session.run("python", "-m", "release", "compare", str(WHEELS), str(again))


EXTRAS = sorted(PROJECTS["cli"]["project"]["optional-dependencies"])


def requirements_of_a_release() -> list[str]:
    """What a release declares, except what comes from the release itself.

    A newer pyOpenSSL, which is needed indirectly, would keep out the oldest cryptography.
    """
    extras = [PROJECTS[each]["project"].get("optional-dependencies", {}) for each in PACKAGES]
    lines = [
        *(line for each in PACKAGES for line in PROJECTS[each]["project"]["dependencies"]),
        *(line for each in extras for name in each if name in EXTRAS for line in each[name]),
    ]
    lines += [each for each in group(PROJECTS["tls"], "test") if each.startswith("pyopenssl")]
    return sorted({line for line in lines if not Requirement(line).name.startswith("rocket-")})


@contextmanager
def index_of(session: nox.Session, folder: Path) -> Iterator[str]:
    """Serve an index with the packages in a folder, which can be uploaded; yields its URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    options = ["--interface", "127.0.0.1", "--port", port, "--disable-fallback"]
    anonymous = ["--passwords", ".", "--authenticate", "."]
    command = [str(Path(session.bin) / "pypi-server"), "run", *options, *anonymous, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            while server.poll() is None:
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", int(port))) == 0:
                        break
                time.sleep(0.1)
            else:
                session.error("pypi-server has ended")
            yield f"http://127.0.0.1:{port}/"
        finally:
            server.terminate()


def add_rehearsal(version: str, kind: str) -> None:
    """Define the session that publishes a release to an index here, and installs it from there.

    ``lowest`` has the pure wheels and the oldest releases that are declared, ``newest`` what pip
    takes, which are the compiled wheels, and ``source`` is built from the source distributions.
    """

    @nox.session(
        name=f"rehearse-{version}-{kind}",
        default=False,
        python=INTERPRETERS[version] or False,
        requires=[f"wheels({version})" if kind == "newest" else "build"],
    )
    def rehearse(session: nox.Session) -> None:
        """Publish dist/ to an index on this machine, install from it, and use what is installed."""
        require_interpreter(session, version)
        session.install(*group(TOOLS, "rehearsal"))
        directory = Path(session.create_tmp()).resolve() / session.name
        shutil.rmtree(directory, ignore_errors=True)
        suffixes = {"lowest": "-py3-none-any.whl", "newest": ".whl", "source": ".tar.gz"}
        published = directory / "index"
        published.mkdir(parents=True)
        environment = directory / "environment"
        base = str(INTERPRETERS[version])
        session.run("uv", "venv", "--quiet", "--seed", "--python", base, str(environment))
        python = str(environment / "bin/python")
        # Whatever PyPI has, these versions are the ones to be installed.
        names = [path.name.split("-") for path in sorted(WHEELS.glob("*-py3-none-any.whl"))]
        own = directory / "constraints.txt"
        own.write_text("".join(f"{name}=={version}\n" for name, version, *_ in names))
        wanted = f"rocket-cli[{','.join(EXTRAS)}]"
        with index_of(session, published) as url:
            # Each package once what it needs is there, as on the way to PyPI.
            for package in PACKAGES:
                files = sorted(WHEELS.glob(f"rocket_{package}-*{suffixes[kind]}"))
                login = ["--username", "-", "--password", "-", "--repository-url", url]
                upload = ["twine", "upload", "--disable-progress-bar", *login]
                session.run(*upload, *map(str, files))
            index = f"{url}simple/"
            if kind == "lowest":
                # The first index that has a package is the only one to be asked for it.
                options = ["--python", python, "--index", index, "--constraints", str(own)]
                requirements = ["--resolution", "lowest-direct", *requirements_of_a_release()]
                session.run("uv", "pip", "install", "--quiet", *options, wanted, *requirements)
            else:
                options = ["--quiet", "--extra-index-url", index, "--constraint", str(own)]
                if kind == "source":
                    options += ["--no-binary", ",".join(f"rocket-{each}" for each in PACKAGES)]
                session.run(python, "-m", "pip", "install", *options, wanted, external=True)
        build = "compiled" if kind == "newest" else "pure"
        with session.chdir(directory):
            smoke = str(ROOT / "release/smoke.py")
            session.run(python, smoke, build, external=True, env={"PYTHONPATH": None})
        if (version, kind) == (VERSIONS[-1], "newest"):
            session.run(python, "-m", "pip", "uninstall", "--quiet", "--yes", "pip", external=True)
            ASSETS.mkdir(exist_ok=True)
            variables = {"SOURCE_DATE_EPOCH": source_date()}
            with (ASSETS / "rocket-cli.cdx.json").open("w") as file:
                session.run("python", "-m", "release", "sbom", python, stdout=file, env=variables)


for _version in (VERSIONS[0], VERSIONS[-1]):
    for _kind in ("lowest", "newest"):
        add_rehearsal(_version, _kind)
add_rehearsal(VERSIONS[-1], "source")
