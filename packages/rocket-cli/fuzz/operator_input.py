"""Fuzz what operators and processes send with atheris: `nox -s fuzz`.

The first byte chooses who reads the rest: the admin socket, the channel of a process, a settings
file or a file of variables. All answer with what they have read, or with one line that names what
is wrong.
"""

from __future__ import annotations

import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import atheris

with atheris.instrument_imports(include=["rocket_cli"]):
    from rocket_cli._admin.protocol import ProtocolError, parse_question, question
    from rocket_cli._processes.channel import Channel, ChannelError
    from rocket_cli._processes.message_forms import Speaker
    from rocket_cli._settings.all_settings import SETTINGS
    from rocket_cli._settings.config_file import ConfigFile
    from rocket_cli._settings.env_file import EnvFile

from rocket_cli._errors import CommandError

_File = TypeVar("_File")

_BY_NAME = {each.name: each for each in SETTINGS}
_DIRECTORY = Path(tempfile.mkdtemp(prefix="rocket-fuzz-"))

_SEEDS = {
    b"A": [
        b'{"version": 1, "ask": "stats"}',
        b'{"version": 1, "ask": "connections", "arguments": {"limit": 5}}',
    ],
    b"C": [b'{"event": "ready"}\n{"ask": "reload"}\n', b'{"id": 1, "result": {}}\n'],
    b"S": [b'bind = ["127.0.0.1:8000"]\nthreads = "4:8"\nprocesses = 2\n', b"max-body = '10M'\n"],
    b"V": [b"A=b\nexport C='d'\n# comment\nE=\"f\\n\"\n", b"=\n"],
}


def ask(data: bytes) -> None:
    """Check a question of a client of the admin socket: what is read can be asked again."""
    try:
        command, arguments = parse_question(data)
    except ProtocolError as error:
        on_one_line(error)
        return
    if parse_question(question(command, arguments)) != (command, arguments):
        raise AssertionError(f"{command} and {arguments} are not asked again")


def hear(data: bytes) -> None:
    """Check messages of a worker process."""
    ours, theirs = socket.socketpair()
    with theirs:
        channel = Channel(ours, waits=False)
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        try:
            speaker = Speaker("worker")
            for message in channel.receive():
                speaker.hear(message)
        except EOFError:
            return
        except ChannelError as error:
            on_one_line(error)
        finally:
            channel.close()


def settle(data: bytes) -> None:
    """Check a settings file: each value is taken, or its complaint is one line."""
    file = read_file(ConfigFile, "rocket.toml", data)
    if file is None:
        return
    for key, value in file.values.items():
        setting = _BY_NAME.get(key)
        if setting is not None:
            complaint = setting.complaint(value)
            if complaint is not None and not complaint.isprintable():
                raise AssertionError(f"{complaint!r}")
        file.place(key)


def vary(data: bytes) -> None:
    """Check a file of variables."""
    file = read_file(EnvFile, "variables", data)
    if file is not None and any(
        "\0" in name + value or "=" in name for name, value in file.values.items()
    ):
        raise AssertionError(f"{file.values}")


def read_file(read: Callable[[Path], _File], name: str, data: bytes) -> _File | None:
    """Return what is read from a file; None if it is refused, by a message of one line."""
    path = _DIRECTORY / name
    path.write_bytes(data)
    try:
        return read(path)
    except CommandError as error:
        on_one_line(error)
        return None


def on_one_line(error: Exception) -> None:
    """Raise `AssertionError` unless the message is a line that a terminal can show."""
    if not str(error).isprintable():
        raise AssertionError(f"{str(error)!r}") from error


READERS = {b"A": ask, b"C": hear, b"S": settle, b"V": vary}


def one(data: bytes) -> None:
    """Check one input."""
    READERS.get(data[:1], settle)(data[1:])


def seed(directory: Path) -> None:
    """Write inputs that are in order as the initial ones of the fuzzer."""
    directory.mkdir(parents=True, exist_ok=True)
    for reader, inputs in _SEEDS.items():
        for number, each in enumerate(inputs):
            (directory / f"{reader.decode()}-{number}").write_bytes(reader + each)


if __name__ == "__main__":
    seed(Path(sys.argv[1]))
    atheris.Setup([*sys.argv, "-max_len=1024"], one)
    atheris.Fuzz()
