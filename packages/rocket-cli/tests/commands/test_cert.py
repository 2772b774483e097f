from __future__ import annotations

import re
import shlex
import ssl
import stat
from pathlib import Path

import httpx
import pytest

from conftest import HELLO, Write
from processes import PATIENCE, Served, refuse, run


def path_after(title: str, output: str) -> Path:
    found = re.search(rf"^{title}.*:\n  (.*)$", output, re.MULTILINE)
    assert found is not None, output
    return Path(*shlex.split(found[1]))


def make(directory: Path, *arguments: str, **variables: str) -> str:
    done = run(directory, "cert", *arguments, **variables)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_is_printed_works(tmp_path: Path, write: Write) -> None:
    """The printed command serves, and a client that trusts the root gets an answer."""
    write("app.py", HELLO.format("app"))
    output = make(tmp_path, "--directory", "my certificates")
    found = re.search(r"rocket-cli serve (.*) \\\n +(.*)", output)
    assert found is not None
    options = shlex.split(f"{found[1]} {found[2]}".replace(":8443", ":0"))
    root = re.search(r"curl --cacert (.*) https://localhost:8443/", output)
    assert root is not None
    trust = ssl.create_default_context(cafile=str(tmp_path.joinpath(*shlex.split(root[1]))))
    with (
        Served(tmp_path, *options) as served,
        httpx.Client(trust_env=False, timeout=PATIENCE, verify=trust) as client,
    ):
        port = httpx.URL(served.location()).port
        for host in ("localhost", "127.0.0.1"):
            assert client.get(f"https://{host}:{port}/").text == "hello"
        served.stop()


def test_files_are_for_their_owner(tmp_path: Path) -> None:
    output = make(tmp_path, "--directory", "private/authority")
    assert mode(tmp_path / "private/authority") == 0o700
    key = tmp_path / path_after("Keep its key", output)
    assert {mode(key), mode(tmp_path / "private/authority/root-key.pem")} == {0o600}


def test_default_directory(tmp_path: Path) -> None:
    output = make(tmp_path, XDG_DATA_HOME=str(tmp_path / "data"))
    assert path_after("Certificate for", output).parent == tmp_path / "data/rocket"
    output = make(tmp_path, XDG_DATA_HOME="", HOME=str(tmp_path))
    assert path_after("Certificate for", output).parent == tmp_path / ".local/share/rocket"


def test_certificate_is_used_again(tmp_path: Path) -> None:
    first = make(tmp_path, "--directory", ".")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    assert make(tmp_path, "--directory", ".") == first
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("names", "url"),
    [
        (["shop.test", "127.0.0.2"], "https://shop.test:8443"),
        (["::1"], "https://[::1]:8443"),
        (["*.shop.test"], "https://www.shop.test:8443"),
    ],
)
def test_names(tmp_path: Path, names: list[str], url: str) -> None:
    output = make(tmp_path, "--directory", ".", *names)
    assert output.startswith(f"Certificate for {', '.join(names)}, until 2")
    assert f"{url}/" in output


def test_what_is_wrong(tmp_path: Path) -> None:
    assert "'not a name'" in refuse(tmp_path, "not a name", "--directory", ".", command="cert")
    (tmp_path / "file").touch()
    assert "file/within" in refuse(tmp_path, "--directory", "file/within", command="cert")
