#!/usr/bin/env python3
"""Run the example server, or all checks, from a fresh clone in one command, or install Rocket.

What the server and the checks need is installed in .venv beside this file, the compiled build in
.venv-compiled. They are created when needed and reused.
"""

import sys

if sys.version_info < (3, 11):
    version = ".".join(map(str, sys.version_info[:3]))
    sys.exit(
        "bootstrap.py needs Python 3.11 or later; this is Python " + version + ". Run it with "
        "another interpreter, or with uv: uv run --no-project --python 3.13 bootstrap.py"
    )

import argparse
import functools
import hashlib
import importlib.util
import json
import os
import queue
import shlex
import shutil
import subprocess
import threading
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

USAGE = """\
usage: python3 bootstrap.py serve [--compiled] [-- options of rocket-cli serve]
       python3 bootstrap.py install [--compiled] [--extras NAMES] [DIRECTORY]
       python3 bootstrap.py test [arguments of nox]

serve    run the Flask example on http://127.0.0.1:8000 and https://127.0.0.1:8443;
         --compiled compiles Rocket first, for which it needs a C compiler
install  install Rocket in the virtual environment DIRECTORY, or in the active one;
         `install --help` describes the options
test     run every check of the repository"""

ROOT = Path(__file__).resolve().parent
PACKAGES = [ROOT / "packages" / f"rocket-{name}" for name in ("core", "wsgi", "tls", "cli")]
EXAMPLE = ROOT / "examples" / "flask"
CERTIFICATES = ROOT / ".certificates"
OWN = [ROOT / ".venv", ROOT / ".venv-compiled"]
"""The virtual environments that `serve` and `test` create for themselves."""

BUILD_TOOLS = ["editables~=0.5", "hatch-fancy-pypi-readme>=24.1", "hatchling>=1.27"]
"""What makes editable packages, installed once instead of once for each package."""

ISSUE = """\
import json, pathlib, sys, rocket_tls
authority = rocket_tls.LocalAuthority(pathlib.Path(sys.argv[1]))
issued = authority.issue(["localhost", "127.0.0.1", "::1"])
print(json.dumps([str(issued.certificate), str(issued.key), str(authority.certificate)]))
"""

OBSTACLE = """\
import sys, types

class BuildHookInterface:
    __class_getitem__ = classmethod(lambda cls, item: cls)

for name in ("hatchling.builders.hooks.plugin.interface", "packaging.requirements"):
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        sys.modules[".".join(parts[:end])] = types.ModuleType(parts[end - 1])
sys.modules["hatchling.builders.hooks.plugin.interface"].BuildHookInterface = BuildHookInterface
sys.modules["packaging.requirements"].Requirement = object
import hatch_build
print(hatch_build.obstacle() or "")
"""
"""Asks the hook that compiles what is missing. The function needs the standard library only; what
the rest of the module imports need not be installed for it."""

PROBE = """\
import importlib.util, json, os, sys, sysconfig
print(json.dumps({
    "version": list(sys.version_info[:3]),
    "pip": importlib.util.find_spec("pip") is not None,
    "virtual": sys.prefix != sys.base_prefix,
    "managed": os.path.exists(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")),
}))
"""

INSTALLED = """\
import importlib.metadata, json, os, rocket_core, rocket_wsgi
found = importlib.metadata.distribution("rocket-cli")
command = next(each for each in found.files if each.name in ("rocket-cli", "rocket-cli.exe"))
print(json.dumps({
    "version": found.version,
    "build": "compiled" if rocket_core.compiled and rocket_wsgi.compiled else "pure",
    "command": os.path.abspath(found.locate_file(command)),
}))
"""


class BootstrapError(Exception):
    """The message is one line for the person at the terminal."""


def programs(venv: Path) -> Path:
    """Return the folder of the programs in a virtual environment."""
    return venv / ("Scripts" if os.name == "nt" else "bin")


@dataclass(frozen=True)
class Purpose:
    """What is installed for a command, and where.

    Attributes:
        name: the command.
        venv: the virtual environment.
        steps: arguments of pip, for one run after the other. Packages from here are paths, because
            an installer takes a package that is named by a path from no index.
        sources: the files that determine what is installed.
    """

    name: str
    venv: Path
    steps: list[list[str]]
    sources: list[Path]

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return programs(self.venv) / "python"

    @property
    def record(self) -> Path:
        """The file that says how the environment was created and what is in it; {} meanwhile."""
        return ROOT / f"{self.venv.name.replace('venv', 'bootstrap')}.json"

    def fingerprint(self) -> str:
        """Return a digest of everything that determines what is installed."""
        digest = hashlib.sha256()
        for path in (Path(__file__), *self.sources):
            digest.update(path.read_bytes())
        return digest.hexdigest()


