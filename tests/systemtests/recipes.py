"""The files of docs/recipes, and the programs that they are for."""

from __future__ import annotations

import os
import pwd
import re
import socket
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from systemtests.processes import PATIENCE, ROOT, environment, find_tool

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from systemtests.certificates import Certificates

RECIPES = ROOT / "docs" / "recipes"

NGINX = """\
include /etc/nginx/modules-enabled/*.conf;
daemon off;
user {user};
pid {directory}/nginx.pid;
error_log stderr;
events {{}}
{block} {{
    {others}
    include {directory}/site.conf;
}}
"""
"""What stands around a site in Debian's nginx.conf."""

HTTP = (
    "access_log off; client_body_temp_path {directory}/bodies; proxy_temp_path {directory}/proxied;"
)


def recipe(name: str, changes: Mapping[str, str]) -> str:
    """A file of docs/recipes, with other addresses and paths. Each of ``changes`` must be in it."""
    text = (RECIPES / name).read_text(encoding="utf-8")
    instructions = re.sub(r"^ *#.*$", "", text, flags=re.MULTILINE)
    for old, new in changes.items():
        assert old in instructions, old
        instructions = instructions.replace(old, new)
    return instructions


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A socket for a program to inherit, at a free port. Connections to it wait for the program."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        sock.set_inheritable(True)
        yield sock


@contextmanager
def nginx(
    directory: Path,
    name: str,
    changes: Mapping[str, str],
    listen: str,
    certificates: Certificates | None = None,
) -> Iterator[tuple[str, int]]:
    """Run nginx with a recipe, with a port of its own for ``listen``; yield its address.

    With ``certificates``, it uses TLS, and HTTP/2 with clients that know it.
    """
    program = find_tool("nginx")
    block = "stream" if "stream" in name else "http"
    with listening() as sock:
        host, port = sock.getsockname()
        there = f"listen {host}:{port};"
        if certificates is not None:
            there = f"""listen {host}:{port} ssl http2;
                ssl_certificate {certificates.cert};
                ssl_certificate_key {certificates.key};"""
        changes = {**changes, listen: there}
        (directory / "site.conf").write_text(recipe(name, changes))
        others = HTTP.format(directory=directory) if block == "http" else ""
        main = directory / "nginx.conf"
        user = pwd.getpwuid(os.getuid()).pw_name
        main.write_text(NGINX.format(directory=directory, user=user, block=block, others=others))
        # As for a new nginx that takes over from an old one.
        variables = {"NGINX": f"{sock.fileno()};"}
        with _running([program, "-e", "stderr", "-c", str(main)], [sock], variables):
            yield host, port


@contextmanager
def haproxy(
    directory: Path, name: str, changes: Mapping[str, str], binds: Sequence[str]
) -> Iterator[list[tuple[str, int]]]:
    """Run HAProxy with a recipe, with a port of its own for each of ``binds``; yield these."""
    program = find_tool("haproxy")
    with listening() as first, listening() as second:
        sockets = [first, second]
        inherited = {
            bind: f"bind fd@{sock.fileno()}" for bind, sock in zip(binds, sockets, strict=True)
        }
        configuration = directory / "haproxy.cfg"
        configuration.write_text(recipe(name, {**changes, **inherited}))
        with _running([program, "-db", "-f", str(configuration)], sockets, {}):
            yield [sock.getsockname() for sock in sockets]


@contextmanager
def nghttpx(directory: Path, changes: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Run nghttpx with its recipe, with a port of its own; yield its address."""
    program = find_tool("nghttpx")
    with listening() as sock:
        host, port = sock.getsockname()
        configuration = directory / "nghttpx.conf"
        changes = {**changes, "frontend=*,443": f"frontend={host},{port}"}
        configuration.write_text(recipe("nghttpx.conf", changes))
        command = [program, f"--conf={configuration}", "--errorlog-file=/dev/stderr"]
        # As for a new nghttpx that takes over from an old one.
        variables = {"NGHTTPX_ACCEPT_1": f"tcp,{sock.fileno()}"}
        with _running([*command, "--accesslog-file=/dev/null"], [sock], variables):
            yield host, port


@contextmanager
def _running(
    command: Sequence[str], sockets: Sequence[socket.socket], variables: Mapping[str, str]
) -> Iterator[None]:
    program = subprocess.Popen(
        command,
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        pass_fds=[sock.fileno() for sock in sockets],
    )
    try:
        yield
        assert program.poll() is None, f"{command[0]} has ended"
    finally:
        program.terminate()  # nginx ends its other process
        program.wait(PATIENCE)
