"""Static files over real connections, beside an application and alone."""

from __future__ import annotations

import errno
import gzip
import logging
import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from conftest import Serve
from rocket_core import Listener, Server
from rocket_core.testing import Answer, NarrowListener, eventually
from rocket_wsgi import AccessLog, FileWorker, StaticFiles
from served import Served

Environ = dict[str, Any]
Start = Callable[..., Callable[[bytes], None]]

PATIENCE = 30


def application(environ: Environ, start_response: Start) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"application " + environ["PATH_INFO"].encode("latin-1")]


def open_files(root: Path) -> int:
    """Return the number of open descriptors beneath ``root``, including deleted files."""
    count = 0
    for each in Path("/proc/self/fd").iterdir():
        try:
            count += str(each.readlink()).startswith(str(root))
        except OSError:
            continue
    return count


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "dir").mkdir(parents=True)
    (root / "a.txt").write_bytes(b"0123456789")
    (root / "empty").write_bytes(b"")
    (root / "large").write_bytes(bytes(range(250)) * 400)
    (root / "dir" / "index.html").write_bytes(b"<p>index")
    (root / ".secret").write_bytes(b"secret")
    (root / "back\\slash").write_bytes(b"secret")
    for path in root.rglob("*"):
        os.utime(path, (1e9, 1e9))
    return root


@pytest.fixture
def serve_files(root: Path) -> Iterator[Callable[..., Served]]:
    """Serve the root alone, with the given settings."""
    with ExitStack() as stack:

        def start(
            *, narrow: bool = False, access_log: AccessLog | None = None, **settings: Any
        ) -> Served:
            listener = (NarrowListener if narrow else Listener)("127.0.0.1:0")
            files = StaticFiles(root, **settings)
            server = Server(
                lambda: FileWorker(files, access_log=access_log),
                [listener],
                min_threads=2,
                max_threads=2,
            )
            stack.enter_context(server)
            return stack.enter_context(Served(server))

        yield start


ServeFiles = Callable[..., Served]


def ask(client: Served, path: str, method: str = "GET", **fields: str) -> Answer:
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items()]
    stream = client.open()
    stream.send(f"{method} {path} HTTP/1.1\r\nHost: a\r\n{''.join(lines)}\r\n".encode("latin-1"))
    return stream.answer(method)


# -- whole files ----------------------------------------------------------------------------------


def test_file(serve_files: ServeFiles, root: Path) -> None:
    client = serve_files()
    answer = client.get("/a.txt")
    assert answer.status == 200
    assert answer.body == b"0123456789"
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    assert answer["Content-Length"] == "10"
    assert answer["Last-Modified"] == "Sun, 09 Sep 2001 01:46:40 GMT"
    assert answer["Accept-Ranges"] == "bytes"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["ETag"].startswith('"')
    assert "Cache-Control" not in answer
    assert "Vary" not in answer
    assert client.get("/large").body == (root / "large").read_bytes()
    assert client.get("/empty").body == b""


@pytest.mark.parametrize("size", [14 * 1024, 14 * 1024 + 1, 64 * 1024, 64 * 1024 + 1, 3_000_000])
def test_sizes(serve_files: ServeFiles, root: Path, size: int) -> None:
    data = os.urandom(size)
    (root / "file").write_bytes(data)
    client = serve_files()
    stream = client.open()
    for _ in range(2):
        stream.send(b"GET /file HTTP/1.1\r\nHost: a\r\n\r\n")
        assert stream.answer().body == data


