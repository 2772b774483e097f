"""HTTP/2 with the clients that people have, over TLS and without it."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import re
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from systemtests.chromium import Chromium
from systemtests.processes import (
    APPLICATIONS,
    PATIENCE,
    PLAIN,
    Server,
    assert_quiet,
    find_tool,
    serve,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from systemtests.certificates import Certificates

PICTURES = 100
LARGE = 10_000_000
STYLES = b"p { color: teal }\n" * 500
NODE = Path(__file__).parent / "systemtests" / "http2.js"


@dataclass(frozen=True)
class Transfer:
    """What curl says of a request and its response."""

    version: str
    status: int
    connects: int
    size: int


@dataclass(frozen=True)
class Site:
    """A server, and how clients reach it by HTTP/2."""

    server: Server
    ca: Path
    secure: bool

    @property
    def address(self) -> str:
        return self.server.address

    def curl(self, *arguments: str) -> tuple[list[Transfer], bytes]:
        """Run curl, whatever it ends with; return its requests, and what it has printed."""
        command = [find_tool("curl"), "--disable", "--noproxy", "*", "--silent"]
        command += ["--http2" if self.secure else "--http2-prior-knowledge"]
        command += ["--cacert", str(self.ca), "--max-time", str(PATIENCE)]
        told = "%{http_version} %{response_code} %{num_connects} %{size_download}"
        command += ["--write-out", f"%{{stderr}}\\ntold {told}\\n", *arguments]
        done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
        lines = re.findall("^told (.*)$", done.stderr.decode(), re.MULTILINE)
        transfers = [
            Transfer(version, *map(int, numbers)) for version, *numbers in map(str.split, lines)
        ]
        return transfers, done.stdout

    def head(self, path: str, *arguments: str) -> tuple[int, dict[str, str]]:
        """The status and the fields of a response to curl, whose body is thrown away."""
        (transfer,), printed = self.curl(
            "--dump-header", "-", "--output", "/dev/null", *arguments, self.address + path
        )
        lines = printed.decode().strip().splitlines()[1:]
        return transfer.status, dict(line.split(": ", 1) for line in lines)


@pytest.fixture(scope="module", params=["tls", "cleartext"])
def site(
    request: pytest.FixtureRequest,
    certificates: Certificates,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Site]:
    files = tmp_path_factory.mktemp("files")
    (files / "styles.css").write_bytes(STYLES)
    (files / "styles.css.gz").write_bytes(gzip.compress(STYLES))
    (files / "large").write_bytes(bytes(range(250)) * (LARGE // 250))
    binding = certificates.options if request.param == "tls" else [*PLAIN, "--h2c"]
    options = ["--static", f"/files={files}", "--static-precompressed", "--access-log", "-"]
    with serve("streams:app", *binding, *options, cwd=APPLICATIONS) as server:
        yield Site(server, certificates.ca, secure=request.param == "tls")
    failures = len(re.findall(r"^ *RuntimeError: on purpose", server.log, re.MULTILINE))
    log = server.log.replace("Traceback", "", failures).replace('/break HTTP/2" 500', "")
    assert_quiet(log)


over_tls = pytest.mark.parametrize("site", ["tls"], indirect=True)
"""Without TLS, curl 7.88 cannot use a connection twice: it answers "Error in the HTTP2 framing
layer", with nginx, too."""


# -- curl ----------------------------------------------------------------------------------------