def extras_of(package: Path) -> list[str]:
    """Return the names of the extras that a package declares."""
    with Path(package, "pyproject.toml").open("rb") as file:
        return sorted(tomllib.load(file)["project"].get("optional-dependencies", {}))


def with_extras(package: Path, extras: list[str]) -> str:
    """Return the requirement of a package with the extras of these that it has."""
    names = ",".join(each for each in extras_of(package) if each in extras)
    return f"{package}[{names}]" if names else str(package)


def serving(*, compiled: bool) -> Purpose:
    """Return what the command ``serve`` needs: the four packages, and what the example needs.

    What is compiled is a copy, which is made again after any change. All else is editable.
    """
    needed = EXAMPLE / "requirements.txt"
    requirements, sources = ["--requirement", str(needed)], [needed]
    extras = extras_of(PACKAGES[-1])
    for package in PACKAGES:
        sources.append(package / "pyproject.toml")
        hook = package / "hatch_build.py"
        if compiled and hook.exists():
            requirements.append(str(package))
            sources += [hook, *sorted(package.glob("src/**/*.py"))]
        else:
            requirements += ["--editable", with_extras(package, extras)]
            sources += package.glob("src/*/_version.py")
    if compiled:
        return Purpose("serve --compiled", OWN[1], [requirements], sources)
    steps = [BUILD_TOOLS, ["--no-build-isolation", *requirements]]
    return Purpose("serve", OWN[0], steps, sources)


TESTING = Purpose("test", OWN[0], [["nox>=2026.10", "uv>=0.8"]], [])


def run(command: list[str]) -> None:
    """Run a command to its end; raise `BootstrapError` when it fails."""
    status = subprocess.run(command, check=False).returncode
    if status != 0:
        raise BootstrapError(f"exit status {status} of the command: {shlex.join(command)}")


