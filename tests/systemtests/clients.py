"""Clients with one interface, each of which keeps cookies and follows redirects."""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, BinaryIO, ClassVar, Self
from urllib.parse import urljoin, urlsplit

import httpx
import requests

from systemtests.processes import PATIENCE, find_tool

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

CHUNK = 256 * 1024


@dataclass(frozen=True)
class Page:
    """The answer to a request, after `redirects` redirects."""

    url: str
    status: int
    content_type: str
    text: str
    redirects: int

    @property
    def path(self) -> str:
        return urlsplit(self.url).path


@dataclass(frozen=True)
class Download:
    """What is remembered of an answer that was received piece by piece."""

    status: int
    size: int
    sha256: str


class Client(ABC):
    """A visitor of the site at `base`, an address without a path.

    `ca` is the only certificate authority that the client trusts, `folder` an empty directory.
    """

    name: ClassVar[str]

    def __init__(self, base: str, ca: Path, folder: Path) -> None:
        self.base = base
        self.ca = ca
        self.folder = folder
        self.resources = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.resources.close()

    @abstractmethod
    def get(self, path: str) -> Page:
        """Fetch a page."""

    @abstractmethod
    def download(self, path: str) -> Download:
        """Fetch what may be larger than memory."""

    @abstractmethod
    def post(
        self, path: str, referer: str, fields: Mapping[str, str], files: Mapping[str, Path]
    ) -> Page:
        """Send a form: URL-encoded, or as multipart/form-data when there are files."""

    def submit(
        self, at: str, action: str, files: Mapping[str, Path] | None = None, **fields: str
    ) -> Page:
        """Open the page `at`, fill in its form with this action and send it, as a browser does."""
        prepared = forms(self.get(at).text)[action]
        values, inputs = {**prepared, **fields}, files or {}
        assert set(values) | set(inputs) == set(prepared), f"the form has only {set(prepared)}"
        for field in inputs:
            del values[field]
        return self.post(action, urljoin(self.base, at), values, inputs)


def forms(page: str) -> dict[str, dict[str, str]]:
    """Return, by action, the fields of each form and the values they have before anyone types."""
    return _Forms(page).by_action


class _Forms(HTMLParser):
    def __init__(self, page: str) -> None:
        super().__init__()
        self.by_action: dict[str, dict[str, str]] = {}
        self._fields: dict[str, str] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self._fields = self.by_action[attributes["action"]] = {}
        elif tag in {"input", "textarea"}:
            self._fields[attributes["name"]] = attributes.get("value", "")


def _measure(status: int, chunks: Iterable[bytes]) -> Download:
    digest, size = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    return Download(status, size, digest.hexdigest())


class HttpxClient(Client):
    """httpx, with one pool of connections."""

    name = "httpx"
    http2 = False

    def __init__(self, base: str, ca: Path, folder: Path) -> None:
        super().__init__(base, ca, folder)
        self._http = self.resources.enter_context(
            httpx.Client(
                base_url=base,
                verify=ssl.create_default_context(cafile=ca),
                http1=not self.http2,
                http2=self.http2,
                follow_redirects=True,
                timeout=PATIENCE,
                trust_env=False,
            )
        )

    def get(self, path: str) -> Page:
        return self._page(self._http.get(path))

    def download(self, path: str) -> Download:
        with self._http.stream("GET", path) as response:
            return _measure(response.status_code, response.iter_bytes(CHUNK))

    def post(
        self, path: str, referer: str, fields: Mapping[str, str], files: Mapping[str, Path]
    ) -> Page:
        with ExitStack() as opened:
            parts = _open(files, opened)
            headers = {"Referer": referer}
            return self._page(self._http.post(path, headers=headers, data=fields, files=parts))

    @staticmethod
    def _page(response: httpx.Response) -> Page:
        return Page(
            str(response.url),
            response.status_code,
            response.headers.get("content-type", ""),
            response.content.decode(),
            len(response.history),
        )


