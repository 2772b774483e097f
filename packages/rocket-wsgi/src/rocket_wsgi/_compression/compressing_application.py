"""An application whose responses are compressed, whatever the protocol.

How it works
============

`CompressingApplication` stands between the server and the application, so that nothing of the
server takes part, or takes time while compression is off. Whether a response is compressed depends
on its head, and on the size of its body. So `_Compressor` keeps the arguments of
``start_response`` until it knows as much as it will know, and then calls the server's
``start_response`` (`_settle`):

- with a list, when the application has returned: its size is known;
- with any other iterable, when its first part is there, because it can take any time until the
  next one. If the first part is all that Content-Length says, it is compressed as a whole;
- with ``write``, at its first call.

Each part of a stream is flushed: the client can read it before the next one is there. A file in
`FileWrapper` is no stream, and is not flushed.

What goes on after the view, such as an event stream of ``rocket.events``, is not compressed,
because its parts are sent by other threads, one at a time.

Everything runs on the thread that calls the application.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from rocket_wsgi._compression.coders import Coder, Coders, Encoder
from rocket_wsgi._compression.head import (
    MIN_SIZE,
    NOT_COMPRESSED,
    compressed_head,
    describe_head,
    revalidated_head,
    varying,
)
from rocket_wsgi._errors import ApplicationError
from rocket_wsgi._response.file_wrapper import FileWrapper

if TYPE_CHECKING:
    from rocket_wsgi._response.response import AnyResponse
    from rocket_wsgi._types import ExcInfo, Headers

_AGAIN: Final[ExcInfo] = (None, None, None)
"""Allows another call of the server's ``start_response``, as long as the head is not sent."""


