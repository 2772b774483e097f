"""The views of the pages."""

from __future__ import annotations

import csv
import hashlib
import io
import struct
from collections.abc import Iterator

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from notes.forms import FileForm, NoteForm, SignInForm
from notes.models import File, Note

LONGEST_STREAM = 4096 * 1024 * 1024
NUMBERS = struct.Struct(">8192Q")
ROWS_AT_ONCE = 500


def author(request: HttpRequest) -> str:
    name: str = request.session.get("name", "anonymous")
    return name


def notes(request: HttpRequest) -> HttpResponse:
    form = NoteForm()
    if request.method == "POST":
        form = NoteForm(request.POST)
        if form.is_valid():
            form.instance.author = author(request)
            form.save()
            messages.success(request, "The note was saved.")
            return redirect("notes")
    context = {"form": form, "notes": Note.objects.all()[:50]}
    return render(request, "notes/notes.html", context, status=422 if form.errors else 200)


@require_POST
def sign_in(request: HttpRequest) -> HttpResponse:
    form = SignInForm(request.POST)
    if form.is_valid():
        request.session.cycle_key()
        request.session["name"] = form.cleaned_data["name"]
    else:
        messages.error(request, form.errors["name"][0])
    return redirect("notes")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    request.session.flush()
    return redirect("notes")


def files(request: HttpRequest) -> HttpResponse:
    form = FileForm()
    if request.method == "POST":
        form = FileForm(request.POST, request.FILES)
        if form.is_valid():
            upload = form.cleaned_data["content"]
            digest = hashlib.sha256()
            for chunk in upload.chunks():  # Django has already written a large upload to the disk
                digest.update(chunk)
            file = File.objects.create(
                name=upload.name,
                content=upload,
                size=upload.size,
                sha256=digest.hexdigest(),
                author=author(request),
            )
            messages.success(request, "The file was stored.")
            return redirect("show_file", file.id)
    context = {"form": form, "files": File.objects.all()[:50]}
    return render(request, "notes/files.html", context, status=422 if form.errors else 200)


@require_safe
def show_file(request: HttpRequest, number: int) -> HttpResponse:
    return render(request, "notes/file.html", {"file": get_object_or_404(File, id=number)})


@require_safe
def download_file(request: HttpRequest, number: int) -> FileResponse:
    file = get_object_or_404(File, id=number)
    return FileResponse(
        file.content.open("rb"),
        as_attachment=True,
        filename=file.name,
        content_type="application/octet-stream",
    )


@require_safe
def export(request: HttpRequest) -> StreamingHttpResponse:
    """Send all notes as CSV, generated while it is sent, so that memory use stays small."""
    columns = ["id", "created", "author", "title", "body"]

    def lines() -> Iterator[str]:
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(columns)
        rows = Note.objects.order_by("id").values_list(*columns)
        for row in rows.iterator(chunk_size=ROWS_AT_ONCE):
            writer.writerow(row)
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
        yield buffer.getvalue()

    headers = {"Content-Disposition": 'attachment; filename="notes.csv"'}
    return StreamingHttpResponse(lines(), content_type="text/csv; charset=utf-8", headers=headers)


@require_safe
def stream(request: HttpRequest) -> HttpResponse | StreamingHttpResponse:
    """Send `?size=N` bytes: 0, 1, 2... as 8-byte big-endian numbers, which a client can verify."""
    size = request.GET.get("size", "")
    if not (size.isdecimal() and int(size) <= LONGEST_STREAM):
        message = f"size must be a number of bytes from 0 to {LONGEST_STREAM}."
        return render(request, "400.html", {"message": message}, status=400)

    def blocks(size: int) -> Iterator[bytes]:
        for start in range(0, size, NUMBERS.size):
            first = start // 8
            yield NUMBERS.pack(*range(first, first + 8192))[: size - start]

    return StreamingHttpResponse(blocks(int(size)), content_type="application/octet-stream")


@require_safe
def break_down(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("this page fails on purpose")
