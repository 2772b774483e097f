"""The recipes in docs do what they promise, with the programs that they are for."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import signal
import socket
import ssl
import subprocess
import sysconfig
import threading
from typing import TYPE_CHECKING, Any, Self

import httpx
import kubernetes_validate
import pytest
import yaml

from systemtests.pages import blocks_of
from systemtests.processes import (
    APPLICATIONS,
    PATIENCE,
    ROOT,
    Server,
    assert_quiet,
    environment,
    find_tool,
    rocket_cli,
    serve,
)
from systemtests.recipes import RECIPES, haproxy, nghttpx, nginx, recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from systemtests.certificates import Certificates

SEEN = "seen:application"
CLIENT = "127.0.0.2"
"""Where clients connect from, which is not the proxy's own address."""

FORGED = {
    "X-Forwarded-For": "192.0.2.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "forged.example",
    "Forwarded": "for=192.0.2.1;proto=https;host=forged.example",
}


def options_of(name: str, beginning: str) -> list[str]:
    """The options after `rocket-cli serve` in the comment of a recipe."""
    text = (RECIPES / name).read_text(encoding="utf-8")
    found = re.search(
        rf"^# +(rocket-cli serve .* {re.escape(beginning)}.*\n(?:#   +--.*\n)*)", text, re.MULTILINE
    )
    assert found is not None
    return shlex.split(found[1].replace("\n#", " "))[3:]


def client_of(address: tuple[str, int], verify: ssl.SSLContext | bool = True) -> httpx.Client:
    scheme = "http" if verify is True else "https"
    return httpx.Client(
        base_url=f"{scheme}://{address[0]}:{address[1]}",
        transport=httpx.HTTPTransport(local_address=CLIENT, verify=verify),
        timeout=10,
    )


def seen(client: httpx.Client, path: str = "/") -> dict[str, Any]:
    answer = client.get(path, headers={"Host": "mysite.example", **FORGED})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def behind_socket(directory: Path, options: list[str]) -> Server:
    """Rocket at a Unix socket, with the options of a recipe; it logs requests by connection."""
    path = f"{directory}/rocket.sock"
    options = [each.replace("/run/mysite/rocket.sock", path) for each in options]
    log = ["--access-log", "-", "--access-log-format", "request {requests} {path}"]
    return serve(SEEN, *options, *log, cwd=APPLICATIONS)


def assert_client_is_seen(found: dict[str, Any]) -> None:
    """What the application is told is true, and nothing is left of what the client made up."""
    assert found["REMOTE_ADDR"] == CLIENT
    assert found["wsgi.url_scheme"] == "http"
    assert found["HTTP_HOST"] == "mysite.example"
    assert found["HTTP_FORWARDED"] is None
    assert found["HTTP_X_FORWARDED_FOR"] is None


def test_nginx(tmp_path: Path) -> None:
    """Over a Unix socket, on connections that are kept."""
    with behind_socket(tmp_path, options_of("nginx.conf", "--bind unix:")) as server:
        changes = {"unix:/run/mysite/rocket.sock": f"unix:{tmp_path}/rocket.sock"}
        with (
            nginx(tmp_path, "nginx.conf", changes, "listen 80;") as address,
            client_of(address) as client,
        ):
            for number in (1, 2, 3):
                found = seen(client, f"/{number}")
                assert found["rocket.peer"] == "unix:"
                assert_client_is_seen(found)
                server.wait_for(f"request {number} /{number}")
            upload = client.post("/", content=b"x" * (2 << 20), headers={"Host": "mysite.example"})
            assert upload.status_code == 200
    assert_quiet(server.log)


def test_haproxy(tmp_path: Path, certificates: Certificates) -> None:
    """Over a Unix socket in HTTP, and with TLS that it does not look into."""
    context = ssl.create_default_context(cafile=str(certificates.ca))
    tls = {
        "10.1.0.5:8443": "127.0.0.1:0",
        "fullchain.pem": str(certificates.cert),
        "privkey.pem": str(certificates.key),
        "10.1.0.0/16": "127.0.0.0/8",
    }
    options = options_of("haproxy.cfg", "--bind https:")
    for old, new in tls.items():
        options = [each.replace(old, new) for each in options]
    with (
        behind_socket(tmp_path, options_of("haproxy.cfg", "--bind unix:")) as plain,
        serve(SEEN, *options, cwd=APPLICATIONS) as secure,
    ):
        changes = {
            "unix@/run/mysite/rocket.sock": f"unix@{tmp_path}/rocket.sock",
            "10.1.0.5:8443": secure.address.removeprefix("https://"),
        }
        binds = ["bind :80", "bind :443"]
        with haproxy(tmp_path, "haproxy.cfg", changes, binds) as (http, https):
            with client_of(http) as client:
                for number in (1, 2, 3):
                    assert_client_is_seen(seen(client, f"/{number}"))
                    plain.wait_for(f"request {number} /{number}")
            with client_of(https, context) as client:
                found = seen(client)
                assert (found["REMOTE_ADDR"], found["wsgi.url_scheme"]) == (CLIENT, "https")
    assert_quiet(plain.log + secure.log)


