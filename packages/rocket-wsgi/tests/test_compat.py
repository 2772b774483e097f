from __future__ import annotations

import importlib.util
import logging
import signal
import socket
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from rocket_core import BindError, LifecycleError, Server, TCPAddress
from rocket_core.testing import eventually, listening
from rocket_wsgi import compat
from rocket_wsgi._compat.forwarded_errors import ForwardedErrors
from rocket_wsgi.compat import CherryPyWSGIServer, Rocket, Rocket3
from served import Served

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

Environ = dict[str, Any]
ANY = ("127.0.0.1", 0)


def name(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SERVER_NAME"].encode()]


def port(rocket: Rocket, number: int = 0) -> int:
    address = rocket.server.listeners[number].address
    assert isinstance(address, TCPAddress)
    return address.port


@contextmanager
def client(rocket: Rocket, number: int = 0) -> Iterator[Served]:
    with Served(rocket.server, number) as found:
        yield found


@contextmanager
def serving(rocket: Rocket) -> Iterator[Served]:
    rocket.start(background=True)
    try:
        with client(rocket) as found:
            yield found
    finally:
        rocket.stop()


@contextmanager
def closing(rocket: Rocket) -> Iterator[None]:
    """Expect the listening sockets to be closed at the end, though others may get the port."""
    number = port(rocket)
    sockets = listening(number)
    assert sockets
    yield
    assert not sockets & listening(number)


# -- the calls of known programs ---------------------------------------------------------------


def test_calls_of_py4web_and_ombott() -> None:
    rocket = Rocket3(ANY, "wsgi", {"wsgi_app": name})
    with serving(rocket) as visitor:
        assert visitor.get().body == socket.gethostname().encode()


def test_calls_of_web2py(monkeypatch: pytest.MonkeyPatch) -> None:
    """web2py sets attributes of the module, and starts and stops the server in another thread."""
    monkeypatch.setattr(compat, "SERVER_NAME", "web2py.example")
    monkeypatch.setattr(compat, "SOCKET_TIMEOUT", 5)
    rocket = Rocket(
        ANY,
        method="wsgi",
        app_info={"wsgi_app": name},
        min_threads=None,
        max_threads=None,
        queue_size=5,
        timeout=10,
        handle_signals=False,
    )
    thread = threading.Thread(target=rocket.start)
    thread.start()
    with client(rocket) as visitor, closing(rocket):
        assert visitor.get().body == b"web2py.example"
        rocket.stop(False)
        thread.join(30)
        assert not thread.is_alive()


def test_calls_of_cherrypy() -> None:
    rocket = CherryPyWSGIServer(ANY, name, 3, server_name="shop.example", max=4)
    with serving(rocket) as visitor:
        assert rocket.server.statistics().threads == 3
        assert visitor.get().body == b"shop.example"
        assert rocket.server.statistics().threads <= 4  # more than 3 while the machine is busy


@pytest.mark.parametrize("listed", [False, True])
def test_files(tmp_path: Path, listed: bool) -> None:
    (tmp_path / "page.txt").write_text("hello")
    info = {"document_root": str(tmp_path), "display_index": listed}
    with serving(Rocket(ANY, "fs", info)) as visitor:
        assert visitor.get("/page.txt").body == b"hello"
        assert (b"page.txt" in visitor.get("/").body) is listed


def test_names_that_programs_import() -> None:
    assert Rocket3 is Rocket
    assert compat.has_ssl is (importlib.util.find_spec("rocket_tls") is not None)
    assert compat.SERVER_SOFTWARE.startswith("Rocket/")


def test_several_interfaces() -> None:
    rocket = Rocket([ANY, ANY], "wsgi", {"wsgi_app": name})
    with serving(rocket), client(rocket, 1) as other:
        assert other.get().status == 200
    with serving(Rocket((ANY, ANY), "wsgi", {"wsgi_app": name})) as visitor:
        assert visitor.get().status == 200


def test_app_info_is_not_modified() -> None:
    info = {"wsgi_app": name}
    with serving(Rocket(ANY, "wsgi", info)) as visitor:
        visitor.get()
    assert info == {"wsgi_app": name}


# -- errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"method": "fs"}, TypeError, r"use \{'document_root': 'path', ...\}"),
        ({"method": "asgi"}, ValueError, "'asgi' is unknown; use 'wsgi' or 'fs'"),
        ({"app_info": None}, TypeError, r"use \{'wsgi_app': application\}"),
        ({"app_info": {"wsgi_app": 7}}, TypeError, "not 7"),
        ({"app_info": {"wsgi_app": name, "futures": True}}, ValueError, "futures"),
        ({"interfaces": ("127.0.0.1",)}, ValueError, "is malformed; use "),
        ({"interfaces": ("127.0.0.1", "80")}, TypeError, "is malformed; use "),
        ({"interfaces": (*ANY, "key.pem")}, ValueError, "is malformed; use "),
        ({"interfaces": (*ANY, "key.pem", None)}, ValueError, "lacks its key or its"),
        ({"interfaces": (*ANY, None, None, "ca")}, ValueError, "has authorities, but no"),
        ({"interfaces": []}, ValueError, "at least one listener"),
        ({"min_threads": 5, "max_threads": 4}, ValueError, "min_threads <= max_threads"),
        ({"timeout": 0}, ValueError, "keep_alive must be greater than 0"),
    ],
)
def test_invalid_arguments(arguments: dict[str, Any], kind: type[Exception], message: str) -> None:
    usual: dict[str, Any] = {"interfaces": ANY, "app_info": {"wsgi_app": name}}
    with pytest.raises(kind, match=message):
        Rocket(**(usual | arguments))


