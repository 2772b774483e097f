"""An application at a path other than the root."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from conftest import Write
from processes import Served, refuse
from rocket_cli._application.root_path import rooted


@pytest.mark.parametrize(
    ("script_name", "path", "seen"),
    [
        ("", "/shop/x", ("/shop", "/x")),
        ("", "/shop", ("/shop", "")),
        ("", "/shop/", ("/shop", "/")),
        ("", "/x", ("/shop", "/x")),
        ("", "/shopping", ("/shop", "/shopping")),
        ("", "/shop/shop/x", ("/shop", "/shop/x")),
        ("/other", "/shop/x", ("/other", "/shop/x")),
    ],
)
def test_paths(script_name: str, path: str, seen: tuple[str, str]) -> None:
    found = []

    def application(environ: dict[str, str], start_response: object) -> list[bytes]:
        found.append((environ["SCRIPT_NAME"], environ["PATH_INFO"]))
        return []

    environ = {"SCRIPT_NAME": script_name, "PATH_INFO": path}
    rooted(application, "/shop")(environ, lambda *_: lambda _: None)
    assert found == [seen]


def test_command(tmp_path: Path, write: Write, client: httpx.Client) -> None:
    write(
        "app.py",
        """
        from wsgiref.util import request_uri

        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode()]
        """,
    )
    options = ("--bind", "127.0.0.1:0", "--root-path", "/shop", "app")
    with Served(tmp_path, *options) as served:
        url = served.location()
        for path in ("/x", "/shop/x"):
            assert client.get(url + path).text == "/shop /x"
        served.stop()


@pytest.mark.parametrize("path", ["shop", "/shop/", "", "/ä"])
def test_other_paths_are_refused(tmp_path: Path, path: str) -> None:
    line = refuse(tmp_path, "--root-path", path)
    assert line.endswith("use a path that begins with / and does not end with it")
