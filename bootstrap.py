#!/usr/bin/env python3
"""Run the example server, or all checks, from a fresh clone in one command.

Everything is installed in .venv beside this file, which is created when needed and reused.
"""

import sys

if sys.version_info < (3, 11):
    version = ".".join(map(str, sys.version_info[:3]))
    sys.exit(
        "bootstrap.py needs Python 3.11 or later; this is Python " + version + ". Run it with "
        "another interpreter, or with uv: uv run --no-project --python 3.13 bootstrap.py"
    )

import hashlib
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import NoReturn

USAGE = """\
usage: python3 bootstrap.py serve [-- options of rocket-cli serve]
       python3 bootstrap.py test [arguments of nox]

serve  run the Flask example on http://127.0.0.1:8000 and https://127.0.0.1:8443
test   run every check of the repository"""

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / "python"
RECORD = ROOT / ".bootstrap.json"  # how .venv was created and what is installed; {} meanwhile

PACKAGES = [ROOT / "packages" / f"rocket-{name}" for name in ("core", "wsgi", "tls", "cli")]
EXAMPLE = ROOT / "examples" / "flask"
CERTIFICATES = ROOT / ".certificates"

# Paths: an installer takes a package that is named by a path from no index.
INSTALL = {
    "serve": [
        *(argument for package in PACKAGES for argument in ("--editable", str(package))),
        "--requirement",
        str(EXAMPLE / "requirements.txt"),
    ],
    "test": ["nox>=2026.10", "uv>=0.8"],
}

ISSUE = """\
import json, pathlib, sys, rocket_tls
authority = rocket_tls.LocalAuthority(pathlib.Path(sys.argv[1]))
issued = authority.issue(["localhost", "127.0.0.1", "::1"])
print(json.dumps([str(issued.certificate), str(issued.key), str(authority.certificate)]))
"""


class BootstrapError(Exception):
    """The message is one line for the person at the terminal."""


def run(command: list[str]) -> None:
    """Run a command to its end. Raises `BootstrapError` when it fails."""
    status = subprocess.run(command, check=False).returncode
    if status != 0:
        raise BootstrapError(f"exit status {status} of the command: {shlex.join(command)}")


def fingerprint(purpose: str) -> str:
    """Return a digest of everything that determines what is installed."""
    digest = hashlib.sha256()
    decisive = [Path(__file__)]
    if purpose == "serve":
        decisive.append(EXAMPLE / "requirements.txt")
        for package in PACKAGES:
            decisive += [package / "pyproject.toml", *package.glob("src/*/_version.py")]
    for path in decisive:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def venv_command() -> list[str]:
    """Return the command that creates .venv with pip in it, with the first tool that is available.

    Raises `BootstrapError` without such a tool.
    """
    uv, virtualenv = shutil.which("uv"), shutil.which("virtualenv")
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return [sys.executable, "-m", "venv", str(VENV)]
    if uv:
        os.environ.setdefault("UV_SYSTEM_CERTS", "true")  # trust the CAs of this machine
        return [uv, "venv", "--quiet", "--seed", "--python", sys.executable, str(VENV)]
    if virtualenv:
        return [virtualenv, "--quiet", "--python", sys.executable, str(VENV)]
    raise BootstrapError(
        f"{sys.executable} cannot create virtual environments: install its venv module "
        "(on Debian and Ubuntu the package python3-venv), uv or virtualenv."
    )


def prepare(purpose: str) -> None:
    """Install in .venv what the command needs, unless it is installed already."""
    try:
        record = json.loads(RECORD.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if VENV.exists():
            raise BootstrapError(f"{VENV} was not created by bootstrap.py: move it away.") from None
        record = {}
    except ValueError:
        record = {}

    maker = [str(ROOT), sys.base_prefix, sys.version]
    usable = record.get("maker") == maker and PYTHON.exists()
    installed = record["installed"] if usable else {}
    wanted = fingerprint(purpose)
    if installed.get(purpose) == wanted:
        return

    # Found before the record is written, which says that .venv may be deleted.
    create = None if usable else venv_command()
    RECORD.write_text("{}", encoding="utf-8")
    if create is not None:
        print(f"Creating {VENV}", flush=True)
        shutil.rmtree(VENV, ignore_errors=True)
        run(create)
    print(f"Installing what `{purpose}` needs", flush=True)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    run([*pip, *INSTALL[purpose]])
    installed[purpose] = wanted
    RECORD.write_text(json.dumps({"maker": maker, "installed": installed}), encoding="utf-8")


def become(command: list[str]) -> NoReturn:
    """Replace this process by the command, so that the command gets its signals."""
    sys.stdout.flush()
    if os.name == "posix":
        os.execv(command[0], command)
    sys.exit(subprocess.run(command, check=False).returncode)


def serve(options: list[str]) -> NoReturn:
    """Run the Flask example over HTTP and, with a certificate that is issued for it, over HTTPS."""
    prepare("serve")
    issue = [str(PYTHON), "-c", ISSUE, str(CERTIFICATES)]
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
    become([str(BIN / "rocket-cli"), "serve", "app:app", *binds, *tls, *options])


def test(arguments: list[str]) -> NoReturn:
    """Run the checks with nox."""
    prepare("test")
    become([str(PYTHON), "-m", "nox", "--noxfile", str(ROOT / "noxfile.py"), *arguments])


def main() -> None:
    """Run the command that is named on the command line."""
    commands = {"serve": serve, "test": test}
    name, rest = sys.argv[1:2], sys.argv[2:]
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
