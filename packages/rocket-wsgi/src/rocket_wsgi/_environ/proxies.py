"""The fields in which trusted proxies describe their client (RFC 7239; ``X-Forwarded-*``).

A request of a trusted proxy gets the client's address, scheme and host from them. Requests of other
peers lose them, so that no client can pretend to be another.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final
from urllib.parse import unquote_to_bytes

from rocket_core import Networks, Peer
from rocket_core.http1 import HeadError
from rocket_wsgi._environ.authority import split_host, valid_host
from rocket_wsgi._environ.deadline import DeadlineField
from rocket_wsgi._environ.field_names import EnvironNames, Underscores
from rocket_wsgi._environ.forwarded import Element, parse_forwarded
from rocket_wsgi._environ.nodes import UNDISCLOSED, Node, parse_loose_node, parse_node, parse_port
from rocket_wsgi._types import Environ

DEFAULT_FIELDS: Final = ("X-Forwarded-For", "X-Forwarded-Proto")
"""The fields that are taken from trusted proxies by default."""

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
"""The scheme of each value of ``proto``.

The handshake of a WebSocket is HTTP, but some proxies name the scheme of the WebSocket.
"""

_PORTS: Final = {"http": "80", "https": "443"}
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9\-._~!$&'()*+;=:@%\x80-\xff]+)+/?\Z")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_UNCLEAN: Final = frozenset({"", ".", ".."})


class _NamesOfTrusted(EnvironNames):
    """The field names of a trusted proxy: drops the fields that it is not configured to set."""

    def __init__(
        self, kept: frozenset[str], underscores: Underscores, deadline_key: str | None
    ) -> None:
        super().__init__(underscores)
        self._kept = kept if deadline_key is None else kept | {deadline_key}
        self._deadline_key = deadline_key

    def key(self, name: str) -> str:
        key = super().key(name)
        if key not in _UNDERSTOOD and key != self._deadline_key:
            return key
        # A proxy replaces only the field without underscores.
        return key if key in self._kept and "_" not in name else ""


class _NamesOfOthers(EnvironNames):
    """The field names of any other peer: drops every field in which proxies describe clients."""

    def __init__(self, underscores: Underscores, deadline_key: str | None) -> None:
        super().__init__(underscores)
        self._dropped = {"HTTP_FORWARDED", "HTTP_X_REAL_IP", deadline_key}

    def key(self, name: str) -> str:
        key = super().key(name)
        return "" if key in self._dropped or key.startswith("HTTP_X_FORWARDED") else key


class Proxies:
    """The trusted proxies, and the fields that they set.

    Attributes:
        trusted_names: the environ keys of the fields of a trusted proxy.
    """

    def __init__(
        self,
        trusted: Iterable[str],
        fields: Iterable[str] | None,
        underscores: Underscores = Underscores.DROP,
        deadline_field: str | None = None,
    ) -> None:
        """Trust the networks ``trusted``, in the syntax of `Networks`, for ``fields``.

        ``fields`` None stands for `DEFAULT_FIELDS`. ``deadline_field`` is the name of the field
        that tells how long a proxy waits, or None; see `DeadlineField`.

        Raises:
            AddressError: a network is malformed.
            TypeError: ``fields`` or ``trusted`` is a string instead of a list of strings.
            ValueError: a field is unknown, or ``Forwarded`` is given together with others, or
                ``deadline_field`` is not the name of a field.
        """
        self._networks = Networks(trusted)
        self._deadline = None if deadline_field is None else DeadlineField(deadline_field)
        deadline_key = None if self._deadline is None else self._deadline.key
        keys = _keys(DEFAULT_FIELDS if fields is None else fields)
        self._forwarded = "HTTP_FORWARDED" in keys
        self.trusted_names: Final = _NamesOfTrusted(keys, underscores, deadline_key)
        self._other_names = _NamesOfOthers(underscores, deadline_key)

    def names(self, peer: Peer) -> EnvironNames:
        """Return the environ keys of the fields of a request from ``peer``."""
        return self.trusted_names if peer.host in self._networks else self._other_names

    def trusts(self, peer: Peer) -> bool:
        """Return whether ``peer`` is a trusted proxy."""
        return peer.host in self._networks

    def apply(self, environ: Environ, peer: Peer) -> None:
        """Describe the client by the fields that the trusted proxy ``peer`` has sent.

        Raises `HeadError` with status 400 for a malformed value.
        """
        deadline = self._deadline
        if deadline is not None and (value := environ.get(deadline.key)) is not None:
            environ["rocket.timeout"] = deadline.read(value)
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
        """Find the client from right to left: ``peer`` has added the last element.

        Each other element was added by the node that the element after it names, so it counts as
        long as that node is trusted.
        """
        found: tuple[Node, Element] | None = None
        for element in reversed(parse_forwarded(value)):
            client = parse_node(element["for"]) if "for" in element else UNDISCLOSED
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
        raise TypeError(f"proxy_fields must be a list of strings, such as [{fields!r}]")
    keys = set()
    for field in fields:
        key = _KEYS.get(field.lower())
        if key is None:
            raise ValueError(f"proxy_fields has the unknown field {field!r}; {_WANTED}")
        keys.add(key)
    if not keys:
        raise ValueError(f"proxy_fields is empty; {_WANTED}")
    if "HTTP_FORWARDED" in keys and len(keys) > 1:
        raise ValueError("proxy_fields has both Forwarded and X-Forwarded-*; use one kind")
    return frozenset(keys)


def _from_the_right(value: str) -> Iterator[str]:
    """Return the elements of a list, the last one first, without empty ones (RFC 9110, 5.6.1)."""
    if value and "," not in value:
        return iter((value,))
    return filter(None, (text.strip(" \t") for text in reversed(value.split(","))))


def _last(value: str | None) -> str | None:
    """Return the last element of a list. The client may have sent the elements before it."""
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
        raise HeadError(400, "a proxy sent a scheme that is neither http nor https")
    environ["wsgi.url_scheme"] = scheme
    if scheme == "https":
        environ["HTTPS"] = "on"
    else:
        environ.pop("HTTPS", None)


def _set_host(environ: Environ, host: str | None, port: str | None) -> None:
    """Set the host, and a port for a host without one."""
    if host is None:
        host = environ.get("HTTP_HOST", "")
        if not host:
            environ["SERVER_PORT"] = parse_port(port or "")
            return
    if not host or not valid_host(host):
        raise HeadError(400, "a proxy sent an invalid host")
    name, own_port = split_host(host)
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
    raise HeadError(400, "a proxy sent an invalid path prefix")


def _is_clean(path: str) -> bool:
    """Return whether a decoded path has no control character and no empty or dot segment."""
    segments = path.split("/")[1:]
    return not _CONTROL.search(path) and "\\" not in path and _UNCLEAN.isdisjoint(segments)
