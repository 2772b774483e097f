#!/usr/bin/env python3
"""Run the example server, or all checks, from a fresh clone in one command.

Everything is installed in .venv beside this file, the compiled build in .venv-compiled. They are
created when needed and reused.
"""

import sys

if sys.version_info < (3, 11):
    version = ".".join(map(str, sys.version_info[:3]))
    sys.exit(
        "bootstrap.py needs Python 3.11 or later; this is Python " + version + ". Run it with "
        "another interpreter, or with uv: uv run --no-project --python 3.13 bootstrap.py"
    )

import functools
import hashlib
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

USAGE = """\
usage: python3 bootstrap.py serve [--compiled] [-- options of rocket-cli serve]
       python3 bootstrap.py test [arguments of nox]

serve  run the Flask example on http://127.0.0.1:8000 and https://127.0.0.1:8443;
       --compiled compiles Rocket first, for which it needs a C compiler
test   run every check of the repository"""

ROOT = Path(__file__).resolve().parent
PACKAGES = [ROOT / "packages" / f"rocket-{name}" for name in ("core", "wsgi", "tls", "cli")]
EXAMPLE = ROOT / "examples" / "flask"
CERTIFICATES = ROOT / ".certificates"

ISSUE = """\
import json, pathlib, sys, rocket_tls
authority = rocket_tls.LocalAuthority(pathlib.Path(sys.argv[1]))
issued = authority.issue(["localhost", "127.0.0.1", "::1"])
print(json.dumps([str(issued.certificate), str(issued.key), str(authority.certificate)]))
"""

OBSTACLE = "import hatch_build; print(hatch_build.obstacle() or '')"


class BootstrapError(Exception):
    """The message is one line for the person at the terminal."""


@dataclass(frozen=True)
class Purpose:
    """What is installed for a command, and where.

    Attributes:
        name: the command.
        venv: the virtual environment.
        requirements: arguments of pip. Packages from here are paths, because an installer takes a
            package that is named by a path from no index.
        sources: the files that determine what is installed.
    """

    name: str
    venv: Path
    requirements: list[str]
    sources: list[Path]

    @property
    def bin(self) -> Path:
        """The folder of the programs in the environment."""
        return self.venv / ("Scripts" if os.name == "nt" else "bin")

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return self.bin / "python"

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


def serving(*, compiled: bool) -> Purpose:
    """Return what the command ``serve`` needs: the four packages, and what the example needs.

    What is compiled is a copy, which is made again after any change. All else is editable.
    """
    needed = EXAMPLE / "requirements.txt"
    requirements, sources = ["--requirement", str(needed)], [needed]
    for package in PACKAGES:
        sources.append(package / "pyproject.toml")
        hook = package / "hatch_build.py"
        if compiled and hook.exists():
            requirements.append(str(package))
            sources += [hook, *sorted(package.glob("src/**/*.py"))]
        else:
            requirements += ["--editable", str(package)]
            sources += package.glob("src/*/_version.py")
    if compiled:
        return Purpose("serve --compiled", ROOT / ".venv-compiled", requirements, sources)
    return Purpose("serve", ROOT / ".venv", requirements, sources)


COMPILING = Purpose("compile", ROOT / ".venv-compiled", ["hatchling>=1.27"], [])
TESTING = Purpose("test", ROOT / ".venv", ["nox>=2026.10", "uv>=0.8"], [])


def run(command: list[str], variables: Mapping[str, str] | None = None) -> None:
    """Run a command to its end, with more environment variables.

    Raises `BootstrapError` when it fails.
    """
    environment = {**os.environ, **(variables or {})}
    status = subprocess.run(command, env=environment, check=False).returncode
    if status != 0:
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
    if create is not None:
        print(f"Creating {venv}", flush=True)
        shutil.rmtree(venv, ignore_errors=True)
        run(create)
    print(f"Installing what `{purpose.name}` needs", flush=True)
    pip = [str(purpose.python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run([*pip, *purpose.requirements], variables)
    installed[purpose.name] = wanted
    record = json.dumps({"maker": maker, "installed": installed})
    purpose.record.write_text(record, encoding="utf-8")


def require_compiler() -> None:
    """Raise `BootstrapError` where Rocket cannot be compiled."""
    prepare(COMPILING)
    command = [str(COMPILING.python), "-c", OBSTACLE]
    hook = PACKAGES[0]  # the others are copies
    found = subprocess.run(command, cwd=hook, stdout=subprocess.PIPE, text=True, check=True)
    if reason := found.stdout.strip():
        raise BootstrapError(f"{reason}. Without --compiled, nothing is compiled.")


def become(command: list[str]) -> NoReturn:
    """Replace this process by the command, so that the command gets its signals."""
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(command[0], command)
    sys.exit(subprocess.run(command, check=False).returncode)


def serve(options: list[str], *, compiled: bool = False) -> NoReturn:
    """Run the Flask example over HTTP and, with a certificate that is issued for it, over HTTPS."""
    if compiled:
        require_compiler()
    purpose = serving(compiled=compiled)
    prepare(purpose, {"ROCKET_COMPILE": str(int(compiled))})
    issue = [str(purpose.python), "-c", ISSUE, str(CERTIFICATES)]
    issued = subprocess.run(issue, stdout=subprocess.PIPE, text=True, check=False)
    if issued.returncode != 0:
        raise BootstrapError(f"no certificate could be issued in {CERTIFICATES}: see above.")
    certificate, key, root = json.loads(issued.stdout)
    print("Try, in another terminal:")
    print("  curl http://127.0.0.1:8000/")
    print(f"  curl --cacert {shlex.quote(root)} https://127.0.0.1:8443/")
    os.chdir(EXAMPLE)
    binds = ["--bind", "http://127.0.0.1:8000", "--bind", "https://127.0.0.1:8443"]
    tls = ["--tls-cert", certificate, "--tls-key", key]
    become([str(purpose.bin / "rocket-cli"), "serve", "app:app", *binds, *tls, *options])


def test(arguments: list[str]) -> NoReturn:
    """Run the checks with nox."""
    prepare(TESTING)
    become([str(TESTING.python), "-m", "nox", "--noxfile", str(ROOT / "noxfile.py"), *arguments])


def main() -> None:
    """Run the command that is named on the command line."""
    commands: dict[str, Callable[[list[str]], NoReturn]] = {
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
