"""What both example applications must do, through every client and over every transport."""

from __future__ import annotations

import csv
import hashlib
import html
import io
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest

from systemtests.clients import Download, HttpxClient, RequestsClient
from systemtests.processes import APPLICATIONS, EXAMPLES, PLAIN, serve

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from systemtests.certificates import Certificates
    from systemtests.clients import Client
    from systemtests.processes import Server

MIB = 1024 * 1024
UPLOAD_SIZE = 20 * MIB
STREAM_SIZE = 5 * MIB + 12_345


@dataclass(frozen=True)
class Upload:
    """A file of `UPLOAD_SIZE` bytes, and the SHA-256 of its content."""

    path: Path
    sha256: str


@dataclass(frozen=True)
class Example:
    """An example: its directory, its application, and what its README gives `rocket-cli serve`."""

    name: str
    application: str
    arguments: list[str]

    def serve(self, data: Path, options: Sequence[str], *, validated: bool = False) -> Server:
        """Start the example with its data in the folder `data`, `validated` by wsgiref or not."""
        variables = {"NOTES_DATA": str(data)}
        arguments = self.arguments
        if validated:
            variables |= {"PYTHONPATH": str(APPLICATIONS), "VALIDATED": self.application}
            arguments = ["validated:application"]
        return serve(*arguments, *options, cwd=EXAMPLES / self.name, variables=variables)


