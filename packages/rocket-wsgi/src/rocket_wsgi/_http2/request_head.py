"""The head of a request, and trailers, as HTTP/2 has them (RFC 9113, sections 8.1 to 8.3 and 8.5).

What breaks a rule of HTTP/2 makes a request malformed, which is an error of its stream (section
8.1.1). What breaks a rule or limit of HTTP in general is answered with the status that it has over
HTTP/1.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rocket_wsgi._environ.authority import split_host, valid_host
from rocket_wsgi._grammar import WHOLE_TOKEN
from rocket_wsgi._http2.error_codes import ErrorCode
from rocket_wsgi._http2.faults import StreamError
from rocket_wsgi._http2.field import PSEUDO, Field, Role
from rocket_wsgi._http2.limits import MAX_FIELDS, MAX_REQUEST_LINE
from rocket_wsgi._http2.priority import DEFAULT_URGENCY, parse_priority

if TYPE_CHECKING:
    from rocket_wsgi._types import Environ

NO_LENGTH: Final = -1
"""The length of a body that is not announced."""

_MAX_LENGTH_DIGITS: Final = 19
"""The maximum number of digits of a Content-Length: more would not fit into 63 bits."""

_NO_TRAILERS: Final = frozenset({Role.HOST, Role.LENGTH})
"""The fields that must not be trailers, because they determine the framing or the routing of the
request (RFC 9110, section 6.5.1)."""

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
"""The usual methods, which are tokens without a closer look."""

_SCHEMES: Final = frozenset({"http", "https"})
_LINE_REST: Final = len("  HTTP/1.1")
"""What a request line has beside the method and the target."""

# Look-ups of attributes of an enum are expensive.
_PLAIN: Final = Role.PLAIN
_COOKIE: Final = Role.COOKIE
_PRIORITY: Final = Role.PRIORITY
_TE: Final = Role.TE
_HOST: Final = Role.HOST
_METHOD: Final = Role.METHOD
_SCHEME: Final = Role.SCHEME
_AUTHORITY: Final = Role.AUTHORITY
_PATH: Final = Role.PATH
_PROTOCOL: Final = Role.PROTOCOL
_LENGTH: Final = Role.LENGTH


class RequestHead:
    """What the head of a request says.

    The head of a block that comes again is the same object, so nothing is changed but ``environ``.

    Attributes:
        method: the method, ``CONNECT`` if ``protocol`` is not empty.
        scheme: the scheme, in lower case.
        authority: the host and the port, from ``:authority`` or ``Host``.
        path: the target, in origin form or ``*``.
        protocol: the protocol of an extended CONNECT (RFC 8441), otherwise empty.
        fields: the other fields, without ``Host``. Cookies are one field (section 8.2.3).
        length: the length of the body in bytes, or `NO_LENGTH`.
        priority: the value of the field ``priority`` (RFC 9218), or None.
        urgency: what it says; see `parse_priority`.
        incremental: likewise.
        status: with which status to refuse the request, or 0. Then the rest may be missing.
        reason: why, for the client.
        base: a head that differs from this one in its ``path`` only, or None.
        environ: what the caller has made of it, to be copied when the head comes again.
    """

    __slots__ = (
        "authority",
        "base",
        "environ",
        "fields",
        "incremental",
        "length",
        "method",
        "path",
        "priority",
        "protocol",
        "reason",
        "scheme",
        "status",
        "urgency",
    )

    def __init__(self, base: RequestHead | None = None, path: str = "") -> None:
        """Begin with nothing; or with what ``base`` says, with a ``path`` that is sound."""
        self.base = base
        self.path = path
        self.environ: Environ | None = None
        if base is None:
            self.method = self.scheme = self.authority = self.protocol = ""
            self.fields: list[Field] = []
            self.length = NO_LENGTH
            self.priority: str | None = None
            self.urgency = DEFAULT_URGENCY
            self.incremental = False
            self.status = 0
            self.reason = ""
            return
        self.method = base.method
        self.scheme = base.scheme
        self.authority = base.authority
        self.protocol = base.protocol
        self.fields = base.fields
        self.length = base.length
        self.priority = base.priority
        self.urgency = base.urgency
        self.incremental = base.incremental
        self.status = base.status
        self.reason = base.reason


def refused_head(status: int, reason: str, fields: list[Field]) -> RequestHead:
    """Return the head of a request that is refused without a closer look.

    ``fields`` are the first few. They tell the method, since a response to HEAD has no body.
    """
    head = RequestHead()
    head.status = status
    head.reason = reason
    for field in fields:
        if field.role is _METHOD:
            head.method = field.value
        elif field.role is _PATH:
            head.path = field.value
    return head


def read_head(fields: list[Field]) -> RequestHead:
    """Return what ``fields`` say. Raises `StreamError` if the request is malformed."""
    head = RequestHead()
    found: dict[Role, str] = {}
    crumbs: list[Field] = []
    plain: list[Field] = []
    for field in fields:
        if field.fault:
            raise _malformed(field.fault)
        if field.role is _PLAIN:
            plain.append(field)
        else:
            _sort(field, found, crumbs, plain)
    if len(crumbs) == 1:
        plain.append(crumbs[0])
    elif crumbs:
        plain.append(Field("cookie", "; ".join([crumb.value for crumb in crumbs])))
    head.fields = plain
    _read_target(head, found)
    # The authority counts, as Host does over HTTP/1.1.
    if not head.status and len(plain) >= MAX_FIELDS:
        _refuse(head, 431, "the request has too many header fields")
    if _LENGTH in found:
        _read_length(head, found[_LENGTH])
    if _PRIORITY in found:
        head.priority = priority = found[_PRIORITY]
        head.urgency, head.incremental = parse_priority(priority)
    return head


def check_trailers(fields: list[Field]) -> None:
    """Check the trailers of a request (section 8.1). Raises `StreamError` if they are malformed."""
    if len(fields) > MAX_FIELDS:
        raise StreamError(ErrorCode.ENHANCE_YOUR_CALM, "the request has too many trailer fields")
    for field in fields:
        if field.fault:
            raise _malformed(field.fault)
        if field.role in PSEUDO:
            raise _malformed("trailers have a pseudo-header field")
        if field.role in _NO_TRAILERS:
            raise _malformed("a trailer field tells the length or the host")


def _sort(field: Field, found: dict[Role, str], crumbs: list[Field], plain: list[Field]) -> None:
    """Put a field that means something where it belongs."""
    role = field.role
    if role in PSEUDO:
        if plain or crumbs or _HOST in found:
            raise _malformed("a pseudo-header field is behind another field")
        if role in found:
            raise _malformed("a pseudo-header field is repeated")
        found[role] = field.value
    elif role is _COOKIE:
        crumbs.append(field)
    elif role not in found:
        found[role] = field.value
        if role is not _HOST:
            plain.append(field)
    elif role is _PRIORITY or role is _TE:  # a list, in several lines
        found[role] += ", " + field.value
        plain.append(field)
    else:
        raise _malformed("a field is repeated that must occur once")


def _read_target(head: RequestHead, found: dict[Role, str]) -> None:
    """Read the pseudo-header fields (section 8.3.1)."""
    method = found.get(_METHOD)
    if not method:
        raise _malformed("the method is missing")
    if method not in _METHODS and not WHOLE_TOKEN.match(method):
        raise _malformed("the method is not a token")
    head.method = method
    _read_authority(head, found)
    if method == "CONNECT":
        _read_protocol(head, found)
    elif _PROTOCOL in found:
        raise _malformed("a method other than CONNECT has a protocol")
    if method != "CONNECT" or head.protocol:
        _read_scheme(head, found)
        _read_path(head, found.get(_PATH, ""))


def _read_protocol(head: RequestHead, found: dict[Role, str]) -> None:
    """Read what the client wants to connect to (section 8.5; RFC 8441, section 4)."""
    if not head.authority:
        raise _malformed("CONNECT has no authority")
    protocol = found.get(_PROTOCOL)
    if protocol is None:
        if _SCHEME in found or _PATH in found:
            raise _malformed("CONNECT has a scheme or a path")
        if not split_host(head.authority)[1]:
            _refuse(head, 400, "the authority of CONNECT has no port")
        _refuse(head, 501, "this server is not a proxy")
    elif not WHOLE_TOKEN.match(protocol):
        raise _malformed("the protocol is not a token")
    else:
        head.protocol = protocol


def _read_scheme(head: RequestHead, found: dict[Role, str]) -> None:
    if _SCHEME not in found:
        raise _malformed("the scheme is missing")
    head.scheme = found[_SCHEME].lower()
    if head.scheme not in _SCHEMES:
        _refuse(head, 400, "the scheme is neither http nor https")


def _read_authority(head: RequestHead, found: dict[Role, str]) -> None:
    """Find the host and port, which must agree if both fields have them (section 8.3.1)."""
    authority = found.get(_AUTHORITY)
    host = found.get(_HOST)
    if authority is None:
        if host is None:
            _refuse(head, 400, "the authority is missing")
            return
        authority = host
    elif host is not None and host.lower() != authority.lower():
        raise _malformed("the authority and the field host differ")
    if not authority or "@" in authority:
        raise _malformed("the authority is empty, or has user information")
    if not valid_host(authority):
        _refuse(head, 400, "the authority is malformed")
    head.authority = authority


def _read_path(head: RequestHead, path: str) -> None:
    if not path.startswith("/") and (path != "*" or head.method != "OPTIONS"):
        raise _malformed("the path is missing, or does not begin with a slash")
    if len(head.method) + len(path) + _LINE_REST > MAX_REQUEST_LINE:
        if len(head.method) < MAX_REQUEST_LINE:
            _refuse(head, 414, "the request line is too long")
        else:
            _refuse(head, 501, "the method is too long")
    elif not path.isascii() or not path.isprintable() or " " in path:
        _refuse(head, 400, "the request target contains a character that is not allowed")
    head.path = path


def _read_length(head: RequestHead, length: str) -> None:
    if not (length.isascii() and length.isdigit()):
        raise _malformed("the field content-length is not a number")
    if len(length) > _MAX_LENGTH_DIGITS:
        _refuse(head, 413, "the request body is too long")
    else:
        head.length = int(length)


def _refuse(head: RequestHead, status: int, reason: str) -> None:
    if not head.status:
        head.status = status
        head.reason = reason


def _malformed(reason: str) -> StreamError:
    return StreamError(ErrorCode.PROTOCOL_ERROR, reason)
