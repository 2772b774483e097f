"""py4web, which imports a package rocket3, on `rocket_wsgi.compat` in its place.

The launcher is the one in README.md of rocket-wsgi.
"""

from __future__ import annotations

import ssl
import sys
from typing import TYPE_CHECKING

import httpx
import pytest

from rocket_core.testing import unused_port
from systemtests.pages import blocks_of
from systemtests.processes import ROOT, Server, assert_quiet

if TYPE_CHECKING:
    from pathlib import Path

    from systemtests.certificates import Certificates

APPLICATION = """
from py4web import action, request

@action("index")
def index():
    return f"hello from py4web on {request.environ['SERVER_SOFTWARE']}"

@action("echo", method=["POST"])
def echo():
    return request.body.read()
"""


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_py4web(scheme: str, tmp_path: Path, certificates: Certificates) -> None:
    application = tmp_path / "apps" / "_default" / "__init__.py"
    application.parent.mkdir(parents=True)
    application.write_text(APPLICATION)
    (tmp_path / "apps" / "__init__.py").touch()
    options = ["--server", "rocket", "--port", str(unused_port()), "--watch", "off", "-L", "20"]
    if scheme == "https":
        options += ["--ssl_cert", str(certificates.cert), "--ssl_key", str(certificates.key)]
    page = (ROOT / "packages/rocket-wsgi/README.md").read_text("utf-8")
    (launcher,) = [each.text for each in blocks_of(page) if "py4web.core" in each.text]
    (tmp_path / "launcher.py").write_text(launcher)
    command = [sys.executable, "launcher.py", "run", "apps", "--dashboard_mode", "none"]
    with Server([*command, *options], tmp_path) as server:
        trust = ssl.create_default_context(cafile=certificates.ca)
        transport = httpx.HTTPTransport(verify=trust, retries=6)  # py4web announces too early
        with httpx.Client(base_url=server.address, transport=transport, timeout=30) as client:
            answer = client.get("/")
            assert answer.text.startswith("hello from py4web on Rocket/")
            assert answer.headers["Server"].startswith("Rocket/")
            body = bytes(range(256)) * 1000
            assert client.post("/echo", content=body).content == body
    assert f"{scheme}://" in server.address
    assert '"GET / HTTP/1.1" 200' in server.log
    assert_quiet(server.log)
