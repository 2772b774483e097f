"""What a client's frames amount to, for the caller of a session."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rocket_wsgi._http2.error_codes import ErrorCode
    from rocket_wsgi._http2.field import Field
    from rocket_wsgi._http2.request_head import RequestHead


class RequestArrived:
    """The head of a request. If it has a ``status``, the caller is to refuse the request with that.

    Attributes:
        stream: the number of the stream.
        head: what the head says. It may be the object of an earlier request.
        ended: whether there is no body.
        urgency: how urgent the response is; lower is more urgent (RFC 9218).
    """

    __slots__ = ("ended", "head", "stream", "urgency")

    def __init__(self, stream: int, head: RequestHead, ended: bool, urgency: int) -> None:
        self.stream = stream
        self.head = head
        self.ended = ended
        self.urgency = urgency


class RequestMalformed:
    """The head of a request that breaks a rule of HTTP/2. Its stream is reset already.

    Attributes:
        stream: the number of the stream.
        head: the method and the path, as far as they are known, and as the client has sent them.
        reason: a sentence for logs.
    """

    __slots__ = ("head", "reason", "stream")

    def __init__(self, stream: int, head: RequestHead, reason: str) -> None:
        self.stream = stream
        self.head = head
        self.reason = reason


class BodyArrived:
    """A part of a body, for which the caller gives credit once it is stored or read.

    Attributes:
        stream: the number of the stream.
        data: the part, which is empty only if the body ends.
        ended: whether the body is complete.
    """

    __slots__ = ("data", "ended", "stream")

    def __init__(self, stream: int, data: bytes, ended: bool) -> None:
        self.stream = stream
        self.data = data
        self.ended = ended


class TrailersArrived:
    """The trailers of a request, whose body is complete.

    Attributes:
        stream: the number of the stream.
        fields: the fields in their order.
    """

    __slots__ = ("fields", "stream")

    def __init__(self, stream: int, fields: list[Field]) -> None:
        self.stream = stream
        self.fields = fields


class BodyLate:
    """The client is too slow with the body of a request that was not answered.

    The caller answers it, or resets the stream. Nobody looks after the body any more.

    Attributes:
        stream: the number of the stream.
    """

    __slots__ = ("stream",)

    def __init__(self, stream: int) -> None:
        self.stream = stream


class StreamReset:
    """The end of a stream before its time. Nothing can be sent on it any more.

    Attributes:
        stream: the number of the stream.
        code: the error code.
        reason: a sentence for logs; empty if the client has reset the stream.
    """

    __slots__ = ("code", "reason", "stream")

    def __init__(self, stream: int, code: ErrorCode, reason: str) -> None:
        self.stream = stream
        self.code = code
        self.reason = reason


class PriorityChanged:
    """Another urgency of a stream whose application may not be done (RFC 9218, section 7.1).

    Attributes:
        stream: the number of the stream.
        urgency: the urgency; lower is more urgent.
    """

    __slots__ = ("stream", "urgency")

    def __init__(self, stream: int, urgency: int) -> None:
        self.stream = stream
        self.urgency = urgency


Event = (
    RequestArrived
    | RequestMalformed
    | BodyArrived
    | TrailersArrived
    | BodyLate
    | StreamReset
    | PriorityChanged
)
