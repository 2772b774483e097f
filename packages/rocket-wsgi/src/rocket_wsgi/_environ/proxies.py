"""What trusted proxies tell of the client, and what nobody else may tell."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from rocket_core import Networks, Peer
from rocket_core.http1 import HeadError
from rocket_wsgi._environ.field_names import EnvironNames, Underscores
from rocket_wsgi._environ.forwarded import Element, parse_forwarded
from rocket_wsgi._environ.nodes import NOBODY, Node, parse_loose_node, parse_node, parse_port
from rocket_wsgi._environ.target import valid_host
from rocket_wsgi._types import Environ

DEFAULT_FIELDS: Final = ("X-Forwarded-For", "X-Forwarded-Proto")
"""What is taken from trusted proxies that are not said to set anything else."""

_KEYS: Final = {
    "forwarded": "HTTP_FORWARDED",
    "x-forwarded-for": "HTTP_X_FORWARDED_FOR",
    "x-forwarded-proto": "HTTP_X_FORWARDED_PROTO",
    "x-forwarded-host": "HTTP_X_FORWARDED_HOST",
    "x-forwarded-port": "HTTP_X_FORWARDED_PORT",
    "x-forwarded-prefix": "HTTP_X_FORWARDED_PREFIX",
}
_UNDERSTOOD: Final = frozenset(_KEYS.values())
_WANTED: Final = "use Forwarded, or some of X-Forwarded-For, -Proto, -Host, -Port and -Prefix"

_SCHEMES: Final = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""Some proxies call the handshake of a WebSocket, which is HTTP, by the scheme that follows it."""

_PORTS: Final = {"http": "80", "https": "443"}
_HOST: Final = re.compile(r"(\[.*\]|[^:]*)(?::([0-9]*))?\Z")
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9\-._~!$&'()*+;=:@%\x80-\xff]+)+/?\Z")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_UNCLEAN: Final = frozenset({"", ".", ".."})


class _NamesOfTrusted(EnvironNames):
    """Keeps of the fields that the server understands those that the proxies set."""

    def __init__(self, kept: frozenset[str], underscores: Underscores) -> None:
        super().__init__(underscores)
        self._kept = kept

    def key(self, name: str) -> str:
        key = super().key(name)
        if key not in _UNDERSTOOD:
            return key
        # With an underscore it is not the field that the proxy sets, and replaces.
        return key if key in self._kept and "_" not in name else ""


class _NamesOfOthers(EnvironNames):
    """Drops every field in which proxies tell of clients."""

    def key(self, name: str) -> str:
        key = super().key(name)
        told = key in ("HTTP_FORWARDED", "HTTP_X_REAL_IP") or key.startswith("HTTP_X_FORWARDED")
        return "" if told else key


class Proxies:
    """The proxies that are trusted, and the fields that they set.

    Attributes:
        trusted_names: the keys of the fields that a trusted proxy may send.
    """

    def __init__(
        self,
        trusted: Iterable[str],
        fields: Iterable[str] | None,
        underscores: Underscores = Underscores.DROP,
    ) -> None:
        """Trust the networks ``trusted``, as `Networks` reads them, for ``fields``.

        Raises `AddressError` for a malformed network, `TypeError` for a string that is no list, and
        `ValueError` for an unknown field and for ``Forwarded`` together with others.
        """
        self._networks = Networks(trusted)
        keys = _keys(DEFAULT_FIELDS if fields is None else fields)
        self._forwarded = "HTTP_FORWARDED" in keys
        self.trusted_names: Final = _NamesOfTrusted(keys, underscores)
        self._other_names = _NamesOfOthers(underscores)

    def names(self, peer: Peer) -> EnvironNames:
        """The keys of the fields that ``peer`` may send."""
        return self.trusted_names if peer.host in self._networks else self._other_names

    def apply(self, environ: Environ, peer: Peer) -> None:
        """Put what ``peer``, who is trusted, tells of its client where the environ has such things.

        Raises `HeadError` with status 400 for a malformed value.
        """
        if self._forwarded:
            if value := environ.pop("HTTP_FORWARDED", None):
                self._apply_forwarded(environ, peer, value)
            return
        pop = environ.pop
        if value := pop("HTTP_X_FORWARDED_FOR", None):
            self._apply_nodes(environ, peer, value)
        if scheme := _last(pop("HTTP_X_FORWARDED_PROTO", None)):
            _set_scheme(environ, scheme)
        host = _last(pop("HTTP_X_FORWARDED_HOST", None))
        port = _last(pop("HTTP_X_FORWARDED_PORT", None))
        if host or port:
            _set_host(environ, host, port)
        if prefix := _last(pop("HTTP_X_FORWARDED_PREFIX", None)):
            environ["SCRIPT_NAME"] = _parse_prefix(prefix)

    def _apply_nodes(self, environ: Environ, peer: Peer, value: str) -> None:
        client = None
        for text in _from_the_right(value):
            client = parse_loose_node(text)
            if not self._trusts(client):
                break
        if client is not None:
            _set_client(environ, peer, client)

    def _apply_forwarded(self, environ: Environ, peer: Peer, value: str) -> None:
        """An element was added by the node that the next one names; the last one by ``peer``."""
        found: tuple[Node, Element] | None = None
        for element in reversed(parse_forwarded(value)):
            client = parse_node(element["for"]) if "for" in element else NOBODY
            found = client, element
            if not self._trusts(client):
                break
        if found is None:
            return
        client, element = found
        _set_client(environ, peer, client)
        if "proto" in element:
            _set_scheme(environ, element["proto"])
        if "host" in element:
            _set_host(environ, element["host"], None)

    def _trusts(self, node: Node) -> bool:
        return node.host is not None and node.host in self._networks