@pytest.mark.parametrize("path", ["/a.txt", "/large", "/dir/", "/none", "/dir"])
def test_head_is_a_get_without_a_body(serve_files: ServeFiles, path: str) -> None:
    client = serve_files()
    stream = client.open()
    stream.send(f"HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    head = stream.answer("HEAD")
    stream.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    get = stream.answer()
    assert head.status == get.status
    without = {"date"}
    assert [each for each in head.fields if each[0] not in without] == [
        each for each in get.fields if each[0] not in without
    ]
    assert len(get.body) == int(head["Content-Length"])


def test_pipelined_requests_are_answered_in_order(serve_files: ServeFiles) -> None:
    stream = serve_files().open()
    stream.send(
        b"".join(b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % p for p in [b"a.txt", b"large"] * 9)
    )
    for _ in range(9):
        assert stream.answer().body == b"0123456789"
        assert len(stream.answer().body) == 100_000


def test_http_1_0(serve_files: ServeFiles) -> None:
    stream = serve_files().open()
    stream.send(b"GET /a.txt HTTP/1.0\r\n\r\n")
    assert stream.answer().body == b"0123456789"
    assert stream.read_all() == b""


def test_a_changed_file_has_another_etag(serve_files: ServeFiles, root: Path) -> None:
    client = serve_files()
    tags = {client.get("/a.txt")["ETag"]}
    os.utime(root / "a.txt", ns=(1, 10**18 + 1))
    tags.add(client.get("/a.txt")["ETag"])
    (root / "new").write_bytes(b"9876543210")
    os.utime(root / "new", ns=(1, 10**18 + 1))
    (root / "new").replace(root / "a.txt")
    tags.add(client.get("/a.txt")["ETag"])
    assert len(tags) == 3


def test_last_modified_is_not_in_the_future(serve_files: ServeFiles, root: Path) -> None:
    os.utime(root / "a.txt", (4e9, 4e9))
    answer = serve_files().get("/a.txt")
    assert answer["Last-Modified"] == answer["Date"]


def test_cache_control(serve_files: ServeFiles) -> None:
    client = serve_files(cache_control="public, max-age=3600")
    answer = client.get("/a.txt")
    assert answer["Cache-Control"] == "public, max-age=3600"
    for same in (
        ask(client, "/a.txt", If_None_Match=answer["ETag"]),
        ask(client, "/a.txt", Range="bytes=0-1"),
    ):
        assert same["Cache-Control"] == "public, max-age=3600"
    assert "Cache-Control" not in client.get("/none")


def test_methods(serve_files: ServeFiles) -> None:
    client = serve_files()
    for method in ("POST", "PUT", "DELETE", "PATCH", "TRACE", "get"):
        answer = client.get("/a.txt", method)
        assert answer.status == 405
        assert answer["Allow"] == "GET, HEAD, OPTIONS"
    for path in ("/a.txt", "/none", "*"):
        answer = client.get(path, "OPTIONS")
        assert answer.status == 204
        assert answer["Allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(("method", "status"), [("GET", 413), ("POST", 405)])
def test_a_request_body_is_refused_at_once(
    serve_files: ServeFiles, method: str, status: int
) -> None:
    for framing in (b"Content-Length: 1000000000", b"Transfer-Encoding: chunked"):
        stream = serve_files().open()
        stream.send(b"%b /a.txt HTTP/1.1\r\nHost: a\r\n%b\r\n\r\n" % (method.encode(), framing))
        answer = stream.answer()
        assert answer.status == status
        assert answer["Connection"] == "close"
        assert ("Allow" in answer) is (status == 405)


# -- conditions and ranges -------------------------------------------------------------------------


def test_not_modified(serve_files: ServeFiles) -> None:
    client = serve_files()
    first = client.get("/a.txt")
    for answer in (
        ask(client, "/a.txt", If_None_Match=f'"x", W/{first["ETag"]}'),
        ask(client, "/a.txt", If_Modified_Since=first["Last-Modified"]),
        ask(client, "/a.txt", "HEAD", If_None_Match="*"),
    ):
        assert answer.status == 304
        assert answer["ETag"] == first["ETag"]
        assert "Content-Length" not in answer
        assert "Content-Type" not in answer


def test_failed_preconditions(serve_files: ServeFiles) -> None:
    client = serve_files()
    assert ask(client, "/a.txt", If_Match='"x"').status == 412
    assert ask(client, "/a.txt", If_Unmodified_Since=formatdate(1, usegmt=True)).status == 412
    assert ask(client, "/none", If_Match="*").status == 404


def test_one_range(serve_files: ServeFiles, root: Path) -> None:
    client = serve_files()
    large = (root / "large").read_bytes()
    for path, data in (("/a.txt", b"0123456789"), ("/large", large)):
        for value, part in (
            ("2-5", slice(2, 6)),
            ("3-", slice(3, None)),
            ("-4", slice(-4, None)),
            ("5-99999999", slice(5, None)),
        ):
            answer = ask(client, path, Range=f"bytes={value}")
            assert answer.status == 206
            assert answer.body == data[part]
            start, stop, _ = part.indices(len(data))
            assert answer["Content-Range"] == f"bytes {start}-{stop - 1}/{len(data)}"


def test_unsatisfiable_ranges(serve_files: ServeFiles) -> None:
    client = serve_files()
    for path, size in (("/a.txt", 10), ("/empty", 0)):
        answer = ask(client, path, Range="bytes=10-")
        assert answer.status == 416
        assert answer["Content-Range"] == f"bytes */{size}"


def test_ignored_ranges(serve_files: ServeFiles) -> None:
    client = serve_files()
    for value in ("bytes=x", "bytes=0-,0-,0-", "bytes=" + ",".join(["0-0"] * 1000)):
        assert ask(client, "/a.txt", Range=value).body == b"0123456789"
    assert ask(client, "/a.txt", "HEAD", Range="bytes=0-1").status == 200


def parts_of(answer: Answer) -> list[tuple[str, str, bytes]]:
    kind, boundary = answer["Content-Type"].split("; boundary=")
    assert kind == "multipart/byteranges"
    first, *parts, last = answer.body.split(f"\r\n--{boundary}".encode())
    assert (first, last) == (b"", b"--\r\n")
    found = []
    for part in parts:
        head, _, data = part.partition(b"\r\n\r\n")
        fields = dict(line.split(": ") for line in head.decode().strip().split("\r\n"))
        found.append((fields["Content-Type"], fields["Content-Range"], data))
    return found


def test_several_ranges(serve_files: ServeFiles, root: Path) -> None:
    client = serve_files()
    large = (root / "large").read_bytes()
    stream = client.open()
    request = (
        b"GET /large HTTP/1.1\r\nHost: a\r\nRange: bytes=50000-90000, 0-0,-100,200000-\r\n\r\n"
    )
    for _ in range(3):
        stream.send(request)
        answer = stream.answer()
        assert answer.status == 206
        assert "Content-Range" not in answer
        assert parts_of(answer) == [
            ("application/octet-stream", "bytes 50000-90000/100000", large[50000:90001]),
            ("application/octet-stream", "bytes 0-0/100000", large[:1]),
            ("application/octet-stream", "bytes 99900-99999/100000", large[-100:]),
        ]


def test_if_range(serve_files: ServeFiles) -> None:
    client = serve_files()
    first = client.get("/a.txt")
    for value, status in (
        (first["ETag"], 206),
        (first["Last-Modified"], 206),
        (f"W/{first['ETag']}", 200),
        ('"x"', 200),
        (first["Date"], 200),
    ):
        assert ask(client, "/a.txt", Range="bytes=0-1", If_Range=value).status == status
    assert ask(client, "/a.txt", Range="bytes=99-", If_Range='"x"').status == 200


# -- compressed files, directories -----------------------------------------------------------------


def test_precompressed(serve_files: ServeFiles, root: Path) -> None:
    text = b"text " * 10_000
    (root / "app.js").write_bytes(text)
    (root / "app.js.gz").write_bytes(gzip.compress(text))
    (root / "app.js.br").write_bytes(b"brotli")
    client = serve_files(precompressed=True)
    plain = client.get("/app.js")
    zipped = ask(client, "/app.js", Accept_Encoding="gzip, br;q=0")
    brotli = ask(client, "/app.js", Accept_Encoding="gzip, deflate, br, zstd")
    assert plain.body == gzip.decompress(zipped.body) == text
    assert brotli.body == b"brotli"
    assert "Content-Encoding" not in plain
    assert (zipped["Content-Encoding"], brotli["Content-Encoding"]) == ("gzip", "br")
    assert len({each["ETag"] for each in (plain, zipped, brotli)}) == 3
    for each in (plain, zipped, brotli):
        assert each["Content-Type"] == "text/javascript; charset=utf-8"
        assert each["Vary"] == "Accept-Encoding"
    same = ask(client, "/app.js", Accept_Encoding="br", If_None_Match=brotli["ETag"])
    assert (same.status, same["Vary"]) == (304, "Accept-Encoding")
    part = ask(client, "/app.js", Accept_Encoding="br", Range="bytes=1-2")
    assert (part.body, part["Content-Encoding"]) == (b"ro", "br")
    direct = client.get("/app.js.gz")
    assert direct["Content-Type"] == "application/gzip"
    assert "Content-Encoding" not in direct


def test_an_older_or_irregular_sibling_is_not_sent(serve_files: ServeFiles, root: Path) -> None:
    (root / "a.txt.gz").write_bytes(b"old")
    os.utime(root / "a.txt.gz", (1e9 - 1, 1e9 - 1))
    (root / "a.txt.br").mkdir()
    client = serve_files(precompressed=True)
    answer = ask(client, "/a.txt", Accept_Encoding="gzip, br")
    assert answer.body == b"0123456789"
    assert "Content-Encoding" not in answer
    os.utime(root / "a.txt.gz", (1e9, 1e9))
    assert ask(client, "/a.txt", Accept_Encoding="gzip, br").body == b"old"


def test_precompressed_index(serve_files: ServeFiles, root: Path) -> None:
    (root / "dir" / "index.html.gz").write_bytes(b"zipped")
    answer = ask(serve_files(precompressed=True), "/dir/", Accept_Encoding="gzip")
    assert (answer.body, answer["Content-Type"]) == (b"zipped", "text/html; charset=utf-8")


def test_siblings_are_sent_only_if_enabled(serve_files: ServeFiles, root: Path) -> None:
    (root / "a.txt.gz").write_bytes(b"zipped")
    assert ask(serve_files(), "/a.txt", Accept_Encoding="gzip").body == b"0123456789"


def test_index(serve_files: ServeFiles, root: Path) -> None:
    (root / "dir" / "start.txt").write_bytes(b"start")
    answer = serve_files().get("/dir/")
    assert (answer.body, answer["Content-Type"]) == (b"<p>index", "text/html; charset=utf-8")
    assert serve_files(index="start.txt").get("/dir/").body == b"start"
    assert serve_files().get("/").status == 404


@pytest.mark.parametrize(
    ("target", "location"),
    [
        ("/dir", "/dir/"),
        ("/dir?next=//evil", "/dir/?next=//evil"),
        ("/d%69r", "/dir/"),
        ("http://a/dir", "/dir/"),
        ("/b%C3%BC%20%3Cb%3E", "/b%C3%BC%20%3Cb%3E/"),
        ("/evil.example%0d%0aX-Y:%20z", "/evil.example%0D%0AX-Y:%20z/"),
    ],
)
def test_redirect(serve_files: ServeFiles, root: Path, target: str, location: str) -> None:
    (root / "b\xfc <b>").mkdir()
    (root / "evil.example\r\nX-Y: z").mkdir()
    answer = serve_files().get(target)
    assert answer.status == 301
    assert answer["Location"] == location
    assert "X-Y" not in answer


@pytest.mark.parametrize(
    "target",
    [
        "//dir",
        "//evil.example/%2e%2e/dir",
        "/%2fdir",
        "/%5cdir",
        "/\\dir",
        "///dir",
        "http://a//dir",
    ],
)
def test_no_redirect_to_another_host(serve_files: ServeFiles, target: str) -> None:
    answer = serve_files().get(target)
    assert answer.status == 404
    assert "Location" not in answer


def test_listing(serve_files: ServeFiles, root: Path) -> None:
    (root / "<b>&").mkdir()
    client = serve_files(listing=True)
    page = client.get("/").body.decode()
    assert page.index("&lt;b&gt;&amp;/") < page.index("a.txt") < page.index("large")
    assert "<b>" not in page
    assert "97.7 KiB" in page
    assert "2001-09-09 01:46" in page
    assert ".secret" not in page
    assert "slash" not in page
    assert '"../"' not in page
    assert '"../"' in client.get("/%3Cb%3E&/").body.decode()
    assert client.get("/dir/").body == b"<p>index"
    assert client.get("/none/").status == 404
    assert client.get("/a.txt/").status == 404


def test_long_listing(serve_files: ServeFiles, root: Path) -> None:
    for number in range(1000):
        (root / f"file-{number}").touch()
    client = serve_files(listing=True)
    page = client.get("/").body.decode()
    assert all(f'"./file-{number}"' in page for number in range(1000))
    assert client.get("/", "HEAD")["Content-Length"] == str(len(page))


# -- paths that are not served ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "target",
    [
        "/none",
        "/../secret",
        "/dir/../../secret",
        "/%2e%2e/secret",
        "/..%2fsecret",
        "/dir/%2e%2e%2f%2e%2e%2fsecret",
        "/..%5csecret",
        "/back%5cslash",
        "/.secret",
        "/%2esecret",
        "/a.txt%00",
        "/a.txt%00.html",
        "/a.txt/",
        "/a.txt/x",
        "/%ff%fe",
        "/" + "x" * 5000,
        "/" + "x/" * 2000,
        "/fifo",
        "/socket",
        "/outward",
        "/dir/outward",
        "/dir/./index.html",
        "/%c0%ae%c0%ae/secret",
    ],
)
def test_not_found(serve_files: ServeFiles, root: Path, target: str) -> None:
    (root.parent / "secret").write_bytes(b"secret")
    (root / "outward").symlink_to(root.parent / "secret")
    (root / "dir" / "outward").symlink_to("../../secret")
    os.mkfifo(root / "fifo")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(root / "socket"))
        answer = serve_files(listing=True).get(target)
    assert answer.status == 404
    assert answer.body == b"Not Found\n"


