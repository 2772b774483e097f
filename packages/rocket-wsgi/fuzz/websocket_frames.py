"""Fuzz the reader of websocket frames with atheris: `nox -s fuzz`.

Any bytes are frames of a client; the first byte says whether compression was agreed. They are read
whole and cut, which must give the same events. No message exceeds the limit, and nothing comes
behind the end.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["rocket_wsgi._websocket"]):
    from rocket_wsgi._websocket.frame_reader import Closing, Failure, FrameReader, Ping, Pong

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from conformance.cuts import between, places

_LIMIT = 1000


def events(pieces: Iterable[bytes], *, compressed: bool) -> list[str]:
    """Return what is read, and check it."""
    reader = FrameReader(_LIMIT, compressed=compressed)
    found: list[str] = []
    ended = False
    for piece in pieces:
        reader.feed(piece)
        while (event := reader.next()) is not None:
            if ended:
                raise AssertionError(f"{event} comes behind the end")
            match event:
                case str() | bytes():
                    size = len(event.encode() if isinstance(event, str) else event)
                    if size > _LIMIT or size != reader.size:
                        raise AssertionError(f"a message of {size} bytes, {reader.size} are told")
                    found.append(f"message {event!r}")
                case Ping() | Pong():
                    found.append(f"{type(event).__name__} {event.payload!r}")
                case Closing():
                    ended = True
                    found.append(f"closing {event.code} {event.reason!r}")
                case Failure():
                    # Of two faults in compressed text, that of the part that has come is found.
                    ended = True
                    found.append("failure" if compressed else f"failure {event.code}")
    return found


def one(data: bytes) -> None:
    """Check the rules for one input."""
    compressed, frames = data[:1] == b"C", data[1:]
    whole = events([frames], compressed=compressed)
    if events(between(frames, places(frames)), compressed=compressed) != whole:
        raise AssertionError(f"cuts change the events: {whole}")


def seed(directory: Path) -> None:
    """Write frames as the initial inputs of the fuzzer."""
    directory.mkdir(parents=True, exist_ok=True)
    key = b"\1\2\3\4"
    heads = [b"\x81\x85", b"\x82\x80", b"\x89\x81", b"\x88\x82", b"\x01\x81", b"\x80\x81"]
    for number, head in enumerate(heads):
        frame = head + key + b"\2\3\4\5\6"[: head[1] & 0x7F]
        (directory / f"frames-{number}").write_bytes(b"C" + frame * 2)
    (directory / "long").write_bytes(b"-\x82\xfe\0\xff" + key + bytes(255))


if __name__ == "__main__":
    seed(Path(sys.argv[1]))
    atheris.Setup([*sys.argv, "-max_len=2048"], one)
    atheris.Fuzz()