class RequestsClient(Client):
    """Requests, with one session."""

    name = "requests"

    def __init__(self, base: str, ca: Path, folder: Path) -> None:
        super().__init__(base, ca, folder)
        self._session = self.resources.enter_context(requests.Session())
        self._session.trust_env = False
        self._session.verify = str(ca)

    def get(self, path: str) -> Page:
        return self._page(self._session.get(self.base + path, timeout=PATIENCE))

    def download(self, path: str) -> Download:
        with self._session.get(self.base + path, stream=True, timeout=PATIENCE) as response:
            return _measure(response.status_code, response.iter_content(CHUNK))

    def post(
        self, path: str, referer: str, fields: Mapping[str, str], files: Mapping[str, Path]
    ) -> Page:
        with ExitStack() as opened:
            response = self._session.post(
                self.base + path,
                headers={"Referer": referer},
                data=fields,
                files=_open(files, opened),
                timeout=PATIENCE,
            )
        return self._page(response)

    @staticmethod
    def _page(response: requests.Response) -> Page:
        return Page(
            response.url,
            response.status_code,
            response.headers.get("content-type", ""),
            response.content.decode(),
            len(response.history),
        )


def _open(files: Mapping[str, Path], opened: ExitStack) -> dict[str, tuple[str, BinaryIO]]:
    return {
        field: (path.name, opened.enter_context(path.open("rb"))) for field, path in files.items()
    }


class CurlClient(Client):
    """curl, a new process for each request, with a cookie jar."""

    name = "curl"

    def __init__(self, base: str, ca: Path, folder: Path) -> None:
        super().__init__(base, ca, folder)
        self._curl = find_tool("curl")
        self._body = folder / "body"

    def get(self, path: str) -> Page:
        return self._page(self._run(path))

    def download(self, path: str) -> Download:
        told = self._run(path)
        with self._body.open("rb") as body:
            return _measure(int(told["http_code"]), iter(lambda: body.read(CHUNK), b""))

    def post(
        self, path: str, referer: str, fields: Mapping[str, str], files: Mapping[str, Path]
    ) -> Page:
        arguments = [] if files else ["--data", ""]  # without fields too, a form is posted
        for name, value in fields.items():
            arguments += ["--form-string" if files else "--data-urlencode", f"{name}={value}"]
        for name, file in files.items():
            arguments += ["--form", f"{name}=@{file}"]
        return self._page(self._run(path, "--referer", referer, *arguments))

    def _run(self, path: str, *arguments: str) -> dict[str, str]:
        """Write what is received to a file and return what curl knows about it."""
        # Cookies come from standard input, because curl 7 reads a file of cookies once more before
        # it fills the jar, and so revives those that the server has just deleted.
        jar = self.folder / "cookies"
        jar.touch()
        self._body.unlink(missing_ok=True)
        done = subprocess.run(
            [
                *(self._curl, "--disable", "--noproxy", "*", "--silent", "--show-error"),
                *("--location", "--cacert", str(self.ca), "--max-time", str(PATIENCE)),
                *("--cookie", "-", "--cookie-jar", str(jar), "--output", str(self._body)),
                *("--write-out", "%{json}", *arguments, self.base + path),
            ],
            capture_output=True,
            input=jar.read_text("utf-8"),
            encoding="utf-8",
            check=False,
        )
        assert done.returncode == 0, done.stderr
        self._body.touch()  # curl writes no file when there is nothing to write
        told: dict[str, str] = json.loads(done.stdout)
        return told

    def _page(self, told: dict[str, str]) -> Page:
        return Page(
            told["url_effective"],
            int(told["http_code"]),
            told["content_type"],
            self._body.read_text("utf-8"),
            int(told["num_redirects"]),
        )


class HTTP2Client(HttpxClient):
    """httpx over HTTP/2: in clear text, it knows that the server speaks it."""

    name = "httpx-http2"
    http2 = True


CLIENTS: list[type[Client]] = [HttpxClient, HTTP2Client, RequestsClient, CurlClient]