class CompressingApplication:
    """A WSGI application, to be called by `WSGIWorker` only."""

    def __init__(self, application: WSGIApplication, coders: Coders) -> None:
        """Compress the responses of ``application`` by one of ``coders``."""
        self._application = application
        self._coders = coders

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Call the application; return the body to send, which has a ``close`` if that has one."""
        compressor = _Compressor(self._coders, environ, start_response)
        result = self._application(environ, compressor.start)
        try:
            body: Iterable[bytes] = compressor.body(result)
        except BaseException:
            _close(result)
            raise
        return body


class _Compressor:
    """Compresses one response, or leaves it as it is."""

    __slots__ = (
        "_accepted",
        "_coders",
        "_described",
        "_encoder",
        "_head",
        "_head_only",
        "_if_none_match",
        "_left",
        "_response",
        "_settled",
        "_start",
        "_write",
    )

    def __init__(
        self, coders: Coders, environ: WSGIEnvironment, start_response: StartResponse
    ) -> None:
        self._coders = coders
        self._accepted: str = environ.get("HTTP_ACCEPT_ENCODING", "")
        self._if_none_match: str = environ.get("HTTP_IF_NONE_MATCH", "")
        self._head_only = environ["REQUEST_METHOD"] == "HEAD"
        self._response: AnyResponse = environ["rocket.client_gone"]
        self._start = start_response
        self._head: tuple[Any, Headers] | None = None
        """What the application has started."""
        self._described = NOT_COMPRESSED
        """What that says."""
        self._settled = False
        """Whether the server has the head."""
        self._write: Callable[[bytes], object] | None = None
        """The server's ``write``; None before it has the head."""
        self._encoder: Encoder | None = None
        """None if the body is not compressed, or is compressed as a whole."""
        self._left: int | None = None
        """The bytes of the uncompressed body that Content-Length still promises; None: any."""

    # -- for the application ---------------------------------------------------------------------

    def start(
        self, status: Any, headers: Any, exc_info: ExcInfo | None = None, /
    ) -> Callable[[bytes], None]:
        """``start_response``. Raises as that of the server."""
        if exc_info is not None:
            try:
                if self._settled:
                    self._start(status, headers, exc_info)  # which raises if the head is sent
            finally:
                exc_info = None  # avoids a circular reference, as PEP 3333 asks
            self._settled = False
            self._encoder = None
        elif self._head is not None:
            raise ApplicationError("start_response was called twice without exc_info")
        fields = list(headers)
        self._head = status, fields
        self._described = describe_head(status, fields)
        return self.write

    def write(self, data: Any, /) -> None:
        """``write``: send a part of the body. Raises as that of the server."""
        if not self._settled:
            if data == b"":
                return
            self._settle_stream()
        if self._write is not None:
            self._write(self._encode(data, flush=True))

    # -- for the server --------------------------------------------------------------------------

    def body(self, result: Any) -> Any:
        """Return the body to send for the result of the application."""
        in_memory = type(result) is list or type(result) is tuple
        if self._settled:
            if self._encoder is None:
                return result
        elif in_memory:
            return self._whole(result)
        is_file = type(result) is FileWrapper
        if self._head is not None and not self._settled:
            size = self._described.length
            if size is None and is_file and (span := result.span()) is not None:
                size = span.size
            if self._choose(size) is None:
                self._settle(None)
                return result
        return _Body(self._parts(result, flush=not (is_file or in_memory)), result)

    def _whole(self, result: Any) -> Any:
        """Return the body for a list or tuple, which is all of it."""
        promised = self._described.length
        coder = None
        if all(isinstance(part, bytes) for part in result):
            size = sum(map(len, result))
            if promised in (None, size):
                coder = self._choose(size)
            elif self._head_only:
                coder = self._choose(promised)
        body = result
        if coder is not None:
            body = () if self._head_only else [coder.compress(b"".join(result))]
        self._settle(coder)  # the server announces the length, unless trailers follow
        return body

    def _parts(self, result: Any, *, flush: bool) -> Generator[bytes]:
        """Yield the parts of a body, the first of which may be all of it."""
        for part in result:
            if not self._settled:
                if part == b"":
                    continue
                whole = self._compress_only(part)
                if whole:
                    yield whole
                    return
                self._settle_stream()
            data = self._encode(part, flush=flush)
            if data:
                yield data
            if self._left == 0:
                break  # what follows exceeds Content-Length
        if not self._settled:  # there is no part
            self._settle(self._choose(self._described.length or 0) if self._head_only else None)
        elif self._encoder is not None and not self._head_only:
            if self._left:
                raise ApplicationError("the body is shorter than its Content-Length")
            yield self._encoder.end()

    # -- the decision ----------------------------------------------------------------------------

    def _choose(self, size: int | None) -> Coder | None:
        """Return by what a body of ``size`` bytes is compressed; None: it is not.

        A body of unknown size is taken for a large one.
        """
        if not self._described.compressible or (size is not None and size < MIN_SIZE):
            return None
        if self._response.begun is not None:
            return None
        return self._coders.choose(self._accepted)

    def _settle(self, coder: Coder | None, length: int | None = None) -> None:
        """Give the head to the server, if there is one: that of a body compressed by ``coder``."""
        self._settled = True
        if self._head is None:
            return  # the server says what is wrong
        status, headers = self._head
        if coder is not None:
            headers = compressed_head(headers, coder.name, length)
        elif self._described.revalidated:
            headers = revalidated_head(headers, self._if_none_match)
        elif self._described.compressible and self._response.begun is None:
            headers = varying(headers)
        self._write = self._start(status, headers, _AGAIN)

    def _settle_stream(self) -> None:
        """Give the head of a body in parts to the server."""
        coder = self._choose(self._described.length)
        self._settle(coder)
        if coder is not None:
            self._encoder = coder.encoder()
            self._left = self._described.length

    def _compress_only(self, part: Any) -> bytes:
        """Compress the first part, if it is the only one; return nothing otherwise."""
        if not isinstance(part, bytes) or len(part) != self._described.length or self._head_only:
            return b""
        coder = self._choose(len(part))
        if coder is None:
            return b""
        data = coder.compress(part)
        self._settle(coder, len(data))
        return data

    def _encode(self, part: Any, *, flush: bool) -> Any:
        """Return what is sent for a part; the server says what is wrong with an invalid one."""
        encoder = self._encoder
        if encoder is None or self._head_only or not isinstance(part, bytes):
            return part
        if self._left is not None:
            part = part[: self._left]
            self._left -= len(part)
        data = encoder.add(part)
        return data + encoder.flush() if flush else data


class _Body:
    """The compressed body of a response. It closes what the application has returned."""

    __slots__ = ("_parts", "_result")

    def __init__(self, parts: Generator[bytes], result: Any) -> None:
        self._parts = parts
        self._result = result

    def __iter__(self) -> Iterator[bytes]:
        return self._parts

    def close(self) -> None:
        try:
            self._parts.close()
        finally:
            _close(self._result)


def _close(result: Any) -> None:
    if hasattr(result, "close"):
        result.close()
