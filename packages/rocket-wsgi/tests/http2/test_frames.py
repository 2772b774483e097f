from __future__ import annotations

import io

import pytest
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame, RstStreamFrame, WindowUpdateFrame

from rocket_wsgi._http2.error_codes import ErrorCode, error_code
from rocket_wsgi._http2.frames import (
    MAX_FRAME,
    PING,
    frame,
    goaway,
    headers_frames,
    number_in,
    rst_stream,
    window_update,
)


def parse(data: bytes) -> list[Frame]:
    """Return the frames, as another library reads them."""
    stream = io.BytesIO(data)
    frames = []
    while head := stream.read(9):
        each, size = Frame.parse_frame_header(memoryview(head))
        each.parse_body(memoryview(stream.read(size)))
        frames.append(each)
    return frames


def test_frames_that_a_server_sends() -> None:
    reset, update, leave, ping = parse(
        rst_stream(5, ErrorCode.CANCEL)
        + window_update(7, 70_000)
        + goaway(9, ErrorCode.ENHANCE_YOUR_CALM, b"why")
        + frame(PING, 1, 0, b"12345678")
    )
    assert isinstance(reset, RstStreamFrame)
    assert (reset.stream_id, reset.error_code) == (5, 8)
    assert isinstance(update, WindowUpdateFrame)
    assert (update.stream_id, update.window_increment) == (7, 70_000)
    assert isinstance(leave, GoAwayFrame)
    assert (leave.last_stream_id, leave.error_code, leave.additional_data) == (9, 11, b"why")
    assert set(ping.flags) == {"ACK"}


@pytest.mark.parametrize(
    ("size", "sizes"),
    [
        (0, [0]),
        (MAX_FRAME, [MAX_FRAME]),
        (MAX_FRAME + 1, [MAX_FRAME, 1]),
        (MAX_FRAME * 2, [MAX_FRAME, MAX_FRAME]),
        (MAX_FRAME * 2 + 9, [MAX_FRAME, MAX_FRAME, 9]),
    ],
)
@pytest.mark.parametrize("end", [False, True])
def test_a_large_block_is_continued(size: int, sizes: list[int], end: bool) -> None:
    block = bytes(number % 251 for number in range(size))
    frames = parse(headers_frames(3, block, end=end))
    assert [len(each.data) for each in frames] == sizes  # type: ignore[attr-defined]
    assert b"".join(each.data for each in frames) == block  # type: ignore[attr-defined]
    assert isinstance(frames[0], HeadersFrame)
    assert ("END_STREAM" in frames[0].flags) is end
    ends = ["END_HEADERS" in each.flags for each in frames]
    assert ends == [False] * (len(frames) - 1) + [True]


def test_numbers() -> None:
    assert number_in(b"\x00\x00\x01\x02\xff\xff\xff\xff", 4) == 0xFFFFFFFF
    assert error_code(8) is ErrorCode.CANCEL
    assert error_code(0xDEAD) is ErrorCode.INTERNAL_ERROR
