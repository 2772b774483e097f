"""Use an installed release: run by the interpreter of its environment, outside the repository.

An application is served over HTTP and HTTPS by two processes, requested, compressed, and inspected
over the admin socket and the metrics. This program needs the standard library and the release only.
"""

from __future__ import annotations

import http.client
import importlib
import importlib.metadata
import json
import os
import re
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

APPLICATION = """\
def app(environ, start_response):
    body = f"{environ['wsgi.url_scheme']} {environ['SERVER_PROTOCOL']} ".encode() * 100
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

PATIENCE = 60


class SmokeError(Exception):
    """Something does not work as installed."""


def command(*words: str) -> list[str]:
    """Return a command line of the installed rocket-cli."""
    return [str(Path(sys.executable).with_name("rocket-cli")), *words]


def asked(*words: str) -> str:
    """Return what a command prints; raise an error unless it exits with 0."""
    done = subprocess.run(
        command(*words), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        raise SmokeError(f"rocket-cli {words[0]}: {done.stdout}{done.stderr}")
    return done.stdout


def require(fact: object, message: str) -> None:
    """Raise an error unless something is so."""
    if not fact:
        raise SmokeError(message)


def started(server: subprocess.Popen[str]) -> tuple[list[str], str]:
    """Return the URLs that a server prints, and that of its metrics, once it has started."""
    assert server.stderr is not None  # noqa: S101
    printed: list[str] = []
    for line in server.stderr:
        printed.append(line)
        text = "".join(printed)
        metrics = re.search(r"metrics are at (\S+)/metrics$", text, re.MULTILINE)
        if metrics and "to stop\n" in text:
            return re.findall(r"Listening on (\S+)", text), metrics[1]
    raise SmokeError("".join(printed))


def get(
    url: str, path: str = "/", authority: Path | None = None, coding: str = "identity"
) -> bytes:
    """Return the body of a response; raise an error unless it has the status 200 and the coding."""
    parts = urlsplit(url)
    address = (parts.hostname or "", parts.port)
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=authority)
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            *address, timeout=PATIENCE, context=context
        )
    else:
        connection = http.client.HTTPConnection(*address, timeout=PATIENCE)
    try:
        connection.request("GET", path, headers={"Accept-Encoding": coding})
        response = connection.getresponse()
        body = response.read()
    finally:
        connection.close()
    require(response.status == 200, f"{url}{path} is answered {response.status}: {body!r}")
    is_coding = response.headers.get("Content-Encoding", "identity")
    require(is_coding == coding, f"{url}{path} asked for {coding} has the coding {is_coding}")
    return body


def serve(directory: Path) -> Iterator[str]:
    """Serve an application and use it; yield what has worked."""
    from rocket_tls import LocalAuthority

    authority = LocalAuthority(directory / "ca")
    issued = authority.issue(["127.0.0.1"])
    (directory / "app.py").write_text(APPLICATION)
    admin = str(directory / "admin")
    binds = ["--bind", "http://127.0.0.1:0", "--bind", "https://127.0.0.1:0"]
    tls = ["--tls-cert", str(issued.certificate), "--tls-key", str(issued.key)]
    more = ["--admin", admin, "--metrics", "127.0.0.1:0", "--processes", "2", "--compress"]
    settings = ["app:app", *binds, *tls, *more]
    yield asked("check", *settings).strip()
    server = subprocess.Popen(
        command("serve", *settings), cwd=directory, stderr=subprocess.PIPE, text=True
    )
    ending = threading.Timer(PATIENCE, server.kill)
    ending.start()
    try:
        (plain, secure), metrics = started(server)
        require(get(plain).startswith(b"http HTTP/1.1 "), "the response over HTTP is another")
        body = get(secure, authority=authority.certificate)
        require(body.startswith(b"https HTTP/1.1 "), "the response over HTTPS is another")
        yield f"requested {plain} and {secure}"
        for coding in ("br", "gzip", "zstd"):
            require(len(get(plain, coding=coding)) < 100, f"{coding} does not compress")
        yield "compressed by br, gzip and zstd"
        answers = json.loads(asked("stats", "--json", "--admin", admin))["answers"]
        served = sum(answer["counters"]["requests"] for answer in answers)
        require((len(answers), served) == (2, 5), f"{len(answers)} processes, {served} requests")
        yield f"asked {len(answers)} processes over the admin socket: {served} requests"
        sample = re.search(
            rb"^rocket_build_info\{.*\} 1(\.0)?$", get(metrics, "/metrics"), re.MULTILINE
        )
        require(sample, "the metrics do not say what is built")
        yield f"read the metrics: {sample[0].decode() if sample else ''}"
        server.terminate()
        require(server.wait(PATIENCE) == 0, f"the server exits with {server.returncode}")
        yield "stopped"
    finally:
        ending.cancel()
        server.kill()
        server.wait()


def main() -> int:
    """Use what is installed; print what has worked, and the versions of everything."""
    build = sys.argv[1]
    for name in ("rocket_core", "rocket_wsgi"):
        module = importlib.import_module(name)
        require(module.compiled is (build == "compiled"), f"{name}.compiled is {module.compiled}")
    for name in ("acme", "prometheus_client", "setproctitle", "watchfiles"):
        importlib.import_module(name)
    with tempfile.TemporaryDirectory(prefix="rocket-smoke-") as name:
        os.chdir(name)
        for line in serve(Path(name)):
            print(line)
    versions = {each.name: each.version for each in importlib.metadata.distributions()}
    print(" ".join(f"{name}={versions[name]}" for name in sorted(versions, key=str.lower)))
    print(f"This release works ({build}).")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SmokeError as error:
        sys.exit(f"smoke: {error}")
