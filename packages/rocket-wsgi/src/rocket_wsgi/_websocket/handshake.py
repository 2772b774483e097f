"""The opening handshake of websockets (RFC 6455, section 4.2, and RFC 8441, section 5)."""

from __future__ import annotations

import hashlib
import re
from base64 import b64encode
from collections.abc import Collection
from typing import TYPE_CHECKING, Final

from rocket_wsgi._environ.authority import split_host
from rocket_wsgi._grammar import QUOTED, TOKEN, WHOLE_TOKEN
from rocket_wsgi._websocket.deflate import Offer, agreement

if TYPE_CHECKING:
    from rocket_wsgi._types import Environ, Headers

VERSION: Final = "13"

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY: Final = re.compile(r"[A-Za-z0-9+/]{21}[AQgw]==\Z")
"""Sixteen bytes in base64 (section 4.1)."""

_VERSION: Final = re.compile(r"[0-9]{1,3}\Z")
_PARAMETER: Final = re.compile(
    rf'[ \t]*;[ \t]*({TOKEN})(?:[ \t]*=[ \t]*(?:({TOKEN})|"({QUOTED})"))?'
)
_EXTENSION: Final = re.compile(rf"[ \t]*({TOKEN})")
_END: Final = re.compile(r"[ \t]*(?:,|\Z)")
_ESCAPED: Final = re.compile(r"\\(.)")

_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_ORIGIN: Final = re.compile(r"([a-z][a-z0-9+.\-]*)://([^/?#@\s]+)\Z")

_OURS: Final = frozenset(
    {"connection", "content-encoding", "content-length", "transfer-encoding", "upgrade"}
)
"""The fields of the application's response that are not sent then. Those of `_PREFIX` neither."""

_PREFIX: Final = "sec-websocket-"


class Opening:
    """A valid opening handshake.

    Attributes:
        key: the value of ``Sec-WebSocket-Key``; empty over HTTP/2, which needs none.
        status: the status of the response that completes the handshake.
        subprotocols: the subprotocols that the client asks for, in its order.
        origin: the origin of the page whose script asks, or None.
        deflate: the answer to an offer of permessage-deflate that the server accepts, or empty.
    """

    __slots__ = ("deflate", "key", "origin", "status", "subprotocols")

    def __init__(
        self, key: str, subprotocols: tuple[str, ...], origin: str | None, *, deflate: str
    ) -> None:
        self.key = key
        self.status = 101 if key else 200
        self.subprotocols = subprotocols
        self.origin = origin
        self.deflate = deflate


class Refusal:
    """The answer of the server to an opening handshake that is not valid.

    Attributes:
        status: the status line's code and text.
        message: what is wrong.
        fields: the fields of the response beside the usual ones.
    """

    __slots__ = ("fields", "message", "status")

    def __init__(self, status: str, message: str, fields: Headers) -> None:
        self.status = status
        self.message = message
        self.fields = fields


def _broken(message: str) -> Refusal:
    return Refusal("400 Bad Request", message, [])


def read_opening(
    environ: Environ, *, modern: bool, body: bool, keyed: bool = True
) -> Opening | Refusal | None:
    """Read the opening handshake in the head of a request; None if the request is none.

    ``modern`` says that the version is HTTP/1.1 or later: before, ``Upgrade`` has no meaning (RFC
    9110, section 7.8). ``body`` says that the request has a body, which the handshake must not.
    ``keyed`` is false over HTTP/2, where an extended CONNECT needs no key to be told from other
    requests.
    """
    if not modern or not _lists(environ, "HTTP_UPGRADE", "websocket"):
        return None
    if not _lists(environ, "HTTP_CONNECTION", "upgrade"):
        return None
    version: str = environ.get("HTTP_SEC_WEBSOCKET_VERSION", "")
    if _VERSION.match(version) and version != VERSION:
        return Refusal(
            "426 Upgrade Required",
            f"version {version} of the websocket protocol is not supported",
            [("Sec-WebSocket-Version", VERSION)],
        )
    if version != VERSION:
        return _broken("Sec-WebSocket-Version is missing or malformed")
    if environ["REQUEST_METHOD"] != "GET" or body:
        return _broken("the opening handshake of a websocket is a GET without a body")
    return _read_fields(environ, keyed=keyed)


