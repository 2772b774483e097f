"""The field Server in every response, over HTTP/1.1 and over HTTP/2."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from rocket_wsgi import SERVER

if TYPE_CHECKING:
    from conftest import Serve
    from rocket_core.testing import Answer

Environ = dict[str, Any]
Start = Callable[..., Any]


def application(environ: Environ, start_response: Start) -> list[bytes]:
    match environ["PATH_INFO"]:
        case "/later":
            environ["rocket.deferred"].hold().answer("200 OK", [], b"later")
        case "/fails":
            raise LookupError
    fields = [("Server", "mine")] if environ["PATH_INFO"] == "/own" else []
    if environ["PATH_INFO"] == "/date":
        fields.append(("Date", "Thu, 01 Jan 1970 00:00:00 GMT"))
    start_response("200 OK", fields)
    return [environ["SERVER_SOFTWARE"].encode()]


def server_of(answer: Answer) -> list[str]:
    return [value for name, value in answer.fields if name == "server"]


PATHS = ["/", "/later", "/fails", "/date", "/health"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("value", ["shop/2.1 (blue)", ""])
def test_value(serve: Serve, path: str, value: str) -> None:
    served = serve(application, server_header=value, health="/health")
    assert server_of(served.get(path)) == ([value] if value else [])


@pytest.mark.parametrize("path", PATHS)
def test_default(serve: Serve, path: str) -> None:
    assert server_of(serve(application, health="/health").get(path)) == [SERVER]


@pytest.mark.parametrize("value", ["shop", ""])
def test_application_has_the_last_word(serve: Serve, value: str) -> None:
    served = serve(application, server_header=value)
    assert served.get("/own")["server"] == "mine"
    assert served.get("/").body == SERVER.encode()


def test_two_sites_in_a_process(serve: Serve) -> None:
    one, other = (serve(application, server_header=name) for name in ("one", "other"))
    for path in ("/", "/later"):
        assert one.get(path)["server"] == "one"
        assert other.get(path)["server"] == "other"