def test_devices_are_not_found(serve_files: ServeFiles, root: Path) -> None:
    (root / "zero").symlink_to("/dev/zero")
    assert serve_files(follow_links=True).get("/zero").status == 404


def test_files_mounted_by_kubernetes(serve_files: ServeFiles, root: Path) -> None:
    """A link is served even if its target has a name that begins with a dot."""
    (root / "..2026_11_25").mkdir()
    (root / "..2026_11_25" / "page").write_bytes(b"page")
    (root / "..data").symlink_to("..2026_11_25")
    (root / "page").symlink_to("..data/page")
    client = serve_files()
    assert client.get("/page").body == b"page"
    assert client.get("/..data/page").status == 404
    assert client.get("/..2026_11_25/page").status == 404


def test_links_out_of_the_root_can_be_allowed(serve_files: ServeFiles, root: Path) -> None:
    (root.parent / "elsewhere").write_bytes(b"elsewhere")
    (root / "outward").symlink_to(root.parent / "elsewhere")
    assert serve_files(follow_links=True).get("/outward").body == b"elsewhere"


def test_well_known(serve_files: ServeFiles, root: Path) -> None:
    (root / ".well-known").mkdir()
    (root / ".well-known" / "x").write_bytes(b"known")
    assert serve_files().get("/.well-known/x").body == b"known"