def numbers(size: int) -> Download:
    """Return what a client must have received from `/stream?size=...`."""
    content = b"".join(n.to_bytes(8, "big") for n in range(size // 8 + 1))[:size]
    return Download(200, size, hashlib.sha256(content).hexdigest())


def peak_memory(pid: int) -> int:
    """Return the most memory, in bytes, that a process of Linux has held at any time."""
    status = Path(f"/proc/{pid}/status").read_text()
    match = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert match is not None
    return int(match[1]) * 1024


class NotesTests:
    """The tests of one example; a subclass names it."""

    example: ClassVar[Example]

    def test_style_sheet_of_the_front_page(self, client: Client) -> None:
        page = client.get("/")
        assert (page.status, page.content_type) == (200, "text/html; charset=utf-8")
        link = re.search(r'<link rel="stylesheet" href="([^"]+)">', page.text)
        assert link is not None
        sheet = client.get(link[1])
        assert sheet.status == 200
        assert sheet.content_type.startswith("text/css")
        assert sheet.text.startswith(":root {")

    def test_note_is_shown_after_a_redirect(self, client: Client) -> None:
        title, body = f"Grüße von {client.name} & Co.", "<b>fett</b>\n第二行"
        page = client.submit("/", "/", title=title, body=body)
        assert (page.status, page.path, page.redirects) == (200, "/", 1)
        assert html.escape(title) in page.text
        assert html.escape(body) in page.text
        assert "The note was saved." in page.text
        assert "The note was saved." not in client.get("/").text

    def test_incomplete_note_is_refused(self, client: Client) -> None:
        title = f"{client.name} forgot the text"
        page = client.submit("/", "/", title=title)
        assert (page.status, page.redirects) == (422, 0)
        assert "Please fill in the body." in page.text
        assert f'value="{title}"' in page.text
        assert title not in client.get("/").text

    def test_sign_in_and_out(self, client: Client, new_visitor: Callable[[], Client]) -> None:
        page = client.submit("/", "/sign-in", name="Zoë")
        assert (page.status, page.redirects) == (200, 1)
        assert "Signed in as <strong>Zoë</strong>" in client.get("/files").text
        assert "Signed in as" not in new_visitor().get("/").text
        assert ">Zoë, " in client.submit("/", "/", title="Mine", body="by name").text
        client.submit("/", "/sign-out")
        page = client.submit("/", "/", title="Nobody's", body="without a name")
        assert "Signed in as" not in page.text
        assert page.text.index(">anonymous, ") < page.text.index(">Zoë, ")

    def test_upload_comes_back_unchanged(self, client: Client, upload: Upload) -> None:
        page = client.submit("/files", "/files", {"content": upload.path})
        assert (page.status, page.redirects) == (200, 1)
        assert f"<h1>{html.escape(upload.path.name)}</h1>" in page.text
        assert f"{UPLOAD_SIZE} bytes" in page.text
        assert upload.sha256 in page.text
        expected = Download(200, UPLOAD_SIZE, upload.sha256)
        assert client.download(f"{page.path}/download") == expected

    def test_empty_file(self, client: Client, tmp_path: Path) -> None:
        empty = tmp_path / "empty"
        empty.touch()
        page = client.submit("/files", "/files", {"content": empty})
        assert "<dd>0 bytes</dd>" in page.text
        expected = Download(200, 0, hashlib.sha256().hexdigest())
        assert client.download(f"{page.path}/download") == expected

    def test_no_file(self, client: Client) -> None:
        page = client.submit("/files", "/files")
        assert (page.status, page.redirects) == (422, 0)
        assert "Please choose a file." in page.text

    def test_stream(self, client: Client) -> None:
        for size in [0, 1, STREAM_SIZE]:
            assert client.download(f"/stream?size={size}") == numbers(size)

    def test_error_pages(self, client: Client) -> None:
        refused = client.get("/stream?size=much")
        assert (refused.status, refused.path) == (400, "/stream")
        assert "size must be a number of bytes" in refused.text
        missing = client.get("/files/999999")
        assert missing.status == 404
        assert "404 Not Found" in missing.text

    def test_export(self, client: Client) -> None:
        title, body = f'{client.name} said: "Hi", then left', "one\ntwo, Grüße"
        client.submit("/", "/", title=title, body=body)
        page = client.get("/export.csv")
        assert (page.status, page.content_type) == (200, "text/csv; charset=utf-8")
        rows = list(csv.DictReader(io.StringIO(page.text, newline="")))
        assert [(title, body)] == [
            (row["title"], row["body"]) for row in rows if row["title"] == title
        ]

    def test_many_visitors_at_once(self, new_visitor: Callable[[], Client]) -> None:
        visitors = [new_visitor() for _ in range(8)]
        written = {(number, note) for number in range(8) for note in range(5)}

        def write(number: int) -> None:
            visitors[number].submit("/", "/sign-in", name=f"visitor {number}")
            for note in range(5):
                page = visitors[number].submit("/", "/", title=f"note {note}", body="at once")
                assert page.status == 200

        with ThreadPoolExecutor(len(visitors)) as threads:
            list(threads.map(write, range(8)))
        rows = csv.DictReader(io.StringIO(visitors[0].get("/export.csv").text, newline=""))
        names = [(row["author"], row["title"]) for row in rows if row["body"] == "at once"]
        expected = [(f"visitor {number}", f"note {note}") for number, note in written]
        assert sorted(names) == sorted(expected)

    def test_failure_is_logged_and_not_shown(
        self, certificates: Certificates, tmp_path: Path
    ) -> None:
        with (
            self.example.serve(tmp_path / "data", PLAIN) as server,
            HttpxClient(server.address, certificates.ca, tmp_path) as client,
        ):
            page = client.get("/break")
            assert page.status == 500
            assert "500 Internal Server Error" in page.text
            assert "on purpose" not in page.text
            assert client.get("/").status == 200
        assert "RuntimeError: this page fails on purpose" in server.log

    def test_restart_keeps_notes_and_sessions(
        self, certificates: Certificates, tmp_path: Path
    ) -> None:
        data = tmp_path / "data"
        with self.example.serve(data, PLAIN) as server:
            client = RequestsClient(server.address, certificates.ca, tmp_path)
            client.submit("/", "/sign-in", name="Ada")
            client.submit("/", "/", title="Before", body="the restart")
        with client, self.example.serve(data, PLAIN) as server:
            client.base = server.address
            page = client.get("/")
            assert "Signed in as <strong>Ada</strong>" in page.text
            assert "<h2>Before</h2>" in page.text

    @pytest.mark.skipif(sys.platform != "linux", reason="reads the process's memory in /proc")
    def test_memory_does_not_grow_with_an_upload(
        self, certificates: Certificates, upload: Upload, tmp_path: Path
    ) -> None:
        with (
            self.example.serve(tmp_path / "data", PLAIN) as server,
            HttpxClient(server.address, certificates.ca, tmp_path) as client,
        ):
            small = tmp_path / "small"
            small.write_bytes(bytes(MIB))
            page = client.submit("/files", "/files", {"content": small})
            client.download(f"{page.path}/download")
            before = peak_memory(server.pid)
            page = client.submit("/files", "/files", {"content": upload.path})
            client.download(f"{page.path}/download")
            client.download(f"/stream?size={UPLOAD_SIZE}")
            assert peak_memory(server.pid) - before < UPLOAD_SIZE / 2