def test_certificate_without_rocket_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rocket_tls", None)
    with pytest.raises(ImportError, match=r"needs rocket-tls: run pip install rocket-tls or, "):
        Rocket((*ANY, "key.pem", "certificate.pem"), "wsgi", {"wsgi_app": name})


def test_interface_that_cannot_listen_fails_the_constructor() -> None:
    with socket.socket() as taken:
        taken.bind(ANY)
        taken.listen()
        with pytest.raises(BindError, match="cannot listen on 127"):
            Rocket([ANY, taken.getsockname()], "wsgi", {"wsgi_app": name})


# -- start, stop, restart ----------------------------------------------------------------------


def test_the_constructor_listens() -> None:
    """A client can connect before the start, and is served after it."""
    rocket = Rocket(ANY, "wsgi", {"wsgi_app": name})
    with client(rocket) as visitor:
        stream = visitor.open()
        stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        rocket.start(background=True)
        assert stream.answer().status == 200
        rocket.stop()


def test_stopped_without_being_started() -> None:
    rocket = Rocket(ANY, "wsgi", {"wsgi_app": name})
    with closing(rocket):
        rocket.stop()
    with serving(rocket) as visitor:
        assert visitor.get().status == 200


def test_start_stop_start_stop() -> None:
    rocket = Rocket(ANY, "wsgi", {"wsgi_app": name})
    for _ in range(3):
        with serving(rocket) as visitor, closing(rocket):
            assert visitor.get().status == 200
            with pytest.raises(LifecycleError):
                rocket.start()
            rocket.stop()


class Gate:
    """An application that returns when the test says so."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.go_on = threading.Event()

    def __call__(self, environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        self.entered.set()
        self.go_on.wait(30)
        return name(environ, start_response)


def wait_until_drains(server: Server) -> None:
    eventually(lambda: server.lifecycle.value == "draining")


def test_running_requests_are_finished() -> None:
    gate = Gate()
    rocket = Rocket(ANY, "wsgi", {"wsgi_app": gate})
    rocket.start(background=True)
    with client(rocket) as visitor:
        stream = visitor.open()
        stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert gate.entered.wait(30)
        stopper = threading.Thread(target=rocket.stop)
        stopper.start()
        wait_until_drains(rocket.server)
        gate.go_on.set()
        assert stream.answer().status == 200
        stopper.join(30)
        assert not stopper.is_alive()


def test_restart_before_start_is_an_error() -> None:
    rocket = Rocket(ANY, "wsgi", {"wsgi_app": name})
    with pytest.raises(LifecycleError, match="cannot restart a Rocket that is new"):
        rocket.restart()
    rocket.stop()


def test_restart_while_another_thread_waits() -> None:
    rocket = Rocket(ANY, "wsgi", {"wsgi_app": name})
    thread = threading.Thread(target=rocket.start)
    thread.start()
    with client(rocket) as visitor:
        assert visitor.get().status == 200
    rocket.restart()
    with client(rocket) as visitor:
        assert visitor.get().status == 200
        assert thread.is_alive()
    rocket.stop()
    thread.join(30)
    assert not thread.is_alive()


def test_stoplogging(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[None] = []
    monkeypatch.setattr(logging, "shutdown", lambda: calls.append(None))
    rocket = Rocket(ANY, "wsgi", {"wsgi_app": name})
    rocket.start(background=True)
    rocket.stop()
    assert not calls
    rocket.stop(stoplogging=True)
    assert calls


# -- signals -----------------------------------------------------------------------------------


def after(event: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=event)
    thread.start()
    return thread


def test_signals() -> None:
    """SIGUSR1 restarts the server, SIGTERM stops it; then the old handlers are installed again."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)
    rocket = Rocket(ANY, "wsgi", {"wsgi_app": name})
    main = threading.main_thread().ident
    assert main is not None
    found: list[int] = []

    def visit() -> None:
        with client(rocket) as visitor:
            found.append(visitor.get().status)
        first = port(rocket)
        signal.pthread_kill(main, signal.SIGUSR1)
        eventually(
            lambda: rocket.server.lifecycle.value == "running" and port(rocket) not in (0, first)
        )
        with client(rocket) as visitor:
            found.append(visitor.get().status)
        signal.pthread_kill(main, signal.SIGTERM)

    visitor = after(visit)
    rocket.start()
    visitor.join(30)
    assert found == [200, 200]
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGUSR1)) == before