def test_curl_with_responses_of_every_kind(site: Site) -> None:
    (transfer,), body = site.curl(f"{site.address}/")
    assert (transfer, body) == (Transfer("2", 200, 1, 17), b"hello over HTTP/2")
    for path in ("/large", "/pieces", "/files/large"):
        (transfer,), body = site.curl(site.address + path)
        assert (transfer.status, transfer.size, len(body)) == (200, LARGE, LARGE)
    assert body == bytes(range(250)) * (LARGE // 250)
    large = "x" * 40_000
    (transfer,), _ = site.curl("--header", f"X-Large: {large}", f"{site.address}/")
    assert transfer.status == 431


def test_curl_with_uploads(site: Site, tmp_path: Path) -> None:
    path = tmp_path / "upload"
    path.write_bytes(bytes(range(256)) * 20_000)
    (transfer,), body = site.curl("--data-binary", f"@{path}", f"{site.address}/echo")
    assert (transfer.status, body) == (200, path.read_bytes())
    (transfer,), body = site.curl(
        # Of unknown length.
        *("--request", "PUT", "--header", "Content-Length:", "--data-binary", f"@{path}"),
        f"{site.address}/digest",
    )
    assert (transfer.status, body.decode()) == (200, hashlib.sha256(path.read_bytes()).hexdigest())


def test_curl_with_a_file(site: Site) -> None:
    """Its fields alone, compressed, a part of it, and not again."""
    status, whole = site.head("/files/styles.css", "--head")
    assert (status, whole["content-length"]) == (200, str(len(STYLES)))
    status, fields = site.head("/files/styles.css", "--compressed")
    assert (status, fields["content-encoding"]) == (200, "gzip")
    assert int(fields["content-length"]) < len(STYLES)
    status, fields = site.head("/files/styles.css", "--range", "10-19")
    assert (status, fields["content-length"]) == (206, "10")
    assert fields["content-range"] == f"bytes 10-19/{len(STYLES)}"
    status, fields = site.head("/files/styles.css", "--range", f"{LARGE}-")
    assert status == 416
    etag = f"If-None-Match: {whole['etag']}"
    assert site.head("/files/styles.css", "--header", etag)[0] == 304
    assert site.head("/files/none")[0] == 404


def test_curl_with_the_head_of_a_large_response(site: Site) -> None:
    (transfer,), printed = site.curl("--head", f"{site.address}/large")
    assert (transfer.status, transfer.size) == (200, 0)
    assert f"content-length: {LARGE}" in printed.decode()


def test_curl_with_failures(site: Site) -> None:
    """Of the application, before its response has begun and within it."""
    (transfer,), body = site.curl(f"{site.address}/break")
    assert (transfer.status, body) == (500, b"The application failed to answer this request.\n")
    (transfer,), body = site.curl(f"{site.address}/cut")
    assert transfer.status == 200
    # Over TLS, curl forgets the last of its buffer where the stream is reset.
    assert 90_000 < len(body) <= 100_000


@over_tls
def test_curl_with_one_connection(site: Site) -> None:
    """A response without a body, and those that fail, are no harm to it."""
    addresses = [site.address + path for path in ("/", "/break", "/cut", "/large", "/")]
    transfers, _ = site.curl(*[*("--output", "/dev/null") * len(addresses)], *addresses)
    assert [each.status for each in transfers] == [200, 500, 200, 200, 200]
    assert transfers[3].size == LARGE
    transfers, _ = site.curl("--head", *addresses)
    assert [each.status for each in transfers] == [200, 500, 200, 200, 200]
    assert [each.connects for each in transfers] == [1, 0, 0, 0, 0]


@over_tls
def test_curl_with_many_requests_at_once(site: Site, tmp_path: Path) -> None:
    output = ["--parallel", "--parallel-max", "100", "--output", f"{tmp_path}/picture-#1"]
    transfers, _ = site.curl(*output, f"{site.address}/picture/[0-{PICTURES - 1}]")
    assert [each.status for each in transfers] == [200] * PICTURES
    assert {each.version for each in transfers} == {"2"}
    pictures = [path.read_bytes() for path in tmp_path.glob("picture-*")]
    assert len(set(pictures)) == PICTURES


# -- nghttp and h2load ---------------------------------------------------------------------------


def run(*command: str) -> str:
    """Return the output of a command that ends well."""
    done = subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode("latin-1")


def test_nghttp(site: Site) -> None:
    """Six requests, each of which is answered only once all are there."""
    together = [f"{site.address}/together?{number}" for number in range(6)]
    output = run(find_tool("nghttp"), "-v", "--no-verify-peer", *together)
    assert len(re.findall(r"recv .*:status: 200", output)) == 6
    assert "recv GOAWAY" not in output


def test_nghttp_with_a_failure(site: Site) -> None:
    """It gets what there is of the response, and then the reset."""
    output = run(find_tool("nghttp"), "-nv", "--no-verify-peer", f"{site.address}/cut")
    assert sum(map(int, re.findall(r"recv DATA frame <length=(\d+)", output))) == 100_000
    assert "(error_code=INTERNAL_ERROR(0x02))" in output[output.index("recv RST_STREAM") :]


def test_nghttp_with_a_page(site: Site) -> None:
    """It gets what the page shows, on the same connection, and prints a table."""
    options = ("--get-assets", "-ns", "--no-verify-peer")
    output = run(find_tool("nghttp"), *options, f"{site.address}/page")
    assert len(re.findall(r" 200 +\d+ /picture/\d+$", output, re.MULTILINE)) == PICTURES


@pytest.mark.parametrize("streams", [1, 10, 100])
def test_h2load(site: Site, streams: int) -> None:
    load = ("-n", "2000", "-c", "8", "-m", str(streams))
    output = run(find_tool("h2load"), *load, site.address)
    assert "2000 succeeded, 0 failed, 0 errored, 0 timeout" in output
    assert "status codes: 2000 2xx" in output


@pytest.mark.parametrize("path", ["/large", "/pieces", "/files/large"])
def test_h2load_with_large_responses(site: Site, path: str) -> None:
    output = run(find_tool("h2load"), "-n", "20", "-c", "2", "-m", "10", site.address + path)
    assert "20 succeeded, 0 failed, 0 errored, 0 timeout" in output
    assert f"({20 * LARGE}) data" in output


# -- httpx ---------------------------------------------------------------------------------------


def test_httpx(site: Site) -> None:
    """Eighty requests at once, downloads among them, and then uploads, on one connection."""
    upload = bytes(range(256)) * 4_000
    digest = hashlib.sha256(upload).hexdigest()

    async def talk() -> None:
        async with httpx.AsyncClient(
            base_url=site.address,
            verify=ssl.create_default_context(cafile=str(site.ca)),
            http1=False,
            http2=True,
            limits=httpx.Limits(max_connections=1),
            timeout=PATIENCE,
            trust_env=False,
        ) as client:
            others = (await client.get("/connections")).json()
            answers = await asyncio.gather(
                *(client.get(f"/picture/{number}") for number in range(80)),
                *(client.get("/large") for _ in range(3)),
            )
            assert {(each.status_code, each.http_version) for each in answers} == {(200, "HTTP/2")}
            assert {len(each.content) for each in answers[80:]} == {LARGE}
            # One after the other: to wait for credit, httpcore reads the next frame even if the
            # credit has come while another task was reading, and there may be no next frame.
            for _ in range(10):
                assert (await client.post("/digest", content=upload)).text == digest
            assert len((await client.get("/connections")).json()) == len(others) + 1
            broken = await client.get("/break")
            assert broken.status_code == 500
            with pytest.raises(httpx.RemoteProtocolError, match="error_code:2"):
                await client.get("/cut")
            after = await client.get("/")
            assert after.text == "hello over HTTP/2"

    asyncio.run(talk())


# -- Node ----------------------------------------------------------------------------------------


def in_node(site: Site, requests: list[tuple[dict[str, str], int | None]]) -> dict[str, Any]:
    """What Node is answered to requests, which are fields and the length of a body."""
    task = {
        "address": site.address,
        "ca": str(site.ca),
        "requests": [{"headers": headers, "body": body} for headers, body in requests],
    }
    done = subprocess.run(
        [find_tool("node"), str(NODE)],
        input=json.dumps(task),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def test_node(site: Site) -> None:
    told = in_node(
        site,
        [
            ({":path": "/"}, None),
            ({":path": "/large", ":method": "HEAD"}, None),
            ({":path": "/large"}, None),
            ({":path": "/digest", ":method": "POST"}, 5_000_000),
            ({":path": "/files/large", "range": "bytes=0-249"}, None),
            ({":path": "/break"}, None),
            ({":path": "/cut"}, None),
            *[({":path": f"/picture/{number}"}, None) for number in range(PICTURES)],
        ],
    )
    assert told["protocol"] == ("h2" if site.secure else "h2c")
    assert told["settings"]["maxConcurrentStreams"] == 100
    hello, head, large, digest, part, broken, cut, *pictures = told["answers"]
    assert (hello["status"], hello["size"]) == (200, len("hello over HTTP/2"))
    assert (head["status"], head["size"], head["headers"]["content-length"]) == (200, 0, str(LARGE))
    assert (large["size"], large["sha256"]) == (LARGE, hashlib.sha256(bytes(LARGE)).hexdigest())
    expected = hashlib.sha256(b"x" * 5_000_000).hexdigest().encode()
    assert digest["sha256"] == hashlib.sha256(expected).hexdigest()
    assert (part["status"], part["size"]) == (206, 250)
    assert broken["status"] == 500
    assert cut["status"] == 200
    assert "INTERNAL_ERROR" in cut["error"]
    assert [each["status"] for each in pictures] == [200] * PICTURES
    assert [each["error"] for each in told["answers"] if each["error"]] == [cut["error"]]


# -- Chromium ------------------------------------------------------------------------------------


def test_chromium(certificates: Certificates) -> None:
    """A page of a hundred pictures, on one connection."""
    with (
        serve("streams:app", *certificates.options, cwd=APPLICATIONS) as server,
        Chromium(certificates.trusted_by_chromium) as browser,
    ):
        page = browser.visit(f"{server.address}/page")
        shown = "[...document.images].filter(each => each.naturalWidth === 8).length"
        assert page.evaluate(shown) == PICTURES
        loaded = "performance.getEntriesByType('resource').map(each => each.nextHopProtocol)"
        assert page.evaluate(loaded) == ["h2"] * PICTURES
        connections = page.evaluate("fetch('/connections').then(answer => answer.json())")
        assert list(connections.values()) == [PICTURES]
        upload = "new Blob([new Uint8Array(5_000_000)])"
        sent = f"fetch('/digest', {{method: 'POST', body: {upload}}}).then(answer => answer.text())"
        assert page.evaluate(sent) == hashlib.sha256(bytes(5_000_000)).hexdigest()
        cut = "fetch('/cut').then(answer => answer.text()).catch(error => error.name)"
        assert page.evaluate(cut) == "TypeError"
        assert page.evaluate("fetch('/').then(answer => answer.text())") == "hello over HTTP/2"
        assert page.troubles == []
    assert server.log.count("Traceback") == 1