def run_installer(command: list[str], variables: Mapping[str, str] | None = None) -> None:
    """Run pip or uv to its end, with more environment variables.

    A terminal shows meanwhile the seconds so far and the last line of the output, in one line.
    Raises `BootstrapError` when the command fails, after all of its output was printed.
    """
    began = time.monotonic()
    lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    child = subprocess.Popen(
        command,
        env={**os.environ, **(variables or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
    )

    def read() -> None:
        assert child.stdout is not None  # noqa: S101
        with child.stdout as output:
            for line in output:
                lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    shows = sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    printed: list[str] = []
    while True:
        try:
            line = lines.get(timeout=1)
        except queue.Empty:
            pass  # the seconds go on
        else:
            if line is None:
                break
            printed.append(line)
        if shows:
            last = printed[-1].strip() if printed else ""
            text = f"{time.monotonic() - began:4.0f} s  {last}"
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\033[K{text[:width]}", end="", flush=True)
    if shows:
        print("\r\033[K", end="", flush=True)
    if status := child.wait():
        print("".join(printed), end="", file=sys.stderr)
        raise BootstrapError(f"exit status {status} of the command: {shlex.join(command)}")


def venv_command(venv: Path) -> list[str]:
    """Return the command that creates ``venv`` with pip in it, with the first available tool.

    Raises `BootstrapError` without such a tool.
    """
    uv, virtualenv = shutil.which("uv"), shutil.which("virtualenv")
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return [sys.executable, "-m", "venv", str(venv)]
    if uv:
        os.environ.setdefault("UV_SYSTEM_CERTS", "true")  # trust the CAs of this machine
        return [uv, "venv", "--quiet", "--seed", "--python", sys.executable, str(venv)]
    if virtualenv:
        return [virtualenv, "--quiet", "--python", sys.executable, str(venv)]
    raise BootstrapError(
        f"{sys.executable} cannot create virtual environments: install its venv module "
        "(on Debian and Ubuntu the package python3-venv), uv or virtualenv."
    )


def prepare(purpose: Purpose, variables: Mapping[str, str] | None = None) -> None:
    """Install what the command needs, unless it is installed; pip gets the ``variables``."""
    venv = purpose.venv
    try:
        record = json.loads(purpose.record.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if venv.exists():
            raise BootstrapError(f"{venv} was not created by bootstrap.py: move it away.") from None
        record = {}
    except ValueError:
        record = {}

    maker = [str(ROOT), sys.base_prefix, sys.version]
    usable = record.get("maker") == maker and purpose.python.exists()
    installed = record["installed"] if usable else {}
    wanted = purpose.fingerprint()
    if installed.get(purpose.name) == wanted:
        return

    # Found before the record is written, which says that the environment may be deleted.
    create = None if usable else venv_command(venv)
    purpose.record.write_text("{}", encoding="utf-8")
    began = time.monotonic()
    if create is not None:
        print(f"Creating {venv}", flush=True)
        shutil.rmtree(venv, ignore_errors=True)
        run(create)
    print(f"Installing what `{purpose.name}` needs in {venv}, once", flush=True)
    pip = [str(purpose.python), "-m", "pip", "--disable-pip-version-check", "install"]
    for step in purpose.steps:
        run_installer([*pip, *step], variables)
    print(f"Installed in {time.monotonic() - began:.0f} s", flush=True)
    installed[purpose.name] = wanted
    record = json.dumps({"maker": maker, "installed": installed})
    purpose.record.write_text(record, encoding="utf-8")


def ask(python: Path, program: str, cwd: Path | None = None) -> str:
    """Return what a program prints that an interpreter runs; raise `BootstrapError` if it fails."""
    command = [str(python), "-c", program]
    try:
        done = subprocess.run(command, cwd=cwd, stdout=subprocess.PIPE, text=True, check=False)
    except OSError as error:
        raise BootstrapError(f"{python} cannot be run: {error.strerror}") from None
    if done.returncode != 0:
        raise BootstrapError(f"{python} failed: see above.")
    return done.stdout.strip()


def require_compiler(python: Path) -> None:
    """Raise `BootstrapError` where Rocket cannot be compiled for an interpreter."""
    if reason := ask(python, OBSTACLE, PACKAGES[0]):  # the hooks of the others are copies
        raise BootstrapError(f"{reason}. Without --compiled, nothing is compiled.")


def activation(venv: Path) -> str:
    """Return the command with which the shell of this user activates an environment."""
    suffix = {"fish": ".fish", "csh": ".csh", "tcsh": ".csh"}.get(
        Path(os.environ.get("SHELL", "")).name, ""
    )
    script = shlex.quote(str(programs(venv) / f"activate{suffix}"))
    return f"source {script}" if suffix else f". {script}"


def chosen_python(directory: str | None) -> Path:
    """Return the interpreter of the environment to install in, which is created if need be.

    Raises `BootstrapError` for a directory of anything else.
    """
    if directory is None:
        active = os.environ.get("VIRTUAL_ENV")
        if active and sys.prefix == sys.base_prefix:
            return programs(Path(active)) / "python"
        return Path(sys.executable)
    venv = Path(directory).expanduser().absolute()
    if not (venv / "pyvenv.cfg").exists():
        if venv.exists() and not (venv.is_dir() and not any(venv.iterdir())):
            raise BootstrapError(
                f"{venv} is neither empty nor a virtual environment: name another directory."
            )
        create = venv_command(venv)
        print(f"Creating {venv}", flush=True)
        run(create)
    return programs(venv) / "python"


def installer(python: Path) -> list[str]:
    """Return the beginning of the command that installs for an interpreter.

    Raises `BootstrapError` if the interpreter is too old, belongs to the operating system (PEP
    668) or to another command of this script, or if there is neither pip nor uv.
    """
    found = json.loads(ask(python, PROBE))
    if python.parent.parent.resolve() in [each.resolve() for each in OWN]:
        raise BootstrapError(
            f"{python.parent.parent} is the environment of `serve` and `test`, which install the "
            "packages in it themselves: name another directory."
        )
    if found["version"] < [3, 11]:
        version = ".".join(map(str, found["version"]))
        raise BootstrapError(f"Rocket needs Python 3.11 or later; {python} is Python {version}.")
    if found["managed"] and not found["virtual"]:
        raise BootstrapError(
            f"{python} belongs to the operating system or to uv, which do not let others install "
            "packages in it (PEP 668). Name a directory for a virtual environment, such as: "
            "python3 bootstrap.py install ~/rocket-venv"
        )
    if found["pip"]:
        return [str(python), "-m", "pip", "--disable-pip-version-check", "install"]
    if uv := shutil.which("uv"):
        os.environ.setdefault("UV_SYSTEM_CERTS", "true")  # trust the CAs of this machine
        again = [word for each in PACKAGES for word in ("--reinstall-package", each.name)]
        return [uv, "pip", "install", "--python", str(python), *again]
    if importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
        return [*pip, "--python", str(python), "install"]
    raise BootstrapError(f"{python} has no pip: install pip in its environment, or install uv.")


def install(words: list[str]) -> None:
    """Install the four packages, with extras, in an environment of the user's choice."""
    usual = extras_of(PACKAGES[-1])
    known = sorted({name for package in PACKAGES for name in extras_of(package)})
    parser = argparse.ArgumentParser(
        prog="bootstrap.py install",
        description="Install rocket-core, rocket-wsgi, rocket-tls and rocket-cli from this clone.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "directory",
        nargs="?",
        metavar="DIRECTORY",
        help="install in this virtual environment, and create it if it does not exist; "
        "default: the active environment",
    )
    parser.add_argument(
        "--extras",
        default=",".join(usual),
        metavar="NAMES",
        help=f"install these extras of {', '.join(known)}, separated by commas, '' for none; "
        "default: %(default)s",
    )
    parser.add_argument(
        "--compiled",
        action="store_true",
        help="compile rocket-core and rocket-wsgi, which takes a C compiler, the headers of "
        "Python, and a few minutes",
    )
    options = parser.parse_args(words)
    extras = [name for name in options.extras.split(",") if name]
    for name in extras:
        if name not in known:
            parser.error(f"there is no extra {name!r}: choose from {', '.join(known)}")

    python = chosen_python(options.directory)
    if options.compiled:
        require_compiler(python)
    command = installer(python)
    began = time.monotonic()
    print(f"Installing Rocket for {python}", flush=True)
    packages = [with_extras(package, extras) for package in PACKAGES]
    run_installer([*command, *packages], {"ROCKET_COMPILE": str(int(options.compiled))})
    found = json.loads(ask(python, INSTALLED))
    print(
        f"Installed Rocket {found['version']} ({found['build']}) in "
        f"{time.monotonic() - began:.0f} s, with the extras: {', '.join(extras) or 'none'}"
    )
    print(f"The command is {found['command']}")
    on_path = shutil.which("rocket-cli")
    if on_path is None or Path(on_path).absolute() != Path(found["command"]):
        folder = Path(found["command"]).parent
        if (folder.parent / "pyvenv.cfg").exists():
            print(f"To call it by its name: {activation(folder.parent)}")
        else:
            print(f"To call it by its name, add {folder} to the PATH.")


def become(command: list[str]) -> NoReturn:
    """Replace this process by the command, so that the command gets its signals."""
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(command[0], command)
    sys.exit(subprocess.run(command, check=False).returncode)


def serve(options: list[str], *, compiled: bool = False) -> NoReturn:
    """Run the Flask example over HTTP and, with a certificate that is issued for it, over HTTPS."""
    if compiled:
        require_compiler(Path(sys.executable))
    purpose = serving(compiled=compiled)
    prepare(purpose, {"ROCKET_COMPILE": str(int(compiled))})
    issue = [str(purpose.python), "-c", ISSUE, str(CERTIFICATES)]
    issued = subprocess.run(issue, stdout=subprocess.PIPE, text=True, check=False)
    if issued.returncode != 0:
        raise BootstrapError(f"no certificate could be issued in {CERTIFICATES}: see above.")
    certificate, key, root = json.loads(issued.stdout)
    command = programs(purpose.venv) / "rocket-cli"
    print(f"The command is {command}")
    print(f"Its extras are installed: {', '.join(extras_of(PACKAGES[-1]))}")
    print(f"To call it by its name: {activation(purpose.venv)}")
    print("Try, in another terminal:")
    print("  curl http://127.0.0.1:8000/")
    print(f"  curl --cacert {shlex.quote(root)} https://127.0.0.1:8443/")
    os.chdir(EXAMPLE)
    binds = ["--bind", "http://127.0.0.1:8000", "--bind", "https://127.0.0.1:8443"]
    tls = ["--tls-cert", certificate, "--tls-key", key]
    become([str(command), "serve", "app:app", *binds, *tls, *options])


def test(arguments: list[str]) -> NoReturn:
    """Run the checks with nox."""
    prepare(TESTING)
    become([str(TESTING.python), "-m", "nox", "--noxfile", str(ROOT / "noxfile.py"), *arguments])


def main() -> None:
    """Run the command that is named on the command line."""
    commands: dict[str, Callable[[list[str]], None]] = {
        "install": install,
        "serve": serve,
        "serve --compiled": functools.partial(serve, compiled=True),
        "test": test,
    }
    words = sys.argv[1:]
    if words[:2] == ["serve", "--compiled"]:
        words[:2] = ["serve --compiled"]
    name, rest = words[:1], words[1:]
    if name in (["-h"], ["--help"]):
        print(USAGE)
        return
    if not name or name[0] not in commands:
        sys.exit(USAGE)
    if rest[:1] == ["--"]:
        del rest[0]
    try:
        commands[name[0]](rest)
    except BootstrapError as error:
        sys.exit(f"bootstrap.py: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
