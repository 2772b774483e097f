"""The settings of all workers, checked once."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import pytest

from rocket_core import AddressError, Peer
from rocket_wsgi import RequestIds, Site, StaticFiles, WSGIWorker
from rocket_wsgi._site import SiteSettings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse

Environ = dict[str, Any]


def application(environ: Environ, start_response: StartResponse) -> list[bytes]:
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode("latin-1")]


def test_the_application_must_be_callable() -> None:
    with pytest.raises(TypeError, match="not callable"):
        Site(7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"underscores": "keep"}, ValueError, "keep"),
        ({"trusted_proxies": ["10.0.0.0/33"]}, AddressError, "10.0.0.0/33"),
        ({"trusted_proxies": "unix"}, TypeError, "list of strings"),
        ({"proxy_fields": ["Forwarded"]}, ValueError, "proxy_fields needs trusted_proxies"),
        ({"trusted_proxies": [], "proxy_fields": ["X-Other"]}, ValueError, "X-Other"),
        ({"static": {"static": StaticFiles("/")}}, ValueError, "mounted at a path"),
        ({"health": "healthz"}, ValueError, "health 'healthz' is not a path"),
        ({"https_redirect": 0}, ValueError, "https_redirect 0 is not a port"),
        ({"hsts": "1"}, ValueError, "hsts '1' is not a valid value of Strict-Transport-Security"),
        ({"server_header": "a\r\nb"}, ValueError, "is not a valid value of Server"),
        ({"server_header": "caf\xe9"}, ValueError, "is not a valid value of Server"),
        ({"server_header": " a"}, ValueError, "is not a valid value of Server"),
    ],
)
def test_invalid_settings_are_refused(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    """A worker for an application refuses the same settings, with the same error."""
    for make in (Site, WSGIWorker):
        with pytest.raises(error, match=message):
            make(application, **settings)


def test_a_worker_takes_the_settings_of_a_site() -> None:
    """The settings of a worker are those of its site, so that type checkers know all of them."""
    parameters = inspect.signature(Site).parameters
    assert set(SiteSettings.__annotations__) == set(parameters) - {"application"}


def test_a_site_is_not_given_settings_again() -> None:
    with pytest.raises(TypeError, match=r"settings already; give Site\(\) \['health', 'hsts'\]"):
        WSGIWorker(Site(application), hsts="max-age=1", health="/")


def test_settings_are_checked_once_for_all_workers() -> None:
    """Iterables are read, and functions of the settings are called, when the site is made."""
    networks = iter(["10.0.0.0/8"])
    site = Site(application, trusted_proxies=networks, static={"/s": StaticFiles("/")})
    assert next(networks, None) is None
    workers = [WSGIWorker(site) for _ in range(3)]
    assert {id(worker._site) for worker in workers} == {id(site)}
    assert site.proxies is not None
    assert site.proxies.names(Peer("10.1.2.3", 1)) is site.proxies.trusted_names


def test_each_worker_has_request_ids_of_its_own() -> None:
    """Two threads never make the same ID."""
    site = Site(application, request_ids=RequestIds())
    sources = [WSGIWorker(site)._receiver._ids for _ in range(2)]
    ids = {source.assign({}, Peer("a", 1)) for source in sources if source for _ in range(2)}
    assert len(ids) == 4


def test_the_template_tells_the_address_that_clients_reach() -> None:
    site = Site(application, multithread=False, multiprocess=True)
    template = site.make_template(Peer("127.0.0.1", 8000), secure=True)
    assert (template["SERVER_NAME"], template["SERVER_PORT"]) == ("127.0.0.1", "8000")
    assert (template["wsgi.url_scheme"], template["HTTPS"]) == ("https", "on")
    assert (template["wsgi.multithread"], template["wsgi.multiprocess"]) == (False, True)
    assert "HTTPS" not in site.make_template(Peer("127.0.0.1", 8000), secure=False)


def test_fields_of_the_server() -> None:
    site = Site(application, hsts="max-age=1")
    assert site.own_fields(None, secure=True) == [("Strict-Transport-Security", "max-age=1")]
    assert site.own_fields(None, secure=False) == []
    assert site.adds_fields
    assert not Site(application, request_ids=RequestIds()).adds_fields
