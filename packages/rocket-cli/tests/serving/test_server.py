"""The effects of the settings on a running server."""

from __future__ import annotations

import json
import re
import socket
import ssl
from pathlib import Path

import httpx
import pytest
import trustme

from choosing import choose
from conftest import HELLO, Write
from processes import Served
from rocket_cli._application.site import Site
from rocket_cli._application.welcome_page import welcome
from rocket_cli._errors import CommandError
from rocket_cli._serving.server import make_server
from rocket_core.testing import PATIENCE
from rocket_wsgi import SERVER

ANY = ["--bind", "127.0.0.1:0"]


@pytest.fixture
def site(tmp_path: Path, write: Write) -> Path:
    write("good.py", HELLO.format("app"))
    write(
        "tell.py",
        """
        def app(environ, start_response):
            keys = environ["QUERY_STRING"].split(",")
            body = "\\n".join(f"{key}={environ.get(key)}" for key in keys).encode()
            start_response("200 OK", [("Content-Length", str(len(body)))])
            return [body]
        """,
    )
    write(
        "gated.py",
        """
        import os, socket
        def app(environ, start_response):
            if environ["PATH_INFO"] != "/healthz":
                with socket.create_connection(("127.0.0.1", int(os.environ["GATE"]))) as gate:
                    gate.recv(1)
            start_response("200 OK", [("Content-Length", "2")])
            return [b"ok"]
        """,
    )
    write("public/index.html", "the index")
    write("public/app.js", "the script")
    return tmp_path


@pytest.mark.parametrize("option", ["--no-preload", "--preload"])
def test_server_software(write: Write, client: httpx.Client, option: str) -> None:
    """SERVER_SOFTWARE is that of Rocket, also if another server's value was inherited."""
    path = write(
        "asking.py",
        """
        import os
        found = os.environ["SERVER_SOFTWARE"]
        def app(environ, start_response):
            start_response("200 OK", [])
            return [f"{found} {environ['SERVER_SOFTWARE']}".encode()]
        """,
    )
    with Served(path.parent, *ANY, option, "asking", SERVER_SOFTWARE="Development/1.0") as served:
        assert client.get(served.location()).text == f"{SERVER} {SERVER}"
        served.stop()


def closed_by_server(url: str, sent: bytes) -> bytes:
    """Return the answer to ``sent`` alone, until the server closes the connection."""
    where = httpx.URL(url)
    assert where.port is not None
    with socket.create_connection((where.host, where.port), PATIENCE) as sock:
        sock.sendall(sent)
        return b"".join(iter(lambda: sock.recv(4096), b""))


def test_settings_of_a_file(site: Path, write: Write, client: httpx.Client) -> None:
    write(
        "rocket.toml",
        """
        app = "good"
        bind = ["127.0.0.1:0", "unix:rocket.sock"]
        threads = "2:3"
        """,
    )
    with Served(site) as served:
        assert client.get(served.location()).text == "hello"
        assert served.location() == "unix:rocket.sock"
        served.stop()
    assert served.said[0].endswith("threads: 2 to 3")


def test_settings_of_the_environment(site: Path, client: httpx.Client) -> None:
    variables = {"ROCKET_APP": "good", "ROCKET_BIND": "127.0.0.1:0", "ROCKET_THREADS": "3"}
    with Served(site, **variables) as served:
        assert client.get(served.location()).text == "hello"
        served.stop()
    assert served.said[0].endswith("threads: 3")