def fail_to_open(error: OSError) -> Callable[..., int]:
    def fail(*args: object, **settings: object) -> int:
        raise error

    return fail


@pytest.mark.parametrize(
    ("number", "status"), [("EACCES", 403), ("EMFILE", 503), ("EIO", 500), ("ESTALE", 500)]
)
def test_errors_of_the_file_system(
    serve_files: ServeFiles,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    number: str,
    status: int,
) -> None:
    client = serve_files()
    error = OSError(getattr(errno, number), "failed")
    monkeypatch.setattr("rocket_wsgi._static.files.open_beneath", fail_to_open(error))
    assert client.get("/a.txt").status == status
    client.stop()
    assert ("GET /a.txt" in caplog.text) is (status == 500)


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"index": ""}, "index"),
        ({"index": "a/b"}, "index"),
        ({"index": ".."}, "index"),
        ({"cache_control": "a\r\nb"}, "cache_control"),
        ({"cache_control": "\xe4"}, "cache_control"),
    ],
)
def test_invalid_settings(root: Path, settings: dict[str, str], error: str) -> None:
    with pytest.raises(ValueError, match=error):
        StaticFiles(root, **settings)  # type: ignore[arg-type]


def test_the_root_must_be_a_directory(root: Path) -> None:
    for path in (root / "none", root / "a.txt"):
        with pytest.raises(NotADirectoryError, match=str(path)):
            StaticFiles(path)