def test_nginx_that_passes_bytes_on(tmp_path: Path, certificates: Certificates) -> None:
    """With version 1 of the PROXY protocol."""
    options = [*certificates.options, "--proxy-protocol", "127.0.0.0/8"]
    context = ssl.create_default_context(cafile=str(certificates.ca))
    with serve(SEEN, *options, cwd=APPLICATIONS) as server:
        changes = {"10.1.0.5:8443": server.address.removeprefix("https://")}
        with (
            nginx(tmp_path, "nginx-stream.conf", changes, "listen 443;") as address,
            client_of(address, context) as client,
        ):
            assert seen(client)["REMOTE_ADDR"] == CLIENT
    assert_quiet(server.log)


# -- HTTP/2 --------------------------------------------------------------------------------------


def fetch(
    address: tuple[str, int], certificates: Certificates, path: str, *arguments: str
) -> dict[str, Any]:
    """What the application has seen of a request by HTTP/2 over TLS, from `CLIENT`."""
    host, port = address
    command = [find_tool("curl"), "--silent", "--show-error", "--fail", "--http2", *arguments]
    command += ["--interface", CLIENT, "--cacert", str(certificates.ca)]
    command += ["--max-time", str(PATIENCE)]
    for name, value in {"Host": "mysite.example", **FORGED}.items():
        command += ["--header", f"{name}: {value}"]
    command += ["--write-out", "\n%{http_version}", f"https://{host}:{port}{path}"]
    done = subprocess.run(
        command, capture_output=True, encoding="utf-8", timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    body, _, version = done.stdout.rpartition("\n")
    assert version == "2"
    found: dict[str, Any] = json.loads(body)
    return found


def assert_client_of_http2_is_seen(found: dict[str, Any], protocol: str = "HTTP/2") -> None:
    """``protocol`` is that between proxy and server."""
    assert found["SERVER_PROTOCOL"] == protocol
    assert found["REMOTE_ADDR"] == CLIENT
    assert found["wsgi.url_scheme"] == "https"
    assert found["HTTP_HOST"] == "mysite.example"
    assert found["HTTP_FORWARDED"] is None
    assert found["HTTP_X_FORWARDED_FOR"] is None


UPLOAD = 2 << 20


def assert_upload_arrives(
    address: tuple[str, int], certificates: Certificates, tmp_path: Path
) -> None:
    """With its length, and without it."""
    path = tmp_path / "upload"
    path.write_bytes(bytes(UPLOAD))
    for fields in ([], ["--header", "Content-Length:"]):
        found = fetch(address, certificates, "/upload", "--data-binary", f"@{path}", *fields)
        assert found["length"] == UPLOAD


def assert_no_response_is_lost(server: Server, address: tuple[str, int]) -> None:
    """While clients of the proxy have many streams, and the server reloads behind it."""
    requests = 500
    command = [find_tool("h2load"), "-n", str(requests), "-c", "5", "-m", "20"]
    command.append(f"https://{address[0]}:{address[1]}/load")
    with Load(command) as load:
        for _ in range(3):
            load.wait_for_runs(1)
            server.send(signal.SIGHUP)
            server.wait_for("reloaded: generation")
        load.wait_for_runs(1)
    told = {line for each in load.outputs for line in each.splitlines() if "2xx" in line}
    assert told == {f"status codes: {requests} 2xx, 0 3xx, 0 4xx, 0 5xx"}


class Load(threading.Thread):
    """Runs a command again and again; a context manager."""

    def __init__(self, command: Sequence[str]) -> None:
        super().__init__()
        self._command = command
        self._runs = threading.Semaphore(0)
        self._ends = threading.Event()
        self.outputs: list[str] = []

    def run(self) -> None:
        while not self._ends.is_set():
            done = subprocess.run(
                self._command, capture_output=True, encoding="utf-8", timeout=PATIENCE, check=False
            )
            self.outputs.append(done.stdout + done.stderr)
            self._runs.release()

    def wait_for_runs(self, count: int) -> None:
        """Return once the command has ended ``count`` times more than was waited for."""
        for _ in range(count):
            assert self._runs.acquire(timeout=PATIENCE)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self.join()


@pytest.fixture
def pem(tmp_path: Path, certificates: Certificates) -> Path:
    """Certificate and key in one file, as HAProxy wants them."""
    path = tmp_path / "mysite.pem"
    path.write_text(certificates.cert.read_text() + certificates.key.read_text())
    return path


def test_haproxy_with_http2(tmp_path: Path, certificates: Certificates, pem: Path) -> None:
    """Without TLS over a Unix socket, and with TLS."""
    options = options_of("haproxy-http2.cfg", "--bind https:")
    for old, new in {
        "10.1.0.5:8443": "127.0.0.1:0",
        "fullchain.pem": str(certificates.cert),
        "privkey.pem": str(certificates.key),
        "10.1.0.0/16": "127.0.0.0/8",
    }.items():
        options = [each.replace(old, new) for each in options]
    with (
        behind_socket(tmp_path, options_of("haproxy-http2.cfg", "--bind unix:")) as plain,
        serve(SEEN, *options, cwd=APPLICATIONS) as secure,
    ):
        changes = {
            "unix@/run/mysite/rocket.sock": f"unix@{tmp_path}/rocket.sock",
            "10.1.0.5:8443": secure.address.removeprefix("https://"),
            "/etc/haproxy/mysite.pem": str(pem),
            "/etc/ssl/certs/ca-certificates.crt": str(certificates.ca),
        }
        binds = ["bind :443", "bind :8443"]
        with haproxy(tmp_path, "haproxy-http2.cfg", changes, binds) as (first, second):
            for number in (1, 2, 3):
                assert_client_of_http2_is_seen(fetch(first, certificates, f"/{number}"))
                plain.wait_for(f" /{number}")
            assert_client_of_http2_is_seen(fetch(second, certificates, "/"))
            for address, server in ((first, plain), (second, secure)):
                assert_upload_arrives(address, certificates, tmp_path)
                assert_no_response_is_lost(server, address)
    assert_quiet(plain.log + secure.log)


def test_nghttpx(tmp_path: Path, certificates: Certificates) -> None:
    """Over a Unix socket, without TLS."""
    changes = {
        "unix:/run/mysite/rocket.sock": f"unix:{tmp_path}/rocket.sock",
        "/etc/nghttpx/privkey.pem": str(certificates.key),
        "/etc/nghttpx/fullchain.pem": str(certificates.cert),
    }
    with (
        behind_socket(tmp_path, options_of("nghttpx.conf", "--bind unix:")) as server,
        nghttpx(tmp_path, changes) as address,
    ):
        for number in (1, 2, 3):
            assert_client_of_http2_is_seen(fetch(address, certificates, f"/{number}"))
            server.wait_for(f" /{number}")
        assert_upload_arrives(address, certificates, tmp_path)
        assert_no_response_is_lost(server, address)
    assert_quiet(server.log)


@pytest.mark.parametrize("protocol", ["HTTP/1.1", "HTTP/2"])
def test_nginx_with_http2(tmp_path: Path, certificates: Certificates, protocol: str) -> None:
    """It uses HTTP/2 with clients, and with the server where it takes that for one of gRPC."""
    options = [*options_of("nginx.conf", "--bind unix:"), "--h2c"]
    with behind_socket(tmp_path, options) as server:
        changes = {"unix:/run/mysite/rocket.sock": f"unix:{tmp_path}/rocket.sock"}
        if protocol == "HTTP/2":
            changes |= {
                "proxy_pass http:": "grpc_pass grpc:",
                "proxy_http_version 1.1;": "",
                "proxy_set_header": "grpc_set_header",
            }
        with nginx(tmp_path, "nginx.conf", changes, "listen 80;", certificates) as address:
            for number in (1, 2, 3):
                found = fetch(address, certificates, f"/{number}")
                assert_client_of_http2_is_seen(found, protocol)
                server.wait_for(f" /{number}")
            assert_upload_arrives(address, certificates, tmp_path)
            assert_no_response_is_lost(server, address)
    assert_quiet(server.log)


def test_nginx_that_passes_http2_on(tmp_path: Path, certificates: Certificates) -> None:
    """Client and server agree on HTTP/2 by themselves."""
    options = [
        *certificates.options,
        "--proxy-protocol",
        "127.0.0.0/8",
        "--trusted-proxies",
        "none",
    ]
    with serve(SEEN, *options, cwd=APPLICATIONS) as server:
        changes = {"10.1.0.5:8443": server.address.removeprefix("https://")}
        with nginx(tmp_path, "nginx-stream.conf", changes, "listen 443;") as address:
            assert_client_of_http2_is_seen(fetch(address, certificates, "/"))
    assert_quiet(server.log)


def test_envoy() -> None:
    """The syntax, and the command, without Envoy."""
    found = yaml.safe_load((RECIPES / "envoy.yaml").read_text(encoding="utf-8"))
    (cluster,) = found["static_resources"]["clusters"]
    (options,) = cluster["typed_extension_protocol_options"].values()
    assert options["explicit_http_config"] == {"http2_protocol_options": {}}
    command = ["rocket-cli", "check", SEEN, *options_of("envoy.yaml", "--bind 10.1.0.5:")]
    done = subprocess.run(
        [rocket_cli(), *command[1:]],
        cwd=APPLICATIONS,
        env=environment(),
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


# -- systemd -------------------------------------------------------------------------------------


@pytest.fixture
def unit(tmp_path: Path) -> Callable[[str], Path]:
    """Write a unit for this machine."""

    def write(name: str) -> Path:
        changes = {
            "/srv/mysite/.venv/bin/rocket-cli": rocket_cli(),
            "User=mysite": "User=daemon",
            "WorkingDirectory=/srv/mysite": f"WorkingDirectory={APPLICATIONS}",
            "/run/mysite/admin.sock": str(tmp_path / "admin.sock"),
        }
        path = tmp_path / name
        path.write_text(recipe(name, changes if name.endswith("service") else {}))
        return path

    return write


def parsed(*files: Path) -> configparser.RawConfigParser:
    """The sections of units, which may repeat a key."""
    units = configparser.RawConfigParser(strict=False, comment_prefixes=("#",))
    units.optionxform = str  # type: ignore[assignment,method-assign]
    units.read(files, encoding="utf-8")
    return units


def test_units_are_valid(unit: Callable[[str], Path]) -> None:
    files = [str(unit(name)) for name in ("mysite.service", "mysite.socket")]
    done = subprocess.run(
        [find_tool("systemd-analyze"), "verify", "--man=no", *files],
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_socket_of_systemd(unit: Callable[[str], Path]) -> None:
    """The command of the unit serves at the socket that it is given."""
    program = find_tool("systemd-socket-activate")
    units = parsed(unit("mysite.service"), unit("mysite.socket"))
    command = shlex.split(units["Service"]["ExecStart"])
    application = "mysite.wsgi:application"
    command = ["seen:application" if each == application else each for each in command]
    name = units["Socket"]["FileDescriptorName"]
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = "{}:{}".format(*probe.getsockname())
    activation = [program, "--listen", address, "--fdname", name, *command]
    child = subprocess.Popen(
        activation,
        cwd=APPLICATIONS,
        env=environment(),
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )
    with child:
        try:
            assert child.stderr is not None
            assert "Listening on" in next(child.stderr)
            assert httpx.get(f"http://{address}/healthz", timeout=PATIENCE).status_code == 200
            found = httpx.get(f"http://{address}/path", timeout=PATIENCE).json()
            assert found["PATH_INFO"] == "/path"
        finally:
            child.terminate()
        log = child.stderr.read()
    assert f"Listening on http://{address}" in log


VERSIONED = """\
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"{}"]
"""


def test_reload_of_the_unit_waits_for_the_new_processes(
    tmp_path: Path, unit: Callable[[str], Path]
) -> None:
    """When `systemctl reload` has ended, the new code serves, or the command has failed.

    systemd is told meanwhile that the service reloads, and that it is ready again.
    """
    service = parsed(unit("mysite.service"))["Service"]
    module = tmp_path / "versioned.py"
    module.write_text(VERSIONED.format("one"))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.settimeout(PATIENCE)
        systemd.bind(str(tmp_path / "notify"))
        command = [
            "versioned:application" if each == "mysite.wsgi:application" else each
            for each in shlex.split(service["ExecStart"])
        ]
        variables = {"NOTIFY_SOCKET": str(tmp_path / "notify")}
        with Server([*command, "--bind", "127.0.0.1:0"], tmp_path, variables) as server:

            def notification() -> dict[str, str]:
                return dict(line.split("=", 1) for line in systemd.recv(4096).decode().split("\n"))

            def reload(text: str) -> int:
                module.write_text(text)
                done = subprocess.run(
                    ["sh", "-c", service["ExecReload"]],
                    cwd=tmp_path,
                    env=environment(MAINPID=str(server.pid)),
                    timeout=PATIENCE,
                    check=False,
                )
                return done.returncode

            assert notification()["READY"] == "1"
            assert reload(VERSIONED.format("second")) == 0
            assert httpx.get(server.address, timeout=PATIENCE).text == "second"
            assert notification()["RELOADING"] == "1"
            assert notification()["READY"] == "1"
            assert reload("raise RuntimeError('no database')") != 0
            assert httpx.get(server.address, timeout=PATIENCE).text == "second"
            assert notification()["RELOADING"] == "1"
            assert notification()["STATUS"].startswith("reload failed: ")


def test_readme_has_settings_of_the_unit(unit: Callable[[str], Path], tmp_path: Path) -> None:
    text = (ROOT / "packages/rocket-cli/README.md").read_text(encoding="utf-8")
    (found,) = [each.text for each in blocks_of(text) if each.language == "ini"]
    excerpt = tmp_path / "excerpt"
    excerpt.write_text(found, encoding="utf-8")
    whole = parsed(RECIPES / "mysite.service")["Service"]
    for key, value in parsed(excerpt)["Service"].items():
        assert set(value.split()) <= set(whole[key].split()), key


# -- containers ----------------------------------------------------------------------------------


def test_dockerfile_is_valid() -> None:
    linter = f"{sysconfig.get_path('scripts')}/hadolint"
    done = subprocess.run(
        [linter, str(RECIPES / "Dockerfile")],
        capture_output=True,
        encoding="utf-8",
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


def variables_of_the_image() -> dict[str, str]:
    """What the Dockerfile sets for Rocket."""
    text = (RECIPES / "Dockerfile").read_text(encoding="utf-8")
    return dict(re.findall(r"(ROCKET_\w+)=(\S+)", text))


def test_command_of_the_image(tmp_path: Path) -> None:
    """With its variables it answers the probes, and writes nothing but JSON."""
    text = (RECIPES / "Dockerfile").read_text(encoding="utf-8")
    found = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)
    assert found is not None
    program, *arguments = json.loads(found[1])
    assert program == "rocket-cli"
    assert variables_of_the_image()["ROCKET_BIND"] == "0.0.0.0:8000"
    variables = {**variables_of_the_image(), "ROCKET_BIND": "127.0.0.1:0"}
    arguments = [each.replace("mysite.wsgi", "seen") for each in arguments]
    server = Server([rocket_cli(), *arguments], APPLICATIONS, variables)
    with server:
        address = server.address.rstrip('",}')
        assert httpx.get(f"{address}/healthz", timeout=PATIENCE).status_code == 200
    for line in server.log.splitlines():
        assert isinstance(json.loads(line), dict)


def manifests() -> list[dict[str, Any]]:
    text = (RECIPES / "kubernetes.yaml").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = list(yaml.safe_load_all(text))
    return found


@pytest.mark.parametrize("manifest", manifests(), ids=lambda each: each["kind"])
def test_manifest_is_valid(manifest: dict[str, Any]) -> None:
    kubernetes_validate.validate(manifest, kubernetes_validate.latest_version(), strict=True)


def test_probes_and_grace() -> None:
    """They fit what the image serves, and what the command needs to end."""
    deployment, service = manifests()
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    variables = variables_of_the_image()
    (port,) = container["ports"]
    assert variables["ROCKET_BIND"].endswith(f":{port['containerPort']}")
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
    for kind in ("livenessProbe", "readinessProbe", "startupProbe"):
        probe = container[kind]["httpGet"]
        assert probe == {"path": variables["ROCKET_HEALTH"], "port": port["name"]}
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    options = [each.replace("mysite.wsgi", "seen") for each in container["args"][2:]]
    done = subprocess.run(
        [rocket_cli(), "config", "--json", *options],
        capture_output=True,
        cwd=APPLICATIONS,
        timeout=PATIENCE,
        check=True,
    )
    grace = json.loads(done.stdout)["graceful-timeout"]["value"]
    assert pod["terminationGracePeriodSeconds"] >= pause + grace + 5
