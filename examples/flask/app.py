"""Notes, a small Flask application: records, forms, sessions, uploads, downloads and streams."""

from __future__ import annotations

import csv
import io
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing

from flask import (
    Flask,
    Response,
    abort,
    flash,
    g,
    redirect,
    render_template,
    request,
    send_file,
    session,
    url_for,
)
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response as AnyResponse

import store

MIB = 1024 * 1024
LONGEST_STREAM = 4096 * MIB
NUMBERS = struct.Struct(">8192Q")
ROWS_AT_ONCE = 500
LONGEST = {"title": 80, "body": 2000, "name": 40}

store.prepare()

app = Flask(__name__)
app.config.update(
    SECRET_KEY=store.secret_key(),
    SESSION_COOKIE_NAME="notes_flask",
    SESSION_COOKIE_SAMESITE="Lax",  # against forms on other sites (CSRF)
    MAX_CONTENT_LENGTH=1024 * MIB,
)


def database() -> sqlite3.Connection:
    """Return the connection of this request. It is opened at its first use."""
    if "database" not in g:
        g.database = store.connect()
    connection: sqlite3.Connection = g.database
    return connection


@app.teardown_appcontext
def close_database(error: BaseException | None) -> None:
    if (connection := g.pop("database", None)) is not None:
        connection.close()


def author() -> str:
    name: str = session.get("name", "anonymous")
    return name


def read_form(*fields: str) -> tuple[dict[str, str], dict[str, str]]:
    """Return the submitted values of `fields`, and the error messages by field."""
    values = {field: request.form.get(field, "").strip() for field in fields}
    errors = {}
    for field, value in values.items():
        if not value:
            errors[field] = f"Please fill in the {field}."
        elif len(value) > LONGEST[field]:
            errors[field] = f"The {field} can have up to {LONGEST[field]} characters."
    return values, errors


def notes_page(values: dict[str, str], errors: dict[str, str]) -> str:
    notes = database().execute("SELECT * FROM note ORDER BY id DESC LIMIT 50").fetchall()
    return render_template("notes.html", notes=notes, values=values, errors=errors)


@app.get("/")
def list_notes() -> str:
    return notes_page({}, {})


@app.post("/")
def add_note() -> AnyResponse | tuple[str, int]:
    values, errors = read_form("title", "body")
    if errors:
        return notes_page(values, errors), 422
    database().execute(
        "INSERT INTO note (title, body, author) VALUES (?, ?, ?)",
        [values["title"], values["body"], author()],
    )
    flash("The note was saved.")
    return redirect(url_for("list_notes"), 303)


@app.post("/sign-in")
def sign_in() -> AnyResponse:
    values, errors = read_form("name")
    if errors:
        flash(errors["name"])
    else:
        session["name"] = values["name"]
    return redirect(url_for("list_notes"), 303)


@app.post("/sign-out")
def sign_out() -> AnyResponse:
    session.clear()
    return redirect(url_for("list_notes"), 303)


def files_page(errors: dict[str, str]) -> str:
    files = database().execute("SELECT * FROM file ORDER BY id DESC LIMIT 50").fetchall()
    return render_template("files.html", files=files, errors=errors)


@app.get("/files")
def list_files() -> str:
    return files_page({})


@app.post("/files")
def add_file() -> AnyResponse | tuple[str, int]:
    upload = request.files.get("content")
    if upload is None or not upload.filename:
        return files_page({"content": "Please choose a file."}), 422
    sha256, size = store.keep_upload(upload.stream)
    added = database().execute(
        "INSERT INTO file (name, size, sha256, author) VALUES (?, ?, ?, ?)",
        [upload.filename, size, sha256, author()],
    )
    flash("The file was stored.")
    return redirect(url_for("show_file", number=added.lastrowid), 303)


def file_or_404(number: int) -> sqlite3.Row:
    row: sqlite3.Row | None = (
        database().execute("SELECT * FROM file WHERE id = ?", [number]).fetchone()
    )
    return row if row is not None else abort(404)


@app.get("/files/<int:number>")
def show_file(number: int) -> str:
    return render_template("file.html", file=file_or_404(number))


@app.get("/files/<int:number>/download")
def download_file(number: int) -> AnyResponse:
    row = file_or_404(number)
    return send_file(
        store.upload_path(row["sha256"]),
        mimetype="application/octet-stream",
        as_attachment=True,
        download_name=row["name"],
        etag=row["sha256"],
    )


@app.get("/export.csv")
def export() -> AnyResponse:
    """Send all notes as CSV, generated while it is sent, so that memory use stays small."""

    def lines() -> Iterator[str]:
        buffer = io.StringIO()
        writer = csv.writer(buffer)
        writer.writerow(["id", "created", "author", "title", "body"])
        # The connection of the request is already closed when this runs.
        with closing(store.connect()) as connection:
            rows = connection.execute(
                "SELECT id, created, author, title, body FROM note ORDER BY id"
            )
            while batch := rows.fetchmany(ROWS_AT_ONCE):
                writer.writerows(batch)
                yield buffer.getvalue()
                buffer.seek(0)
                buffer.truncate()
        yield buffer.getvalue()

    headers = {"Content-Disposition": 'attachment; filename="notes.csv"'}
    return Response(lines(), mimetype="text/csv", headers=headers)


@app.get("/stream")
def stream() -> AnyResponse:
    """Send `?size=N` bytes: 0, 1, 2... as 8-byte big-endian numbers, which a client can verify."""
    size = request.args.get("size", default=-1, type=int)
    if not 0 <= size <= LONGEST_STREAM:
        abort(400, f"size must be a number of bytes from 0 to {LONGEST_STREAM}.")

    def blocks() -> Iterator[bytes]:
        for start in range(0, size, NUMBERS.size):
            first = start // 8
            yield NUMBERS.pack(*range(first, first + 8192))[: size - start]

    return Response(blocks(), mimetype="application/octet-stream")


@app.get("/break")
def break_down() -> str:
    raise RuntimeError("this page fails on purpose")


@app.errorhandler(HTTPException)
def show_error(error: HTTPException) -> tuple[str, int]:
    return render_template("error.html", error=error), error.code or 500