def test_a_redirect_is_too_short_to_block_a_thread(serve: Serve, root: Path) -> None:
    proxy = {"trusted_proxies": ["127.0.0.1"], "proxy_fields": ["X-Forwarded-Prefix"]}
    client = serve(application, static={"/": StaticFiles(root)}, **proxy)
    for quoted, status in ((3000, 301), (4000, 414)):
        answer = client.exchange(
            f"GET /dir?{'q' * 1000} HTTP/1.1\r\nHost: a\r\n"
            f"X-Forwarded-Prefix: /{'%22' * quoted}\r\n\r\n".encode()
        )
        assert answer.status == status


def test_redirects_include_the_prefix_that_a_proxy_has_removed(serve: Serve, root: Path) -> None:
    client = serve(
        application,
        static={"/static": StaticFiles(root)},
        trusted_proxies=["127.0.0.1"],
        proxy_fields=["X-Forwarded-Prefix"],
    )
    for path in ("/static", "/static/dir"):
        stream = client.open()
        stream.send(b"GET %b?q HTTP/1.1\r\nHost: a\r\n" % path.encode())
        stream.send(b"X-Forwarded-Prefix: /shop/\xc3\xbc\r\n\r\n")
        assert stream.answer()["Location"] == f"/shop/%C3%BC{path}/?q"