def _read_fields(environ: Environ, *, keyed: bool) -> Opening | Refusal:
    """Read the fields of a handshake that has the right version."""
    key: str = environ.get("HTTP_SEC_WEBSOCKET_KEY", "") if keyed else ""
    if keyed and not _KEY.match(key):
        return _broken("Sec-WebSocket-Key is not 16 bytes in base64")
    subprotocols = read_subprotocols(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL"))
    if subprotocols is None:
        return _broken("Sec-WebSocket-Protocol is not a list of different tokens")
    offers = read_extensions(environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS", ""))
    if offers is None:
        return _broken("Sec-WebSocket-Extensions is malformed")
    origin = environ.get("HTTP_ORIGIN")
    return Opening(key, subprotocols, origin, deflate=agreement(offers))


def _lists(environ: Environ, name: str, item: str) -> bool:
    value: str = environ.get(name, "")
    return item in [each.strip(" \t") for each in value.lower().split(",")]


def read_subprotocols(value: str | None) -> tuple[str, ...] | None:
    """Return the subprotocols in a field's value; None if it is malformed or names one twice."""
    if value is None:
        return ()
    names = [name.strip(" \t") for name in value.split(",")]
    if len(set(names)) < len(names) or not all(WHOLE_TOKEN.match(name) for name in names):
        return None
    return tuple(names)


def read_extensions(value: str) -> list[Offer] | None:
    """Return the extensions that a client offers; None if the value is malformed (section 9.1).

    A quoted value of a parameter must be a token, too, once the quotes are removed.
    """
    offers: list[Offer] = []
    position = 0
    while position < len(value):
        name = _EXTENSION.match(value, position)
        if name is None:
            return None
        position = name.end()
        parameters: list[tuple[str, str | None]] = []
        while (parameter := _PARAMETER.match(value, position)) is not None:
            position = parameter.end()
            text: str | None = parameter[2]
            if parameter[3] is not None:
                text = _ESCAPED.sub(r"\1", parameter[3])
                if not WHOLE_TOKEN.match(text):
                    return None
            parameters.append((parameter[1], text))
        end = _END.match(value, position)
        if end is None:
            return None
        position = end.end()
        offers.append((name[1], parameters))
    return offers


def accept_key(key: str) -> str:
    """Return the value of ``Sec-WebSocket-Accept`` for the client's key."""
    # SHA-1 is what the protocol prescribes, and protects nothing here.
    digest = hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()
    return b64encode(digest).decode()


def check_subprotocol(opening: Opening, subprotocol: str | None) -> None:
    """Check the application's choice; ValueError if the client did not ask for it."""
    if subprotocol is not None and subprotocol not in opening.subprotocols:
        asked = ", ".join(opening.subprotocols) or "none"
        raise ValueError(f"the client did not ask for subprotocol {subprotocol!r}, but for {asked}")


def origin_admitted(origin: str | None, origins: str | Collection[str] | None, host: str) -> bool:
    """Return whether a page of ``origin`` may open a websocket to ``host``, the value of ``Host``.

    ``origins`` is None for pages of the same host and port, ``"*"`` for all, or a collection.
    Clients other than browsers send no origin, and are always admitted. Raises `ValueError` for
    another string and for an entry that is not an origin.
    """
    if isinstance(origins, str):
        if origins != "*":
            raise ValueError(f"origins is {origins!r}: give None, '*' or a collection of origins")
        return True
    admitted = None if origins is None else [_normal(each) for each in origins]
    if origin is None:
        return True
    if admitted is not None:
        return origin.lower() in admitted or _without_default_port(origin) in admitted
    match = _ORIGIN.match(origin.lower())
    if match is None or match[1] not in _DEFAULT_PORTS:
        return False
    # The default port of the origin's scheme holds for both, because the server may not know its
    # own scheme: TLS may end in front of it.
    default = _DEFAULT_PORTS[match[1]]
    return _with_port(match[2], default) == _with_port(host.lower(), default)


def _with_port(authority: str, default: str) -> tuple[str, str]:
    name, port = split_host(authority)
    return name, port or default


def _without_default_port(origin: str) -> str | None:
    """Return an origin in lower case without its scheme's default port; None if it is malformed."""
    match = _ORIGIN.match(origin.lower())
    if match is None:
        return None
    name, port = split_host(match[2])
    if not port or port == _DEFAULT_PORTS.get(match[1]):
        return f"{match[1]}://{name}"
    return f"{match[1]}://{name}:{port}"


def _normal(entry: str) -> str:
    """Return an entry of ``origins`` as origins are compared."""
    if entry == "null":
        return entry
    origin = _without_default_port(entry)
    if origin is None:
        raise ValueError(f"{entry!r} is not an origin such as 'https://example.com'")
    return origin


def switching_fields(
    opening: Opening, fields: Headers, subprotocol: str | None, *, deflate: bool
) -> Headers:
    """Return the fields of the response that completes the handshake.

    ``fields`` are those of the application's response.
    """
    ours: Headers = []
    if opening.key:
        ours = [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", accept_key(opening.key)),
        ]
    if subprotocol is not None:
        ours.append(("Sec-WebSocket-Protocol", subprotocol))
    if deflate and opening.deflate:
        ours.append(("Sec-WebSocket-Extensions", opening.deflate))
    kept = [(name, value) for name, value in fields if _kept(name.lower())]
    return ours + kept


def _kept(name: str) -> bool:
    return name not in _OURS and not name.startswith(_PREFIX)