@pytest.mark.parametrize(
    ("option", "sent", "answer"),
    [
        ("--head-timeout", b"GET / HTTP/1.1\r\n", b"HTTP/1.1 408 "),
        ("--keep-alive", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 "),
        (
            "--stall-timeout",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nbody",
            b"HTTP/1.1 408 ",
        ),
        (
            "--minimum-rate-grace",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nb",
            b"HTTP/1.1 408 ",
        ),
        (
            "--max-body",
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
            b"HTTP/1.1 413 ",
        ),
    ],
)
def test_limit_on_a_client(site: Path, option: str, sent: bytes, answer: bytes) -> None:
    """A time-out works: the default is longer than a test waits."""
    value = "1" if option == "--max-body" else "0.2"
    with Served(site, *ANY, option, value, "good") as served:
        assert closed_by_server(served.location(), sent).startswith(answer)
        served.stop()


def test_handshake_timeout(site: Path, certificate: Path, key: Path) -> None:
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    with Served(site, *ANY, *tls, "--handshake-timeout", "0.2", "good") as served:
        assert closed_by_server(served.location(), b"") == b""
        served.stop()


def test_request_timeout_and_reserved_path(site: Path, client: httpx.Client) -> None:
    options = ["--threads", "1", "--request-timeout", "0.3", "--reserved", "/healthz"]
    with socket.create_server(("127.0.0.1", 0)) as gate:
        variables = {"GATE": str(gate.getsockname()[1])}
        with Served(site, *ANY, *options, "gated", **variables) as served:
            url = served.location()
            assert client.get(url).status_code == 504
            assert client.get(f"{url}/healthz").text == "ok"
            running, _ = gate.accept()
            running.close()
            served.stop()


def test_limits_of_clients(site: Path, client: httpx.Client) -> None:
    """Behind a trusted proxy, they hold for its clients, and its connections are not limited."""
    options = ["--trusted-proxies", "127.0.0.1", "--max-connections-per-client", "1"]
    options += ["--request-rate-per-client", "0.001", "--request-burst-per-client", "2"]
    with Served(site, *ANY, *options, "good") as served:
        url = served.location()
        statuses = []
        for _ in range(3):
            with httpx.Client(trust_env=False) as another:
                fields = {"X-Forwarded-For": "192.0.2.1"}
                statuses.append(another.get(url, headers=fields).status_code)
                assert client.get(url).status_code == 200
        assert statuses == [200, 200, 429]
        served.stop()
    with Served(site, *ANY, "--max-connections-per-client", "1", "good") as served:
        url = served.location()
        where = httpx.URL(url)
        assert where.port is not None
        with socket.create_connection((where.host, where.port), PATIENCE):
            assert closed_by_server(url, b"") == b""
        served.stop()


def test_running_requests_of_a_client(site: Path, client: httpx.Client) -> None:
    options = ["--threads", "2", "--max-running-per-client", "1", "--reserved", "/healthz"]
    with socket.create_server(("127.0.0.1", 0)) as gate:
        variables = {"GATE": str(gate.getsockname()[1])}
        with Served(site, *ANY, *options, "gated", **variables) as served:
            where = httpx.URL(served.location())
            assert where.port is not None
            request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
            with (
                socket.create_connection((where.host, where.port), PATIENCE) as first,
                socket.create_connection((where.host, where.port), PATIENCE) as second,
            ):
                first.sendall(request)
                running, _ = gate.accept()
                second.sendall(request)
                gate.settimeout(0.3)
                with pytest.raises(TimeoutError):  # though a thread is free
                    gate.accept()
                running.close()
                gate.settimeout(PATIENCE)
                running, _ = gate.accept()
                running.close()
                assert second.recv(15) == b"HTTP/1.1 200 OK"
            served.stop()


def test_graceful_timeout(site: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gate:
        variables = {"GATE": str(gate.getsockname()[1])}
        options = ["--graceful-timeout", "0.2"]
        with Served(site, *ANY, *options, "gated", **variables) as served:
            where = httpx.URL(served.location())
            assert where.port is not None
            with socket.create_connection((where.host, where.port), PATIENCE) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                running, _ = gate.accept()
                with running:
                    served.stop()
    assert any("have 0.2 seconds" in line for line in served.said)
    assert any("drain timeout reached: closing" in line for line in served.said)


def test_trusted_proxies(site: Path, client: httpx.Client) -> None:
    options = ["--trusted-proxies", "127.0.0.0/8,unix", "--proxy-fields", "Forwarded"]
    fields = {"Forwarded": 'for="[2001:db8::7]:99";proto=https', "X-Forwarded-For": "9.9.9.9"}
    with Served(site, *ANY, *options, "tell") as served:
        query = "REMOTE_ADDR,wsgi.url_scheme,HTTP_X_FORWARDED_FOR"
        answer = client.get(f"{served.location()}?{query}", headers=fields)
        served.stop()
    assert answer.text.splitlines() == [
        "REMOTE_ADDR=2001:db8::7",
        "wsgi.url_scheme=https",
        "HTTP_X_FORWARDED_FOR=None",
    ]


def test_no_proxy_is_trusted(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "--trusted-proxies", "none", "tell") as served:
        url = f"{served.location()}?HTTP_X_FORWARDED_FOR"
        answer = client.get(url, headers={"X-Forwarded-For": "9.9.9.9"})
        served.stop()
    assert answer.text == "HTTP_X_FORWARDED_FOR=None"


def test_proxy_protocol(site: Path) -> None:
    sent = (
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n"
        b"GET /?REMOTE_ADDR HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    )
    with Served(site, *ANY, "--proxy-protocol", "127.0.0.1", "tell") as served:
        assert closed_by_server(served.location(), sent).endswith(b"\r\n\r\nREMOTE_ADDR=192.0.2.1")
        served.stop()


def test_request_ids(site: Path, client: httpx.Client) -> None:
    options = ["--request-ids", "--request-ids-trusted", "127.0.0.1", "--request-ids-echo"]
    log = ["--access-log", "-", "--access-log-format", "json:request_id,status"]
    with Served(site, *ANY, *options, *log, "tell") as served:
        url = f"{served.location()}?rocket.request_id"
        answer = client.get(url, headers={"X-Request-ID": "from-the-proxy"})
        output = served.stop()
    assert answer.text == "rocket.request_id=from-the-proxy"
    assert answer.headers["X-Request-ID"] == "from-the-proxy"
    assert json.loads(output) == {"request_id": "from-the-proxy", "status": 200}


def test_request_ids_of_others(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "--request-ids", "tell") as served:
        url = f"{served.location()}?rocket.request_id"
        answer = client.get(url, headers={"X-Request-ID": "from-the-client"})
        served.stop()
    assert re.fullmatch(r"rocket\.request_id=[0-9a-f]{16}\S+", answer.text)
    assert "X-Request-ID" not in answer.headers


def test_health(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "--health", "/healthz", "good") as served:
        url = served.location()
        assert client.get(f"{url}/healthz").text.startswith("ok")
        assert client.get(url).text == "hello"
        served.stop()


@pytest.mark.parametrize(("value", "status"), [("refuse", 400), ("allow", 200)])
def test_underscores(site: Path, client: httpx.Client, value: str, status: int) -> None:
    with Served(site, *ANY, "--underscores", value, "good") as served:
        answer = client.get(served.location(), headers={"a_b": "c"})
        assert answer.status_code == status
        served.stop()


def test_stream_bodies(site: Path) -> None:
    """The application is called before the body has arrived."""
    with Served(site, *ANY, "--stream-bodies", "--linger-timeout", "0.1", "good") as served:
        sent = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n"
        assert closed_by_server(served.location(), sent).startswith(b"HTTP/1.1 200 ")
        served.stop()


def test_executor_threads(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "--executor-threads", "1", "tell") as served:
        text = client.get(f"{served.location()}?wsgiorg.executor").text
        served.stop()
    assert text.startswith("wsgiorg.executor=<rocket_wsgi")


def test_files_beside_an_application(site: Path, client: httpx.Client) -> None:
    options = ["--static", "/files=public", "--static-cache-control", "max-age=60"]
    with Served(site, *ANY, *options, "good") as served:
        url = served.location()
        assert client.get(url).text == "hello"
        answer = client.get(f"{url}/files/app.js")
        served.stop()
    assert answer.text == "the script"
    assert answer.headers["Cache-Control"] == "max-age=60"


def test_files_without_an_application(site: Path, write: Write, client: httpx.Client) -> None:
    write("app.py", "raise SystemExit('not to be run')")
    with Served(site, *ANY, "--static", "public", "--static-index", "app.js") as served:
        url = served.location()
        assert client.get(url).text == "the script"
        assert client.get(f"{url}/missing").status_code == 404
        assert closed_by_server(
            url, b"OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        ).startswith(b"HTTP/1.1 204 ")
        served.stop()
    assert "Serving the files of public" in served.said


@pytest.mark.parametrize(
    ("option", "attribute", "value"),
    [
        ("--max-stalled=7", "_max_stalled", 7),
        ("--max-upgraded=7", "_max_upgraded", 7),
        ("--max-connections=7", "_max_connections", 7),
        ("--max-queue=7", "_max_queue", 7),
        ("--queue-timeout=7", "_queue_timeout", 7.0),
        ("--max-output=7", "_max_output", 7),
        ("--max-spool=7", "_max_spool", 7),
        ("--spool-free=7", "_spool_free", 7),
        ("--watchdog=7", "_watchdog", 7.0),
    ],
)
def test_limit_on_the_server(option: str, attribute: str, value: object) -> None:
    server = make_server(choose(option), Site("welcome", welcome), None)
    assert getattr(server, attribute) == value


@pytest.mark.parametrize(
    ("option", "time_out"),
    [
        ("--minimum-rate=7", "minimum_rate"),
        ("--linger-timeout=7", "linger"),
        ("--silence-timeout=7", "silence"),
    ],
)
def test_time_out(option: str, time_out: str) -> None:
    server = make_server(choose(option), Site("welcome", welcome), None)
    assert getattr(server._timeouts, time_out) == 7.0


def test_backlog() -> None:
    server = make_server(choose("--backlog=7"), Site("welcome", welcome), None)
    assert [listener._backlog for listener in server.listeners] == [7]


def test_plain_http_is_redirected(site: Path, client: httpx.Client) -> None:
    with Served(site, *ANY, "--https-redirect", "8443", "good") as served:
        answer = client.get(f"{served.location()}/a?b=c")
        assert (answer.status_code, answer.headers["Location"]) == (
            301,
            "https://127.0.0.1:8443/a?b=c",
        )
        served.stop()


def test_browsers_are_told_to_stay_with_https(
    site: Path, authority: trustme.CA, certificate: Path, key: Path
) -> None:
    tls = ["--tls-cert", str(certificate), "--tls-key", str(key)]
    context = ssl.create_default_context()
    authority.configure_trust(context)
    with (
        Served(site, *ANY, *tls, "--hsts", "max-age=60", "good") as served,
        httpx.Client(trust_env=False, timeout=PATIENCE, verify=context) as client,
    ):
        assert client.get(served.location()).headers["Strict-Transport-Security"] == "max-age=60"
        served.stop()


@pytest.mark.parametrize(
    ("option", "message"),
    [
        (
            "--hsts=31536000",
            "--hsts: hsts '31536000' is not a valid value of Strict-Transport-Security; use max-",
        ),
        ("--https-redirect=0", "--https-redirect: '0': use a whole number"),
    ],
)
def test_what_cannot_be_over_https(option: str, message: str) -> None:
    with pytest.raises(CommandError) as caught:
        choose(option)
    assert str(caught.value).startswith(message)


def test_function_is_called_at_the_end_of_a_thread(
    site: Path, write: Write, client: httpx.Client
) -> None:
    write(
        "ends.py",
        """
        import pathlib, threading
        local = threading.local()
        class Pool:
            def release(self):
                pathlib.Path("released").write_text(getattr(local, "name", "nobody's"))
        pool = Pool()
        def app(environ, start_response):
            local.name = threading.current_thread().name
            start_response("200 OK", [("Content-Length", "2")])
            return [b"ok"]
        """,
    )
    options = ["--threads", "1", "--at-thread-end", "ends:pool.release"]
    with Served(site, *ANY, *options, "ends:app") as served:
        assert client.get(served.location()).text == "ok"
        served.stop()
    assert (site / "released").read_text() == "rocket-worker-1"


def test_callbacks_run_in_the_context_manager(
    site: Path, write: Write, client: httpx.Client
) -> None:
    write(
        "surrounds.py",
        """
        import contextlib, pathlib
        seen = []
        @contextlib.contextmanager
        def around():
            seen.append("before")
            yield
            seen.append("after")
            pathlib.Path("seen").write_text(" ".join(seen))
        def app(environ, start_response):
            later = environ["rocket.deferred"].hold(on_close=lambda _: seen.append("callback"))
            start_response("200 OK", [])
            later.answer("200 OK", [], b"ok")
            return []
        """,
    )
    with Served(site, *ANY, "--around", "surrounds:around", "surrounds:app") as served:
        assert client.get(served.location()).text == "ok"
        served.stop()
    assert (site / "seen").read_text() == "before callback after"


@pytest.mark.parametrize("setting", ["at-thread-end", "around"])
@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        ("good", "does not name a function: use MODULE:FUNCTION"),
        ("good:app()", "does not name a function: use MODULE:FUNCTION"),
        ("good:nothing", "module good has no attribute 'nothing'"),
        ("good:__name__", "good:__name__ is not callable but of type str: name a function"),
    ],
)
def test_function_that_is_missing(
    site: Path, monkeypatch: pytest.MonkeyPatch, function: str, complaint: str, setting: str
) -> None:
    monkeypatch.chdir(site)
    monkeypatch.syspath_prepend(site)
    with pytest.raises(CommandError, match=re.escape(complaint)):
        make_server(choose(f"--{setting}={function}"), Site("welcome", welcome), None)
