"""Static files: from a request to the file, redirect, listing or error that answers it."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import Final

from rocket_wsgi._compression.codings import Codings
from rocket_wsgi._compression.compressed_files import CompressedFiles
from rocket_wsgi._compression.head import VARY, forbids
from rocket_wsgi._environ.request import Request
from rocket_wsgi._response.response import AnyResponse
from rocket_wsgi._static.answers import (
    ALLOW,
    NOT_FOUND,
    send_error,
    send_options,
    send_page,
    send_redirect,
    send_status,
)
from rocket_wsgi._static.directory import list_items, render
from rocket_wsgi._static.lookup import open_beneath, split_path
from rocket_wsgi._static.media_type import media_type
from rocket_wsgi._static.sending import describe, describe_compressed, send_file
from rocket_wsgi._types import Headers

_SUFFIXES: Final = {"br": ".br", "gzip": ".gz"}
"""The codings of precompressed files, the better compression first, and the suffixes of names."""

_PRECOMPRESSED: Final = Codings(_SUFFIXES)


class StaticFiles:
    """A directory whose files are served. Any number of threads may share one object."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        index: str = "index.html",
        cache_control: str | None = None,
        precompressed: bool = False,
        listing: bool = False,
        follow_links: bool = False,
    ) -> None:
        """Serve the files in ``directory``, except for names that begin with a dot.

        Args:
            directory: the root.
            index: the name of the file that is served for a directory.
            cache_control: the value of ``Cache-Control`` (RFC 9111, section 5.2) for every file;
                None for no such field.
            precompressed: whether to send ``NAME.br`` or ``NAME.gz`` instead of ``NAME`` to clients
                that accept the encoding, if the compressed file is not older.
            listing: whether to list a directory that has no index.
            follow_links: whether symbolic links may lead out of the root.

        Raises:
            NotADirectoryError: ``directory`` is not a directory.
            ValueError: ``index`` is not a name that can be served, or ``cache_control`` is not
                printable ASCII.
        """
        self._root = str(Path(directory).absolute())
        if not Path(self._root).is_dir():
            raise NotADirectoryError(f"the root of static files is not a directory: {self._root!r}")
        if "/" in index or not index or split_path("/" + index) is None:
            raise ValueError(f"the index must be the name of a file, not {index!r}")
        if cache_control is not None and not (
            cache_control.isascii() and cache_control.isprintable()
        ):
            raise ValueError(f"cache_control must be printable ASCII, not {cache_control!r}")
        self._index = index
        self._precompressed = precompressed
        self._listing = listing
        self._follow_links = follow_links
        self._fields: Headers = []
        if cache_control is not None:
            self._fields.append(("Cache-Control", cache_control))
        if precompressed:
            self._fields.append(VARY)
        self._may_compress = cache_control is None or not forbids(cache_control)

    def answer(
        self,
        request: Request,
        prefix: str,
        response: AnyResponse,
        compressed: CompressedFiles | None = None,
    ) -> None:
        """Answer a request without a body for a path that begins with ``prefix``.

        The file is compressed, and remembered in ``compressed``, unless that is None.

        Never waits for the client. Raises `ClientGone`, and `OSError` if the file system fails.
        """
        if request.method == "OPTIONS":
            send_options(response)
            return
        if request.method not in ("GET", "HEAD"):
            send_status(response, "405 Method Not Allowed", [ALLOW])
            return
        path: str = request.environ["PATH_INFO"]
        if path == prefix:
            send_redirect(request, response)  # from "/static" to "/static/"
            return
        names = split_path(path[len(prefix) :])
        if names is None:
            send_status(response, NOT_FOUND)
            return
        try:
            descriptor = self._open(names if names[-1] else [*names[:-1], self._index])
        except OSError as error:
            if names[-1] or not self._listing or error.errno != errno.ENOENT:
                send_error(request, response, error)
            else:
                self._list(names, request, prefix, response)
            return
        try:
            self._answer(descriptor, names, request, response, compressed)
        finally:
            os.close(descriptor)

    def _open(self, names: list[str]) -> int:
        return open_beneath(self._root, names, follow_links=self._follow_links)

    def _answer(
        self,
        descriptor: int,
        names: list[str],
        request: Request,
        response: AnyResponse,
        compressed: CompressedFiles | None,
    ) -> None:
        """Answer with the file open at ``descriptor``, or with a compressed form of it."""
        status = os.fstat(descriptor)
        if stat.S_ISDIR(status.st_mode) and names[-1]:
            send_redirect(request, response)
            return
        if not stat.S_ISREG(status.st_mode):
            send_status(response, NOT_FOUND)
            return
        accepted = request.environ.get("HTTP_ACCEPT_ENCODING", "")
        names = names if names[-1] else [*names[:-1], self._index]
        for coding in _PRECOMPRESSED[accepted] if self._precompressed else ():
            sibling = self._open_sibling(names, coding, status)
            if sibling is None:
                continue
            try:
                file = describe(sibling, names[-1], os.fstat(sibling), coding)
                send_file(file, self._fields, request, response)
            finally:
                os.close(sibling)
            return
        file = describe(descriptor, names[-1], status, "")
        fields = self._fields
        if compressed is not None and self._may_compress:
            if not compressed.suits(media_type(file.name), file.size):
                compressed = None
            elif not self._precompressed:
                fields = [*fields, VARY]
            coder = None if compressed is None else compressed.choose(accepted)
            # A range is one of the file itself, whose parts fit together.
            if compressed is not None and coder is not None and "HTTP_RANGE" not in request.environ:
                content = compressed.get(descriptor, status, coder)
                if content is not None:
                    file = describe_compressed(file, content, coder.name)
        send_file(file, fields, request, response)

    def _open_sibling(self, names: list[str], coding: str, original: os.stat_result) -> int | None:
        """Open the compressed form of a file, unless it is missing or older than ``original``."""
        try:
            descriptor = self._open([*names[:-1], names[-1] + _SUFFIXES[coding]])
        except OSError:
            return None
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode) and status.st_mtime_ns >= original.st_mtime_ns:
            return descriptor
        os.close(descriptor)
        return None

    def _list(self, names: list[str], request: Request, prefix: str, response: AnyResponse) -> None:
        """Answer with a page that lists a directory."""
        base = None if self._follow_links else os.path.realpath(self._root)
        path = str(Path(self._root, *names[:-1]))
        try:
            descriptor = self._open(names[:-1])
            try:
                items = list_items(path, descriptor, base)
            finally:
                os.close(descriptor)
        except OSError as error:
            send_error(request, response, error)
            return
        page = render(request.environ["PATH_INFO"], items, top=len(names) == 1 and not prefix)
        send_page(request, response, page)