def _keys(fields: Iterable[str]) -> frozenset[str]:
    if isinstance(fields, str):
        raise TypeError(f"proxy_fields are a list of strings: use [{fields!r}]")
    keys = set()
    for field in fields:
        key = _KEYS.get(field.lower())
        if key is None:
            raise ValueError(f"proxy_fields has {field!r}; {_WANTED}")
        keys.add(key)
    if not keys:
        raise ValueError(f"proxy_fields is empty; {_WANTED}")
    if "HTTP_FORWARDED" in keys and len(keys) > 1:
        raise ValueError("proxy_fields has both Forwarded and X-Forwarded-*; use one kind")
    return frozenset(keys)


def _from_the_right(value: str) -> Iterator[str]:
    """The elements of a list, the last one first, without empty ones (RFC 9110, 5.6.1)."""
    if value and "," not in value:
        return iter((value,))
    return filter(None, (text.strip(" \t") for text in reversed(value.split(","))))


def _last(value: str | None) -> str | None:
    """The last element: what comes before it may be the client's."""
    if value and "," in value:
        return next(_from_the_right(value), None)
    return value


def _set_client(environ: Environ, peer: Peer, client: Node) -> None:
    environ.setdefault("rocket.peer", str(peer))
    environ["REMOTE_ADDR"] = client.host or ""
    if client.port is None:
        del environ["REMOTE_PORT"]
    else:
        environ["REMOTE_PORT"] = client.port


def _set_scheme(environ: Environ, name: str) -> None:
    scheme = _SCHEMES.get(name.lower())
    if scheme is None:
        raise HeadError(400, "a proxy names a scheme that is neither http nor https")
    environ["wsgi.url_scheme"] = scheme
    if scheme == "https":
        environ["HTTPS"] = "on"
    else:
        environ.pop("HTTPS", None)


def _set_host(environ: Environ, host: str | None, port: str | None) -> None:
    """Take a host, and a port where the host names none."""
    if host is None:
        host = environ.get("HTTP_HOST", "")
        if not host:
            environ["SERVER_PORT"] = parse_port(port or "")
            return
    match = _HOST.match(host) if host and valid_host(host) else None
    if match is None:
        raise HeadError(400, "a proxy names a host that is none")
    name, own_port = match.groups()
    usual = _PORTS[environ["wsgi.url_scheme"]]
    found = usual if port is None else parse_port(port)
    if own_port:
        found = parse_port(own_port)
    environ["HTTP_HOST"] = host if own_port or found == usual else f"{name}:{found}"
    environ["SERVER_NAME"] = name
    environ["SERVER_PORT"] = found


def _parse_prefix(text: str) -> str:
    if text == "/":
        return ""
    if _PREFIX.match(text):
        path = unquote_to_bytes(text.encode("latin-1")).decode("latin-1").removesuffix("/")
        if _is_clean(path):
            return path
    raise HeadError(400, "a proxy names a prefix that is no clean path")


def _is_clean(path: str) -> bool:
    segments = path.split("/")[1:]
    return not _CONTROL.search(path) and "\\" not in path and _UNCLEAN.isdisjoint(segments)
