from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx

from systemtests.clients import HttpxClient
from systemtests.notes import Example, NotesTests
from systemtests.processes import PATIENCE

if TYPE_CHECKING:
    from pathlib import Path

    from systemtests.certificates import Certificates
    from systemtests.processes import Server


class TestFlask(NotesTests):
    example = Example("flask", "app:app", ["app:app"])

    def test_conditional_and_partial_download(
        self, site: Server, certificates: Certificates, tmp_path: Path
    ) -> None:
        file = tmp_path / "digits"
        file.write_bytes(b"0123456789" * 100_000)
        with HttpxClient(site.address, certificates.ca, tmp_path) as client:
            path = client.submit("/files", "/files", {"content": file}).path
        trust = ssl.create_default_context(cafile=certificates.ca)
        with httpx.Client(verify=trust, timeout=PATIENCE, trust_env=False) as http:
            address = f"{site.address}{path}/download"
            part = http.get(address, headers={"Range": "bytes=500000-500009"})
            assert (part.status_code, part.content) == (206, b"0123456789")
            assert part.headers["content-range"] == "bytes 500000-500009/1000000"
            same = http.get(address, headers={"If-None-Match": part.headers["etag"]})
            assert (same.status_code, same.content) == (304, b"")
            head = http.head(address)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == "1000000"