def test_second_sigterm_stops_at_once() -> None:
    gate = Gate()
    rocket = Rocket(ANY, "wsgi", {"wsgi_app": gate})
    main = threading.main_thread().ident
    assert main is not None

    def visit() -> None:
        with client(rocket) as visitor:
            stream = visitor.open()
            stream.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert gate.entered.wait(30)
            signal.pthread_kill(main, signal.SIGTERM)
            wait_until_drains(rocket.server)
            signal.pthread_kill(main, signal.SIGTERM)
            assert stream.read_all() == b""
        gate.go_on.set()

    visitor = after(visit)
    rocket.start()
    visitor.join(30)
    assert gate.go_on.is_set()


def test_stopped_by_a_handler_of_the_program() -> None:
    """The handler runs on the main thread, which is waiting in start()."""
    rocket = Rocket(ANY, "wsgi", {"wsgi_app": name}, handle_signals=False)
    before = signal.signal(signal.SIGTERM, lambda *_: rocket.stop())
    main = threading.main_thread().ident
    assert main is not None
    try:

        def visit() -> None:
            with client(rocket) as visitor:
                visitor.get()
            signal.pthread_kill(main, signal.SIGTERM)

        visitor = after(visit)
        rocket.start()
        visitor.join(30)
    finally:
        signal.signal(signal.SIGTERM, before)


# -- logs --------------------------------------------------------------------------------------


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.found.append((record.levelname, record.getMessage()))


@pytest.fixture
def kept(request: pytest.FixtureRequest) -> Iterator[Kept]:
    """Collects the messages of a handler of the logger ``Rocket``."""
    handler = Kept()
    logger = logging.getLogger("Rocket")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def test_requests_are_logged(kept: Kept) -> None:
    with serving(Rocket(ANY, "wsgi", {"wsgi_app": name})) as visitor:
        visitor.get("/page")
    ((level, line),) = kept.found
    assert level == "INFO"
    assert '"GET /page HTTP/1.1" 200' in line


def test_errors_are_logged_once(kept: Kept, caplog: pytest.LogCaptureFixture) -> None:
    def broken(environ: Environ, start_response: Callable[..., Any]) -> list[bytes]:
        raise RuntimeError("broken")

    logging.getLogger("Rocket.Requests").setLevel(logging.WARNING)
    try:
        with serving(Rocket(ANY, "wsgi", {"wsgi_app": broken})) as visitor:
            assert visitor.get().status == 500
    finally:
        logging.getLogger("Rocket.Requests").setLevel(logging.NOTSET)
    assert kept.found == [("ERROR", "GET /: the application failed")]
    assert [each.name for each in caplog.records] == ["rocket_wsgi"]
    logging.getLogger("rocket_wsgi").error("after the end")
    assert len(kept.found) == 1


@pytest.mark.parametrize(("attribute", "value"), [("level", logging.CRITICAL), ("disabled", True)])
def test_errors_are_not_passed_to_a_disabled_logger(
    kept: Kept, monkeypatch: pytest.MonkeyPatch, attribute: str, value: object
) -> None:
    monkeypatch.setattr(logging.getLogger("Rocket.Errors.rocket_wsgi"), attribute, value)
    forwarded = ForwardedErrors("Rocket.Errors")
    forwarded.attach()
    logging.getLogger("rocket_wsgi").error("unwanted")
    logging.getLogger("rocket_core.pool").error("wanted")
    forwarded.detach()
    assert kept.found == [("ERROR", "wanted")]


def test_nothing_is_logged_without_a_handler(tmp_path: Path) -> None:
    rocket = Rocket(ANY, "wsgi", {"wsgi_app": name})
    with serving(rocket) as visitor:
        visitor.get()
        assert "rocket-access-log" not in [each.name for each in threading.enumerate()]