# -- beside an application -------------------------------------------------------------------------


def test_beside_an_application(serve: Serve, root: Path) -> None:
    client = serve(application, static={"/static": StaticFiles(root), "/m\xfc": StaticFiles(root)})
    assert client.get("/static/a.txt").body == b"0123456789"
    assert client.get("/m%C3%BC/a.txt").body == b"0123456789"
    assert client.get("/").body == b"application /"
    assert client.get("/statica.txt").body == b"application /statica.txt"
    assert client.get("/static/none").status == 404
    assert client.get("/static")["Location"] == "/static/"
    assert client.get("/static/dir")["Location"] == "/static/dir/"
    assert client.get("/m%C3%BC/dir")["Location"] == "/m%C3%BC/dir/"
    assert client.get("/static/../x").status == 404
    stream = client.open()
    stream.send(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody" * 2)
    stream.send(b"GET /static/a.txt HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [stream.answer().body for _ in range(3)] == [b"application /x"] * 2 + [b"0123456789"]


def test_served_while_all_threads_are_busy(serve: Serve, root: Path) -> None:
    began = threading.Semaphore(0)
    gate = threading.Event()

    def blocked(environ: Environ, start_response: Start) -> list[bytes]:
        began.release()
        assert gate.wait(PATIENCE)
        return application(environ, start_response)

    client = serve(blocked, threads=2, static={"/static": StaticFiles(root, listing=True)})
    busy = [client.open() for _ in range(4)]
    for stream in busy:
        stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    for _ in range(2):
        assert began.acquire(timeout=PATIENCE)
    assert client.get("/static/a.txt").body == b"0123456789"
    assert client.get("/static/large", "HEAD").status == 200
    assert client.get("/static/").status == 200
    assert len(parts_of(ask(client, "/static/large", Range="bytes=0-1,3-4"))) == 2
    kept = client.open()
    for _ in range(50):
        kept.send(b"GET /static/large HTTP/1.1\r\nHost: a\r\n\r\n")
        assert len(kept.answer().body) == 100_000
    gate.set()
    assert [stream.answer().body for stream in busy] == [b"application /"] * 4


# -- slow and disconnected clients -----------------------------------------------------------------

LARGE = 50_000_000


@pytest.fixture
def huge(root: Path) -> Path:
    path = root / "huge"
    with path.open("wb") as file:
        file.truncate(LARGE)
    return path


@pytest.mark.parametrize("value", [None, "bytes=0-20000000,20000002-"])
def test_slow_clients_occupy_no_thread(
    serve_files: ServeFiles, root: Path, huge: Path, value: str | None
) -> None:
    client = serve_files(narrow=True)
    slow = [client.open(receive_buffer=4096) for _ in range(10)]
    field = "" if value is None else f"Range: {value}\r\n"
    for stream in slow:
        stream.send(f"GET /huge HTTP/1.1\r\nHost: a\r\n{field}\r\n".encode())
    eventually(lambda: client.server.statistics().connections.get("sending") == 10)
    statistics = client.server.statistics()
    assert statistics.stalled == 0
    assert statistics.connections == {"sending": 10}
    assert open_files(root) == 10
    assert client.get("/a.txt").body == b"0123456789"
    for stream in slow[5:]:
        stream.close()
    eventually(lambda: open_files(root) == 5)
    client.stop()
    assert open_files(root) == 0


def test_a_slow_client_gets_the_whole_file(serve_files: ServeFiles, huge: Path) -> None:
    stream = serve_files(narrow=True).open(receive_buffer=65536)
    stream.send(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n")
    assert len(stream.answer().body) == LARGE


def test_no_thread_waits_if_nothing_may_be_buffered(serve: Serve, root: Path) -> None:
    """A small file, which is usually read, is sent by sendfile if the output budget is used up."""
    (root / "medium").write_bytes(b"x" * 60_000)
    client = serve(
        application, narrow=True, server={"max_output": 0}, static={"/": StaticFiles(root)}
    )
    request = b"GET /medium HTTP/1.1\r\nHost: a\r\n\r\n"
    slow = [client.open(receive_buffer=4096) for _ in range(10)]
    for stream in slow:
        stream.send(request * 10)
    eventually(lambda: client.server.statistics().connections.get("sending") == 10)
    assert client.server.statistics().stalled == 0
    for stream in slow:
        assert [stream.answer().body for _ in range(10)] == [b"x" * 60_000] * 10


def test_a_drain_completes_started_responses(
    serve_files: ServeFiles, root: Path, huge: Path
) -> None:
    client = serve_files(narrow=True)
    stream = client.open(receive_buffer=65536)
    stream.send(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n")
    stream.head()
    client.server.drain(PATIENCE)
    assert len(stream.read_all()) == LARGE
    assert client.server.wait(PATIENCE)
    assert open_files(root) == 0


def test_a_truncated_file_closes_only_its_connection(
    serve_files: ServeFiles, root: Path, huge: Path
) -> None:
    client = serve_files(narrow=True)
    stream = client.open(receive_buffer=4096)
    stream.send(b"GET /huge HTTP/1.1\r\nHost: a\r\n\r\n")
    eventually(lambda: client.server.statistics().connections.get("sending") == 1)
    os.truncate(huge, 1000)
    with suppress(ConnectionResetError):
        assert len(stream.read_all()) < LARGE
    eventually(lambda: open_files(root) == 0)
    assert client.get("/a.txt").body == b"0123456789"


def test_no_descriptor_stays_open(serve_files: ServeFiles, root: Path) -> None:
    (root / "a.txt.gz").write_bytes(b"x")
    (root / "inward").symlink_to("dir")
    client = serve_files(listing=True, precompressed=True)
    requests = [
        *("/a.txt", "/large", "/dir", "/dir/", "/", "/none", "/dir/none/x", "/inward/index.html"),
        *("/a.txt/", "/empty"),
    ]
    for path in requests:
        for fields in ({}, {"Range": "bytes=0-1,3-4"}, {"If_None_Match": "*"}, {"If_Match": '"x"'}):
            ask(client, path, Accept_Encoding="gzip", **fields)
        client.get(path, "HEAD")
    client.stop()
    assert open_files(root) == 0


# -- the log ---------------------------------------------------------------------------------------


def test_access_log(serve_files: ServeFiles, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    log = AccessLog(logging.getLogger("test.static"), '"{line}" {status} {size}')
    client = serve_files(access_log=log)
    client.get("/a.txt")
    client.get("/large")
    client.get("/none")
    ask(client, "/large", Range="bytes=0-1")
    client.stop()
    log.close()
    lines = [record.getMessage() for record in caplog.records if record.name == "test.static"]
    # Sorted, because two threads log their requests after the clients have got their answers.
    assert sorted(lines) == [
        '"GET /a.txt HTTP/1.1" 200 10',
        '"GET /large HTTP/1.1" 200 100000',
        '"GET /large HTTP/1.1" 206 2',
        '"GET /none HTTP/1.1" 404 10',
    ]
