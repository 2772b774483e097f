from __future__ import annotations

import pytest

from conftest import Serve
from rocket_core.http1 import HeadError
from rocket_wsgi import Underscores, WSGIWorker
from rocket_wsgi._environ.field_names import EnvironNames

FRAMING = ["Content_Length", "CONTENT_TYPE", "Transfer_Encoding", "Transfer_encoding"]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Host", "HTTP_HOST"),
        ("x-forwarded-for", "HTTP_X_FORWARDED_FOR"),
        ("Content-Length", "CONTENT_LENGTH"),
        ("content-type", "CONTENT_TYPE"),
        ("Proxy", ""),
    ],
)
@pytest.mark.parametrize("underscores", Underscores)
def test_names_without_an_underscore(underscores: Underscores, name: str, key: str) -> None:
    assert EnvironNames(underscores)[name] == key


@pytest.mark.parametrize("name", ["X_Forwarded_For", "X_Forwarded-For", "_", *FRAMING])
def test_dropped(name: str) -> None:
    assert EnvironNames()[name] == ""


@pytest.mark.parametrize("name", ["X_Forwarded_For", *FRAMING])
def test_refused(name: str) -> None:
    names = EnvironNames(Underscores.REFUSE)
    for _ in range(2):
        with pytest.raises(HeadError) as caught:
            names[name]
        assert caught.value.status == 400


def test_allowed() -> None:
    assert EnvironNames(Underscores.ALLOW)["X_Api_Key"] == "HTTP_X_API_KEY"


@pytest.mark.parametrize("name", FRAMING)
def test_no_name_with_an_underscore_becomes_a_framing_field(name: str) -> None:
    assert EnvironNames(Underscores.ALLOW)[name] == ""


@pytest.mark.parametrize(
    ("underscores", "status", "body"),
    [
        (Underscores.DROP, 200, b"none"),
        (Underscores.REFUSE, 400, None),
        (Underscores.ALLOW, 200, b"secret"),
    ],
)
def test_over_a_connection(
    serve: Serve, underscores: Underscores, status: int, body: bytes | None
) -> None:
    def application(environ, start_response):  # type: ignore[no-untyped-def] # noqa: ANN001, ANN202
        start_response("200 OK", [])
        return [environ.get("HTTP_API_KEY", "none").encode()]

    client = serve(application, underscores=underscores)
    answer = client.exchange(b"GET / HTTP/1.1\r\nHost: a\r\nApi_Key: secret\r\n\r\n")
    assert answer.status == status
    assert body is None or answer.body == body


def test_the_policy_must_be_an_underscores_member() -> None:
    with pytest.raises(ValueError, match="'keep' is not a valid Underscores"):
        WSGIWorker(lambda *_: [], underscores="keep")  # type: ignore[arg-type]
